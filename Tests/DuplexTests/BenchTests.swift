// `duplex bench` against a server in this process: little load, short times, and no time is asserted.

import ArgumentParser
import HTTPTypes
import NIOCore
import Testing
import WebSocketCore
import WebSocketDeflate

@testable import WebSockets
@testable import duplex

@Suite(.timeLimit(.minutes(2))) struct BenchTests {
    private func parse(_ arguments: [String]) throws -> any ParsableCommand { try Duplex.parseAsRoot(["bench"] + arguments) }

    private func small(_ kind: BenchPlan.Kind, _ url: String, connections: Int = 4, threads: Int = 1) -> BenchPlan {
        var plan = BenchPlan(kind: kind, url: url, connections: connections)
        plan.seconds = 0.2
        plan.warmUp = 0.05
        plan.threads = threads
        // Longer than the slowest machine takes.
        plan.patience = 600
        plan.drain = 600
        return plan
    }

    /// Carries a plan out, with more time if the machine was too busy to do anything in that while.
    private func carryOut(_ plan: BenchPlan, atLeast count: Int = 1) async throws -> BenchResult {
        var plan = plan
        while true {
            let result = try await BenchRun(plan).carryOut()
            if (result.messages ?? result.handshakes ?? 0) >= count { return result }
            try Task.checkCancellation()
            plan.seconds *= 4
        }
    }

    // MARK: Arguments

    @Test func takesEverything() throws {
        let echo = try #require(
            try parse([
                "echo", "wss://a.example/", "--connections", "7", "--size", "9", "--depth", "3", "--seconds", "2", "--warm-up", "0.5",
                "--threads", "2", "--parallel", "5", "--pid", "77", "--json", "--compression", "shared", "--insecure", "-H", "A: b",
                "--subprotocol", "x",
            ]) as? Bench.Echo)
        let plan = try echo.plan()
        #expect(echo.options.json)
        #expect((plan.kind, plan.url, plan.connections, plan.size, plan.depth) == (.echo, "wss://a.example/", 7, 9, 3))
        #expect((plan.seconds, plan.warmUp, plan.threads, plan.parallel, plan.pid) == (2, 0.5, 2, 5, 77))
        #expect(plan.configuration.connection.compression == .shared)
        #expect(echo.options.client.insecure)
        #expect(plan.configuration.headers.map(\.value) == ["b"])
        #expect(plan.configuration.subprotocols == ["x"])
    }

    @Test func defaults() throws {
        let echo = try #require(try parse(["echo", "ws://a"]) as? Bench.Echo).plan()
        #expect((echo.connections, echo.size, echo.depth, echo.rate) == (100, 20, 1, nil))
        #expect((echo.seconds, echo.warmUp) == (10, 1))
        #expect(echo.configuration.connection.compression == .off)
        let latency = try #require(try parse(["latency", "ws://a"]) as? Bench.Latency).plan()
        #expect((latency.connections, latency.rate) == (10, 1000))
        let broadcast = try #require(try parse(["broadcast", "ws://a"]) as? Bench.Broadcast).plan()
        #expect((broadcast.connections, broadcast.publishers, broadcast.senders, broadcast.answersPerMessage) == (100, 1, 1, 100))
        #expect(try #require(try parse(["idle", "ws://a"]) as? Bench.Idle).plan().connections == 1000)
        #expect(try #require(try parse(["handshake", "ws://a"]) as? Bench.Handshake).plan().connections == 50)
    }

    @Test func thereAreNoMoreThreadsThanConnections() throws {
        let echo = try #require(try parse(["echo", "ws://a", "--threads", "8", "--connections", "3"]) as? Bench.Echo)
        #expect(try echo.plan().threads == 3)
    }

    @Test(arguments: [
        ["echo"], ["nonsense", "ws://a"], ["echo", "ws://a", "--connections", "0"], ["echo", "ws://a", "--depth", "0"],
        ["echo", "ws://a", "--rate", "0"], ["echo", "ws://a", "--rate", "nan"], ["echo", "ws://a", "--rate", "5", "--depth", "2"],
        ["echo", "ws://a", "--size=-1"], ["echo", "ws://a", "--seconds", "0"], ["echo", "ws://a", "--seconds", "nan"],
        ["echo", "ws://a", "--warm-up=-1"], ["echo", "ws://a", "--threads", "0"], ["echo", "ws://a", "--parallel", "0"],
        ["echo", "ws://a", "--pid", "0"], ["echo", "ws://a", "--size", "16777216", "--depth", "65"],
        ["echo", "ws://a", "--insecure", "--ca-certificate", "a"], ["idle", "ws://a", "--warm-up", "1"], ["idle", "ws://a", "--size", "1"],
        ["broadcast", "ws://a", "--size", "15"], ["broadcast", "ws://a", "--publishers", "101"],
        ["broadcast", "ws://a", "--publishers", "0"], ["latency", "ws://a", "--depth", "2"], ["latency", "ws://a", "--rate", "inf"],
        ["handshake", "ws://a", "--rate", "1"], ["handshake", "ws://a", "--connections", "10001"],
    ])
    func refuses(_ arguments: [String]) throws {
        let error = #expect(throws: (any Error).self) { try parse(arguments) }
        #expect(try Duplex.exitCode(for: #require(error)) == ExitCode(64))
    }

    // MARK: Every kind, against the server

    @Test(arguments: [1, 3], [0, 20, 70_000])
    func echo(_ threads: Int, _ size: Int) async throws {
        try await serving { url, _ in
            var plan = small(.echo, url + "/echo", threads: threads)
            plan.size = size
            plan.depth = 3
            let result = try await carryOut(plan, atLeast: 4)
            #expect(result.problems == [])
            #expect(try #require(result.messages) > 0)
            #expect(try #require(result.latencyMicroseconds).count >= 4)
            #expect(result.latencyAsSentMicroseconds == nil)
            #expect(result.url == url + "/echo")
            #expect(result.errors.total == 0)
        }
    }

    @Test func echoAtARate() async throws {
        try await serving { url, _ in
            var plan = small(.latency, url + "/echo", threads: 2)
            plan.rate = 500
            plan.warmUp = 0
            let result = try await carryOut(plan)
            #expect(result.problems == [])
            // Everything that was due while it was measured was sent and timed, whatever the machine was busy with.
            #expect(try #require(result.latencyMicroseconds).count > 0)
            #expect(result.latencyMicroseconds?.count == result.latencyAsSentMicroseconds?.count)
            #expect(result.client.sendLagMicroseconds != nil)
            #expect((result.rate, result.depth) == (500, nil))
        }
    }

    @Test(arguments: [1, 2], [1, 3])
    func broadcast(_ threads: Int, _ publishers: Int) async throws {
        try await serving { url, _ in
            var plan = small(.broadcast, url + "/broadcast", connections: 5, threads: threads)
            plan.publishers = publishers
            plan.depth = 2
            plan.size = 32
            let result = try await carryOut(plan)
            #expect(result.problems == [])
            #expect(result.errors.missing == 0)
            #expect(try #require(result.messages) > 0)
            #expect(result.publishers == publishers)
        }
    }

    @Test func handshake() async throws {
        try await serving { url, server in
            let result = try await carryOut(small(.handshake, url + "/echo"))
            #expect(result.problems == [])
            #expect(try #require(result.handshakes) > 0)
            #expect(result.latencyMicroseconds?.count == result.handshakes)
            #expect(result.messages == nil)
            let counted = try #require(result.handshakes)
            #expect(server.statistics.total > counted)
        }
    }

    @Test func idle() async throws {
        try await serving { url, server in
            var plan = small(.idle, url + "/echo", connections: 30, threads: 2)
            plan.parallel = 3
            let result = try await BenchRun(plan).carryOut()
            #expect(result.problems == [])
            #expect(result.handshakes == 30)
            #expect(server.statistics.total == 31, "and one before the others, to see whether it works")
            #if os(Linux)
            // The server is this very process, and is found, unless another test beside this one holds all descriptors just now.
            if let server = result.server { #expect(server.residentBytes != nil) }
            #endif
        }
    }

    // MARK: What can go wrong

    @Test func aServerThatSendsBackSomethingElseIsTold() async throws {
        try await withServer({ socket, message in
            socket.trySend(.text("changed"))
            socket.trySend(.text("changed"))
        }) { url in
            await #expect(
                throws: BenchError(
                    "the server sends back something else than it gets (20 bytes went out binary, 7 came back text); is it an echo server?")
            ) {
                var plan = small(.echo, url)
                plan.seconds = 60
                _ = try await BenchRun(plan).carryOut()
            }
        }
    }

    @Test func aServerThatSendsMoreThanItGetsIsTold() async throws {
        try await withServer({ socket, message in
            socket.trySend(message)
            socket.trySend(message)
        }) { url in
            let error = await #expect(throws: BenchError.self) {
                var plan = small(.latency, url)
                plan.rate = 10
                plan.seconds = 60
                _ = try await BenchRun(plan).carryOut()
            }
            #expect(error?.description.hasPrefix("the server sends more than it gets") == true)
        }
    }

    @Test func aServerThatSaysNothingIsTold() async throws {
        try await withServer({ _, _ in }) { url in
            var plan = small(.echo, url)
            plan.drain = 0.1
            let result = try await BenchRun(plan).carryOut()
            #expect(result.problems.first?.contains("send back what it gets") == true)
            #expect(result.errors.missing == 4)
        }
    }

    @Test func aGreetingIsNoAnswer() async throws {
        let server = WebSocketServer(port: 0, configuration: .init(drainTimeout: .zero))
        server.webSocket("/") { socket in
            try await socket.send("welcome")
            for try await message in socket { try await socket.send(message) }
        }
        try await running(server) { url in
            let result = try await carryOut(small(.echo, url))
            #expect(result.problems == [])
            #expect(try #require(result.messages) > 0)
            #expect(result.notes.contains("4 messages came that this end had not asked for"))
        }
    }

    @Test func lostConnectionsAreTold() async throws {
        try await withServer({ socket, _ in try? socket.close(code: .policyViolation, reason: "no") }) { url in
            var plan = small(.echo, url)
            plan.seconds = 60
            let result = try await BenchRun(plan).carryOut()
            #expect(result.errors.lost == 4)
            #expect(result.problems == ["4 connections were lost, the first was closed by the server: 1008 (policy violation) “no”"])
        }
    }

    @Test func whoIsNotHeardIsTold() async throws {
        // Says everything to its speaker alone.
        try await withServer({ socket, message in socket.trySend(message) }) { url in
            var plan = small(.broadcast, url)
            plan.drain = 0.1
            let result = try await BenchRun(plan).carryOut()
            #expect(result.errors.missing > 0)
            #expect(result.problems.count == 1)
            #expect(result.problems.first?.contains("; only who said them got any: ") == true)
        }
    }

    /// With room for three connections, at /.
    private func smallServer() -> WebSocketServer {
        let server = WebSocketServer(port: 0, configuration: .init(maxConnections: 3, drainTimeout: .zero))
        server.webSocket("/") { (_: WebSocket) in EchoHandler() }
        return server
    }

    @Test func aServerThatIsFullIsTold() async throws {
        try await running(smallServer()) { url in
            let error = await #expect(throws: BenchError.self) { try await BenchRun(small(.echo, url, connections: 5)).carryOut() }
            #expect(error?.description.hasPrefix("not all of the 5 connections could be opened: ws://127.0.0.1:") == true)
        }
    }

    @Test func aFullServersConnectionsAreHeld() async throws {
        try await running(smallServer()) { url in
            let result = try await BenchRun(small(.idle, url, connections: 20)).carryOut()
            #expect(result.errors.refused > 0)
            #expect(try #require(result.handshakes) <= 3)
            #expect(result.problems.first?.contains("503") == true)
        }
    }

    @Test func nobodyListens() async throws {
        await #expect(throws: ConnectError.self) { try await BenchRun(small(.echo, "ws://127.0.0.1:1/")).carryOut() }
        await #expect(throws: InvalidURL.self) { try await BenchRun(small(.echo, "nonsense")).carryOut() }
    }

    @Test func cancelledItTellsWhatThereIs() async throws {
        try await serving { url, _ in
            var plan = small(.echo, url + "/echo")
            plan.seconds = 3600
            plan.warmUp = 0
            let run = BenchRun(plan)
            let work = Task { try await run.carryOut() }
            while run.progress.total == 0 { await Task.yield() }
            work.cancel()
            let result = try await work.value
            #expect(result.isInterrupted)
            #expect(result.problems == [], "what was under way is waited for")
            #expect(result.notes.contains("ended early, by an interrupt"))
            #expect(try #require(result.messagesPerSecond) >= 0)
        }
    }
}

/// Serves a handler at / while the body runs.
private func withServer(_ received: @escaping @Sendable (WebSocket, Message) -> Void, _ body: (String) async throws -> Void) async throws {
    struct Handler: WebSocketHandler {
        let take: @Sendable (WebSocket, Message) -> Void
        func received(_ message: Message, from socket: WebSocket) { take(socket, message) }
    }
    let server = WebSocketServer(port: 0, configuration: .init(drainTimeout: .zero))
    server.webSocket("/") { (_: WebSocket) in Handler(take: received) }
    try await running(server, body)
}

private func running(_ server: WebSocketServer, _ body: (String) async throws -> Void) async throws {
    let run = Task { try await server.run() }
    defer { run.cancel() }
    try await body("ws://127.0.0.1:\(server.waitUntilListening().port ?? 0)/")
    run.cancel()
    try await run.value
}
