import Foundation
import NIOCore
import NIOSSL
import PubSub
import TestSupport
import Testing
import WebSocketCore
import WebSockets

@testable import RedisPubSub

@Suite(.enabled(if: RedisServerProcess.isInstalled, "\(RedisServerProcess.missing)"), .timeLimit(.minutes(3)))
struct RedisBackplaneTests {
    @Test func carriesPublicationsToTheOtherNodeOnly() async throws {
        try await withTwoNodes { a, b, _ in
            try await a.listen(to: ["t", "end"])
            try await b.listen(to: ["t", "end"])
            let whole = Publication(topic: "t", payload: ByteBuffer(bytes: [0, 255]), isText: false, key: "k")
            a.backplane.publish(whole)
            a.say("x", to: "nobody")
            a.say("", to: "end")
            try await eventually { b.heard.last == "end=" }
            #expect(b.heardWhole.first == whole)
            #expect(b.heard.count == 2)
            b.say("", to: "end")
            try await eventually { !a.heard.isEmpty }
            #expect(a.heard == ["end="], "nobody hears himself")
        }
    }

    @Test func keepsTheOrderOfOneNode() async throws {
        try await withTwoNodes { a, b, _ in
            try await b.listen(to: ["t"])
            for number in 0..<5000 { a.say(String(number), to: "t") }
            try await eventually { b.heard.count >= 5000 }
            #expect(b.heard == (0..<5000).map { "t=\($0)" })
            #expect(a.client.status.published == 5000)
            #expect(a.client.status.publicationsDropped == 0)
        }
    }

    @Test func wildcardsTakeWhatTheyTakeAndEachMessageComesOnce() async throws {
        let topics = ["a", "a/b", "a/c", "a/b/c", "a/", "ab", "ab/c", "b", "", "/", "x/b", "é/1", "a*b", "end"]
        let patterns = ["a/+", "a/#", "+", "#", "+/b", "+/+", "a*b", "é/+"]
        try await withTwoNodes { a, b, _ in
            // Each subscription by itself, and some together: what comes is what one of them takes, once.
            let choices =
                patterns.map { ([], [$0]) } + [(["a/b"], ["a/+", "a/#"]), (["a"], ["a/#", "+"]), ([], ["a/+", "a/#", "+/b", "#"])]
            for (names, choice) in choices {
                let before = b.heard.count
                let filters = try choice.map { TopicFilter.pattern(try TopicPattern($0)) } + (names + ["end"]).map { .topic($0) }
                try await b.listen(to: names + ["end"], matching: choice)
                for topic in topics { a.say("x", to: topic) }
                try await eventually { b.heard.count > before && b.heard.last == "end=x" }
                let expected = topics.filter { topic in filters.contains { $0.matches(topic) } }.map { "\($0)=x" }
                #expect(Array(b.heard[before...]) == expected, "\(names) \(choice)")
                for filter in filters { b.backplane.unsubscribe(from: filter) }
                try await eventually { !filters.contains { b.isSubscribed(to: $0) } }
            }
        }
    }

    /// While subscriptions come and go, what somebody listens to all the time comes exactly once.
    @Test func changesOfSubscriptionsNeitherLoseNorDouble() async throws {
        try await withTwoNodes {
            $0.unsubscribeDelay = .zero
        } _: { a, b, _ in
            try await b.listen(matching: ["t/#"])
            let churn = Task {
                for _ in 0..<300 {
                    b.backplane.subscribe(to: .topic("t/x"))
                    b.backplane.subscribe(to: .pattern(try TopicPattern("t/+")))
                    await Task.yield()
                    b.backplane.unsubscribe(from: .topic("t/x"))
                    b.backplane.unsubscribe(from: .pattern(try TopicPattern("t/+")))
                    try await Task.sleep(for: .milliseconds(1))
                }
            }
            for number in 0..<5000 {
                a.say(String(number), to: "t/x")
                if number % 50 == 0 { try await Task.sleep(for: .milliseconds(1)) }
            }
            try await eventually { b.heard.last == "t/x=4999" }
            try await churn.value
            #expect(b.heard == (0..<5000).map { "t/x=\($0)" })
        }
    }

    @Test func isSubscribedOnlyToWhatIsListenedTo() async throws {
        try await withTwoNodes { a, b, _ in
            try await b.listen(to: ["t"])
            #expect(try await a.client.subscriberCount(of: .channel("test:t")) == 1)
            b.backplane.unsubscribe(from: .topic("t"))
            try await eventually { try await a.client.subscriberCount(of: .channel("test:t")) == 0 }
            b.backplane.subscribe(to: .topic("t"))
            try await eventually { try await a.client.subscriberCount(of: .channel("test:t")) == 1 }
        }
    }

    @Test func whatOthersSayOnItsChannelsIsRefused() async throws {
        try await withTwoNodes { a, b, _ in
            try await b.listen(to: ["t"])
            let ids = [UInt8](repeating: 0, count: 16)
            for bytes in [[], [1], [9, 9] + ids, [1, 1] + ids + [0xFF]] as [[UInt8]] {
                a.client.publish(ByteBuffer(bytes: bytes), to: "test:t")
            }
            a.say("x", to: "t")
            try await eventually { !b.heard.isEmpty }
            #expect(b.heard == ["t=x"])
        }
    }

    // MARK: Faults

    @Test func comesBackAfterRedisWasKilled() async throws {
        try await withTwoNodes { a, b, redis in
            try await b.listen(to: ["t"], matching: ["p/+"])
            redis.killNow()
            try await eventually { a.client.status.state == .connecting && b.client.status.state == .connecting }
            #expect(!b.isListening(to: ["t"]))
            a.say("lost", to: "t")
            try await eventually { a.client.status.publicationsDropped == 1 }
            #expect(a.client.status.lastError != nil)

            let again = try await RedisServerProcess.start(port: redis.port)
            defer { again.stop() }
            try await eventually { a.client.status.state == .ready && b.isListening(to: ["t"], matching: ["p/+"]) }
            a.say("found", to: "t")
            a.say("found", to: "p/1")
            try await eventually { b.heard.count >= 2 }
            #expect(b.heard == ["t=found", "p/1=found"])
            #expect(a.client.status.lastError == nil)
        }
    }

    @Test func sendsWhatWasKeptMeanwhile() async throws {
        try await withTwoNodes { _, b, redis in
            try await b.listen(to: ["t"])
            // It has only begun to connect when it speaks.
            let late = TestNode(port: redis.port) { $0.whileUnreachable = .keep(maxBytes: 10_000) }
            for number in 0..<3 { late.say(String(number), to: "t") }
            try await eventually { b.heard.count >= 3 }
            #expect(b.heard == ["t=0", "t=1", "t=2"])
            await late.client.close()
        }
    }

    @Test func noticesARedisThatIsStopped() async throws {
        let quick: (inout RedisConfiguration) -> Void = {
            $0.pingInterval = .milliseconds(300)
            $0.replyTimeout = .seconds(1)
            $0.connectTimeout = .seconds(1)
        }
        try await withTwoNodes(quick) { a, b, redis in
            try await b.listen(to: ["t"])
            redis.signal(SIGSTOP)
            a.say("lost", to: "t")
            try await eventually { a.client.status.state == .connecting && b.client.status.state == .connecting }
            try await eventually { a.client.status.publicationsDropped == 1 }
            redis.signal(SIGCONT)
            try await eventually {
                a.say("found", to: "t")
                return b.heard.contains("t=found")
            }
        }
    }

    @Test func aSlowRedisCostsBoundedMemory() async throws {
        try await withTwoNodes {
            $0.maxPendingBytes = 100_000
        } _: { a, _, redis in
            redis.signal(SIGSTOP)
            defer { redis.signal(SIGCONT) }
            for _ in 0..<50 { a.say(String(repeating: "x", count: 10_000), to: "t") }
            try await eventually { a.client.status.publicationsDropped >= 40 }
        }
    }

    // MARK: With passwords and servers

    @Test func logsInWithAPassword() async throws {
        try await withRedis(["--requirepass", "secret"]) { redis in
            let (right, wrong) = (TestNode(port: redis.port) { $0.url.password = "secret" }, TestNode(port: redis.port))
            try await eventually { right.client.status.state == .ready }
            try await eventually { wrong.client.status.lastError?.contains("NOAUTH") == true }
            await right.client.close()
            await wrong.client.close()
            #expect(right.client.status.state == .closed)
        }
    }

    @Test func speaksRESP2ToARedisWithoutHello() async throws {
        let settings: (inout RedisConfiguration) -> Void = {
            $0.url.password = "secret"
            $0.url.database = 3
            $0.pingInterval = .milliseconds(20)
        }
        let arguments = ["--rename-command", "HELLO", "", "--requirepass", "secret"]
        try await withTwoNodes(redis: arguments, settings) { a, b, redis in
            try await b.listen(to: ["t", "end"], matching: ["p/+", "#"])
            for number in 0..<500 { a.say(String(number), to: number % 2 == 0 ? "t" : "p/x") }
            // Some pings among it.
            try await Task.sleep(for: .milliseconds(100))
            a.say("", to: "end")
            try await eventually { b.heard.last == "end=" }
            #expect(b.heard.dropLast() == (0..<500).map { $0 % 2 == 0 ? "t=\($0)" : "p/x=\($0)" }[...])
            b.backplane.unsubscribe(from: .topic("t"))
            try await eventually { try await a.client.subscriberCount(of: .channel("test:t")) == 0 }
            #expect(a.client.status.connectionsLost == 0 && b.client.status.connectionsLost == 0)
        }
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl"), "openssl is not installed"))
    func speaksTLSToWhomItTrusts() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "duplex-redis-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (certificate, key) = (folder.appending(path: "cert.pem").path, folder.appending(path: "key.pem").path)
        try run(
            "/usr/bin/openssl",
            [
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj",
                "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost",
            ])
        let arguments = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no"]
        let trusting: (inout RedisConfiguration) -> Void = {
            $0.url.host = "localhost"
            $0.url.isTLS = true
            $0.tls.trustRoots = .file(certificate)
        }
        try await withTwoNodes(redis: arguments, isTLS: true, trusting) { a, b, redis in
            try await b.listen(to: ["t"])
            a.say("x", to: "t")
            try await eventually { b.heard == ["t=x"] }
            let stranger = TestNode(port: redis.port) {
                $0.url.host = "localhost"
                $0.url.isTLS = true
            }
            try await eventually { stranger.client.status.lastError?.contains("CERTIFICATE_VERIFY_FAILED") == true }
            await stranger.client.close()
        }
    }

    private func run(_ program: String, _ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    @Test func aNodeServesWithoutRedis() async throws {
        // Nobody listens on this port: it was Redis's, which is gone.
        let port = try await withRedis { $0.port }
        try await withServer(redis: port) { server, node in
            let (sockets, feed) = AsyncStream<Message>.makeStream()
            let client = Task { try await hear("t", of: server, feed) }
            try await eventually { await server.subscriberCount(of: "t") == 1 }
            server.publish(.text("local"), to: "t")
            var iterator = sockets.makeAsyncIterator()
            #expect(await iterator.next()?.text == "local")
            try await eventually { node.status.lastError != nil && node.status.publicationsDropped == 1 }
            client.cancel()
            _ = try? await client.value
        }
    }

    @Test func twoServersAreOne() async throws {
        try await withRedis { redis in
            try await withServer(redis: redis.port) { a, _ in
                try await withServer(redis: redis.port) { b, link in
                    let (sockets, feed) = AsyncStream<Message>.makeStream()
                    let client = Task { try await hear("t", of: b, feed) }
                    try await eventually { (try? await link.subscriberCount(of: .channel("duplex:t"))) == 1 }
                    var iterator = sockets.makeAsyncIterator()
                    // Redis has it; whether a is connected already is another matter.
                    try await eventually {
                        a.publish(.text("from a"), to: "t")
                        return b.statistics.sent > 0
                    }
                    #expect(await iterator.next()?.text == "from a")
                    client.cancel()
                    _ = try? await client.value
                }
            }
        }
    }

    /// Who is on a topic is known to all nodes, and again after Redis was gone.
    @Test func whoIsThereIsKnownToAllNodes() async throws {
        try await withRedis { redis in
            try await withServer(redis: redis.port) { first, _ in
                try await withServer(redis: redis.port) { second, _ in
                    let servers = [first, second]
                    func until(_ members: [Set<String>]) async throws {
                        try await eventually { servers.map { Set($0.members(of: "t").map(\.id)) } == members }
                    }
                    let both: Set = ["0", "1"]
                    let clients = servers.enumerated().map { number, server in
                        Task { try await hear("t?as=\(number)", of: server, AsyncStream.makeStream().continuation) }
                    }
                    try await until([both, both])
                    for server in servers { try await eventually { await server.subscriberCount(of: "t") == 2 } }
                    redis.killNow()
                    try await until([["0"], ["1"]])
                    let again = try await RedisServerProcess.start(port: redis.port)
                    defer { again.stop() }
                    try await until([both, both])
                    clients[0].cancel()
                    try await until([["1"], ["1"]])
                    clients[1].cancel()
                    try await until([[], []])
                }
            }
        }
    }

    private func withServer(redis port: Int, _ body: (WebSocketServer, RedisClient) async throws -> Void) async throws {
        let redis = RedisClient(RedisConfiguration(url: RedisURL(port: port)))
        var configuration = WebSocketServer.Configuration(threads: 2)
        configuration.drainTimeout = .zero
        configuration.backplane = RedisBackplane(redis)
        configuration.backplaneHeartbeat = .milliseconds(50)
        let server = WebSocketServer(port: 0, configuration: configuration)
        server.webSocket("/{topic}", upgrade: { .accept($0.query("as")) }) { (socket: WebSocket, id: String?) in
            try socket.subscribe(socket.parameters["topic"] ?? "", as: id.map { PresenceMember(id: $0) })
            for try await _ in socket {}
        }
        let run = Task { try await server.run() }
        _ = try await server.waitUntilListening()
        let result = await Result { try await body(server, redis) }
        run.cancel()
        _ = try? await run.value
        await redis.close()
        try result.get()
    }

    private func hear(_ topic: String, of server: WebSocketServer, _ feed: AsyncStream<Message>.Continuation) async throws {
        let port = try await server.waitUntilListening().port ?? 0
        try await WebSocketClient.connect("ws://127.0.0.1:\(port)/\(topic)") { socket in
            for try await message in socket { feed.yield(message) }
        }
    }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
