// A server from its first connection to its last.

import Logging
import NIOCore
import ServiceLifecycle
import Synchronization
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.serialized, .timeLimit(.minutes(1))) struct ServerRunnerTests {
    static let goingAway: [UInt8] = [0x88, 0x17, 0x03, 0xE9] + Array("the server shuts down".utf8)

    /// Runs a server as a service until the body has it shut down.
    private func serving(
        _ adjust: (inout WebSocketServer.Configuration) -> Void = { _ in }, routes: (WebSocketServer) -> Void = addEchoes,
        _ body: (Int, WebSocketServer, ServiceGroup) async throws -> Void
    ) async throws {
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.drainTimeout = .seconds(60)
        adjust(&configuration)
        let server = WebSocketServer(port: 0, configuration: configuration)
        routes(server)
        let group = ServiceGroup(configuration: .init(services: [.init(service: server)], logger: Logger(label: "test")))
        let run = Task { try await group.run() }
        defer { run.cancel() }
        try await body(try await server.waitUntilListening().port ?? 0, server, group)
        try await run.value
    }

    // MARK: Draining

    @Test func drainsInOrder() async throws {
        try await serving { port, server, group in
            let client = try await RawClient.open(port: port)
            let idle = try await RawClient.connect(port: port)
            try await idle.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try await idle.readResponse().body == "hello")
            await group.triggerGracefulShutdown()
            #expect(await client.read(25) == Self.goingAway)
            // Nobody new gets in, and who is connected opens nothing more.
            await #expect(throws: (any Error).self) { try await RawClient.connect(port: port) }
            try await idle.send(RawClient.handshake())
            let refusal = try await idle.readHead()
            #expect(refusal.hasPrefix("HTTP/1.1 503 "))
            #expect(field("Connection", in: refusal) == "close")
            // The handshake that ends it ends the server, long before the drain time is over.
            try await client.send([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE9])
            #expect(await client.readToEnd() == [])
        }
    }

    @Test func spreadsTheClosesOverTheDrainTime() {
        #expect(ServerRunner.spread(of: 0, within: .seconds(30)) == .zero)
        #expect(ServerRunner.spread(of: 100, within: .seconds(30)) == .seconds(1))
        #expect(ServerRunner.spread(of: 100_000, within: .seconds(30)) == .seconds(20))
    }

    @Test func closesEveryConnection() async throws {
        try await serving { port, _, group in
            var clients: [RawClient] = []
            for _ in 0..<5 { clients.append(try await RawClient.open(port: port)) }
            await group.triggerGracefulShutdown()
            for client in clients {
                #expect(await client.read(25) == Self.goingAway)
                try await client.send([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE9])
                #expect(await client.readToEnd() == [])
            }
        }
    }

    @Test func waitsForTheAnswerOfARequest() async throws {
        let (begun, begin) = AsyncStream<Void>.makeStream()
        let (go, letGo) = AsyncStream<Void>.makeStream()
        try await serving(routes: { server in
            server.http { _ in
                begin.yield()
                for await _ in go { break }
                return .text("late")
            }
        }) { port, server, group in
            let client = try await RawClient.connect(port: port)
            try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            for await _ in begun { break }
            await group.triggerGracefulShutdown()
            while !server.core.isDraining { await Task.yield() }
            letGo.yield()
            let answer = String(decoding: await client.readToEnd(), as: UTF8.self)
            #expect(answer.hasSuffix("\r\n\r\nlate"))
            #expect(field("Connection", in: answer) == "close")
        }
    }

    @Test func cutsWhatRemainsWhenTheDrainTimeIsOver() async throws {
        let ended = Atomic(false)
        try await serving(
            { $0.drainTimeout = .milliseconds(50) },
            routes: { server in
                server.webSocket("/") { socket in
                    defer { ended.store(true, ordering: .releasing) }
                    for try await _ in socket {}
                }
            }
        ) { port, server, group in
            let client = try await RawClient.open(port: port, path: "/")
            await group.triggerGracefulShutdown()
            // It never answers the close frame.
            #expect(await client.readToEnd() == Self.goingAway)
        }
        let hasEnded = ended.load(ordering: .acquiring)
        #expect(hasEnded, "the server ended before its handler did")
    }

    @Test func saysFarewellToAllEvenWhenCancelled() async throws {
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.drainTimeout = .seconds(60)
        let server = WebSocketServer(port: 0, configuration: configuration)
        addEchoes(to: server)
        let run = Task { try await server.run() }
        let port = try await server.waitUntilListening().port ?? 0
        let clients = [try await RawClient.open(port: port), try await RawClient.open(port: port)]
        run.cancel()
        for client in clients { #expect(await client.readToEnd() == Self.goingAway) }
        try await run.value
    }

    // MARK: Starting

    @Test func saysThatThePortIsInUse() async throws {
        try await withServer { port, _ in
            let second = WebSocketServer(port: port)
            let waiting = Task { try await second.waitUntilListening() }
            let error = await #expect(throws: ServerError.self) { try await second.run() }
            #expect(error?.description == "port \(port) on 127.0.0.1 is in use: stop the other server, or choose another port")
            await #expect(throws: ServerError.self) { try await waiting.value }
        }
    }

    @Test func saysThatItCanNotListen() async throws {
        let error = await #expect(throws: ServerError.self) { try await WebSocketServer(host: "192.0.2.1", port: 0).run() }
        #expect(error?.description.hasPrefix("can not listen on 192.0.2.1, port 0: ") == true)
    }

    @Test func saysThatACertificateCanNotBeRead() async throws {
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.tls = ServerTLS(certificateChain: "/no/such.pem", privateKey: "/no/such.key")
        let server = WebSocketServer(port: 0, configuration: configuration)
        let error = await #expect(throws: ServerError.self) { try await server.run() }
        #expect(error?.description.contains("/no/such.pem") == true)
    }

    @Test func leavesThePortFree() async throws {
        let port = try await withServer { port, _ in port }
        let second = WebSocketServer(port: port, configuration: .forTests())
        let run = Task { try await second.run() }
        try await #expect(second.waitUntilListening().port == port)
        run.cancel()
        try await run.value
    }

    // MARK: Afterwards

    /// Whoever still asks what belonged to the server is answered, and whatever ran beside a connection goes on.
    @Test(arguments: [WebSocketServer.Transport.automatic, .nio])
    func nobodyWaitsForAServerThatHasEnded(transport: WebSocketServer.Transport) async throws {
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.transport = transport
        let (sockets, streams) = (Box<[WebSocket]>([]), Box<[ResponseStream]>([]))
        let (isHere, isOver) = (Gate(), Gate())
        let beside = Box<Task<Bool, any Error>?>(nil)
        try await withServer(configuration) { server in
            server.webSocket("/") { socket in
                sockets.change { $0.append(socket) }
                beside.value = Task(executorPreference: socket.executor) {
                    isHere.open()
                    await isOver.wait()
                    try await Task.sleep(for: .milliseconds(1))
                    return socket.thread.isCurrent
                }
                _ = await socket.waitUntilClosed()
            }
            server.http { _ in
                .stream { stream in
                    streams.change { $0.append(stream) }
                    try await stream.write("begun")
                    try await Task.sleep(for: .seconds(1000))
                }
            }
        } _: { port, _ in
            let client = try await RawClient.open(port: port, path: "/")
            let other = try await RawClient.connect(port: port)
            try await other.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try await other.readHead()
            await isHere.wait()
            while streams.value.isEmpty { await Task.yield() }
            withExtendedLifetime(client) {}
        }
        let (socket, stream) = (try #require(sockets.value.first), try #require(streams.value.first))
        await #expect(throws: ConnectionClosed.self) { for try await _ in socket {} }
        await #expect(throws: (any Error).self) { try await socket.send("x") }
        await #expect(throws: (any Error).self) { try await socket.ping() }
        await #expect(throws: (any Error).self) { try await socket.sendMessage(.text) { _ in } }
        await #expect(throws: NetworkError.self) { try await stream.write("x") }
        _ = await socket.waitUntilClosed()
        #expect(socket.trySend(.text("x")) == .dropped)
        isOver.open()
        #expect(try await beside.value?.value == true)
    }

    // MARK: Limits

    @Test func answersConnectionsOverTheLimitWith503() async throws {
        let log = LogRecorder()
        var configuration = WebSocketServer.Configuration.forTests(log: log)
        configuration.maxConnections = 2
        try await withServer(configuration) { port, server in
            let first = try await RawClient.open(port: port)
            let second = try await RawClient.open(port: port)
            let answer = try await RawClient.answer(port: port, to: RawClient.handshake().utf8)
            #expect(answer.hasPrefix("HTTP/1.1 503 "))
            // Those within it go on, and a place that is free is given again.
            try await first.send([0x81, 0x81, 0, 0, 0, 0, 0x61])
            #expect(await first.read(3) == [0x81, 0x01, 0x61])
            await second.close()
            while server.statistics.open > 1 { await Task.yield() }
            var third = try? await RawClient.open(port: port)
            // The refused connection, too, counts until it has ended.
            while third == nil { third = try? await RawClient.open(port: port) }
            await third?.close()
        }
        #expect(log.shown.first?.text == "refused: too many connections (limit maxConnections)")
    }

    @Test(arguments: [1, 3])
    func servesOnAsManyThreads(_ count: Int) async throws {
        let seen = Mutex<Set<ObjectIdentifier>>([])
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.threads = count
        try await withServer(
            configuration,
            routes: { server in
                server.webSocket("/") { (socket: WebSocket) in
                    seen.withLock { _ = $0.insert(ObjectIdentifier(socket.thread)) }
                    return TestEcho()
                }
            }
        ) { port, _ in
            for _ in 0..<4 * count { await (try await RawClient.open(port: port, path: "/")).close() }
        }
        #expect(seen.withLock { $0.count } == count)
    }
}
