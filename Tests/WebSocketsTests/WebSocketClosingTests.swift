// How a connection ends: RFC 6455 §7.

import NIOCore
import NIOPosix
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct WebSocketClosingTests {
    /// The calls of one connection come one after another, whatever moves its bytes.
    @Test(arguments: WebSocketServer.Transport.allCases)
    func terminateTellsTheHandlerAfterwards(_ transport: WebSocketServer.Transport) async throws {
        let events = Box<[String]>([])
        let isOver = Gate()
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.transport = transport
        let routes = { (server: WebSocketServer) in
            server.webSocket("/") { (_: WebSocket) in
                ClosureHandler(
                    whenReceived: { _, socket in
                        socket.terminate()
                        events.change { $0.append("terminated") }
                        #expect(socket.trySend(.text("y")) == .dropped)
                    },
                    whenClosed: { _ in
                        events.change { $0.append("closed") }
                        isOver.open()
                    })
            }
        }
        try await withServer(configuration, routes: routes) { port, _ in
            try await WebSocketClient.connect("ws://127.0.0.1:\(port)/", configuration: .patient) { socket in
                try await socket.send("x")
                await isOver.wait()
            }
        }
        #expect(events.value == ["terminated", "closed"])
    }

    // MARK: Who begins

    @Test func theServerBegins() throws {
        let bench = SocketBench()
        let closed = bench.begin { await $0.waitUntilClosed() }
        #expect(bench.thread.openSockets.count == 1)
        try bench.socket.close(code: CloseCode(rawValue: 4001), reason: "enough")
        #expect(bench.socket.readyState == .closing)
        bench.run()
        #expect(try bench.frames == [.close(4001, "enough")])
        #expect(!bench.transport.isClosed)
        bench.receive(.close(4001))
        // §7.1.1: the server closes TCP first.
        #expect(bench.transport.isClosed)
        #expect(bench.socket.readyState == .closed)
        #expect(bench.thread.openSockets.isEmpty)
        #expect(closed.value == Closure(code: CloseCode(rawValue: 4001), reason: "enough", initiator: .local, isClean: true))
    }

    @Test(arguments: [Role.server, .client]) func thePeerBegins(role: Role) throws {
        let bench = SocketBench(role: role)
        let closed = bench.begin { await $0.waitUntilClosed() }
        let messages = bench.begin { socket in for try await _ in socket {} }
        bench.receive(.close(4002, "bye"))
        // The messages end with the peer's close, not with TCP.
        #expect((messages.error as? ConnectionClosed)?.closure.reason == "bye")
        #expect(try bench.frames == [.close(4002)])
        // A client leaves the end of TCP to the server.
        #expect(bench.transport.isClosed == (role == .server))
        bench.transport.terminate()
        bench.run()
        #expect(closed.value == Closure(code: CloseCode(rawValue: 4002), reason: "bye", initiator: .remote, isClean: true))
    }

    @Test func aCloseWithoutACodeIsAnsweredWithoutOne() throws {
        let bench = SocketBench()
        let closed = bench.begin { await $0.waitUntilClosed() }
        bench.receive(WireFrame(opcode: 8, payload: []))
        #expect(try bench.frames == [WireFrame(opcode: 8, payload: [])])
        #expect(closed.value?.code == .noStatusReceived)
    }

    @Test func aSecondCloseDoesNothing() throws {
        let bench = SocketBench()
        bench.socket.close()
        try bench.socket.close(code: .goingAway)
        bench.run()
        #expect(try bench.frames == [.close(1000)])
    }

    // MARK: What may not be sent

    @Test(arguments: [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] as [UInt16])
    func refusesCodesThatMayNotBeSent(code: UInt16) {
        let bench = SocketBench()
        #expect(throws: UsageError(.invalidCloseCode)) { try bench.socket.close(code: CloseCode(rawValue: code)) }
        bench.run()
        #expect(bench.transport.written.isEmpty)
        #expect(bench.socket.readyState == .open)
    }

    @Test func refusesAReasonOver123Bytes() throws {
        let bench = SocketBench()
        #expect(throws: UsageError(.closeReasonTooLong)) {
            try bench.socket.close(code: .goingAway, reason: String(repeating: "ä", count: 62))
        }
        let longest = String(repeating: "ä", count: 61) + "."
        try bench.socket.close(code: .goingAway, reason: longest)
        bench.run()
        #expect(try bench.frames == [.close(1001, longest)])
    }

    // MARK: What waits to be sent

    @Test func whatWasSentBeforeLeavesFirst() throws {
        let bench = SocketBench()
        bench.transport.stall()
        let payload = [UInt8](repeating: 1, count: 70_000)
        for _ in 0..<3 { bench.socket.trySend(.binary(payload)) }
        bench.socket.close()
        bench.run()
        bench.receive(.close(1000))
        #expect(!bench.transport.isClosed)
        bench.take(150_000)
        #expect(!bench.transport.isClosed)
        bench.take()
        #expect(try bench.frames == [.binary(payload), .binary(payload), .binary(payload), .close(1000)])
        #expect(bench.transport.isClosed)
    }

    @Test func whatAnswersTheLastMessagesLeavesBeforeTheAnswerToTheClose() throws {
        let bench = SocketBench(handler: ClosureHandler(whenReceived: { message, socket in socket.trySend(message) }))
        bench.receive(WireFrame.text("a").encoded(masked: true) + WireFrame.close(1000).encoded(masked: true))
        #expect(try bench.frames == [.text("a"), .close(1000)])
    }

    /// The same for who awaits the messages, and finds them only when its task runs.
    @Test func whoAwaitsTheLastMessagesMayAnswerThem() throws {
        let bench = SocketBench()
        let echo = bench.begin { socket in
            for try await message in socket { try await socket.send(message) }
        }
        bench.receive(
            WireFrame.text("a").encoded(masked: true) + WireFrame.text("b").encoded(masked: true)
                + WireFrame.close(1000).encoded(masked: true))
        #expect(try bench.frames == [.text("a"), .text("b"), .close(1000)])
        #expect(echo.hasEnded && echo.error == nil)
    }

    // MARK: Deadlines

    @Test func aPeerThatNeverAnswersIsCutOff() throws {
        let bench = SocketBench()
        let closed = bench.begin { await $0.waitUntilClosed() }
        bench.socket.close()
        bench.advance(by: .milliseconds(4999))
        bench.receive(.text("not an answer"))
        #expect(!closed.hasEnded)
        bench.advance(by: .milliseconds(1))
        #expect(closed.value == Closure(code: .normalClosure, initiator: .local, isClean: false))
    }

    @Test func aServerThatDoesNotEndTCPIsCutOff() throws {
        let bench = SocketBench(role: .client)
        bench.receive(.close(1000))
        bench.advance(by: .seconds(5))
        #expect(bench.transport.isClosed)
    }

    @Test func terminateCutsAtOnce() throws {
        let bench = SocketBench()
        let closed = bench.begin { await $0.waitUntilClosed() }
        bench.transport.stall()
        bench.socket.trySend(.text("lost"))
        bench.socket.terminate()
        bench.run()
        #expect(closed.value == Closure(code: .abnormalClosure, initiator: .local, isClean: false))
        #expect(bench.transport.seen == [])
        #expect(bench.socket.bufferedAmount == 0)
        bench.socket.terminate()
        bench.socket.close()
        bench.run()
    }

    // MARK: Faults

    @Test func aBrokenFrameEndsOurSideAndReadsOn() throws {
        let bench = SocketBench()
        let messages = bench.begin { socket in for try await _ in socket {} }
        bench.receive([0xC1, 0x80, 0, 0, 0, 0])
        #expect(try bench.frames.count == 1)
        #expect(Array(try bench.frames[0].payload.prefix(2)) == [0x03, 0xEA])
        // Closing with unread bytes would reset the connection, and the reset would overtake the close frame.
        #expect(bench.transport.isSendingFinished)
        #expect(!bench.transport.isClosed)
        #expect((messages.error as? ConnectionClosed)?.cause is ProtocolError)
        bench.advance(by: .seconds(5))
        #expect(bench.transport.isClosed)
    }

    /// The peer breaks a rule after our close has left: there is nothing left to say, so our side ends.
    @Test func aBrokenFrameAfterOurCloseEndsOurSide() throws {
        let bench = SocketBench()
        bench.socket.close()
        bench.run()
        #expect(!bench.transport.isSendingFinished)
        bench.receive([0xC1, 0x80, 0, 0, 0, 0])
        #expect(try bench.frames == [.close(1000)])
        #expect(bench.transport.isSendingFinished)
    }

    /// What the peer did comes before what that did to the network.
    @Test func theFirstCauseIsKept() throws {
        struct Broken: Error {}
        let bench = SocketBench()
        bench.receive([0xC1, 0x80, 0, 0, 0, 0])
        bench.socket.transportFailed(Broken())
        #expect(bench.socket.closeCause is ProtocolError)
    }

    @Test func aSlowReadersMessagesEndWhenItIsCutOff() throws {
        var configuration = ConnectionConfiguration.quiet
        configuration.maxSendBuffer = 1000
        let bench = SocketBench(configuration)
        bench.transport.stall()
        let messages = bench.begin { socket in for try await _ in socket {} }
        for _ in 0..<3 {
            bench.socket.trySend(.binary([UInt8](repeating: 1, count: 100_000)))
            bench.run()
        }
        #expect(bench.socket.readyState == .closing)
        #expect((messages.error as? ConnectionClosed)?.cause is NetworkError)
    }

    /// Several threads may find at once that there is no room; the second must not take the close frame away.
    @Test func aSlowReaderIsCutOffOnce() throws {
        let bench = SocketBench()
        for _ in 0..<2 { bench.socket.cutOffSlowReader() }
        bench.run()
        #expect(try bench.frames == [.close(1013, "reads too slowly")])
    }

    @Test func theSystemsErrorIsTheCause() throws {
        struct Broken: Error {}
        let bench = SocketBench()
        let messages = bench.begin { socket in for try await _ in socket {} }
        bench.socket.transportFailed(Broken())
        bench.transport.terminate()
        bench.run()
        let error = messages.error as? ConnectionClosed
        #expect((error?.cause as? NetworkError)?.underlying is Broken)
        #expect(error?.closure == Closure(code: .abnormalClosure, initiator: .remote, isClean: false))
    }

    // MARK: Who is told

    @Test func theSequenceEndsOnNormalCodesAndThrowsOnOthers() throws {
        for (code, isNormal) in [(1000, true), (1001, true), (1002, false), (1011, false), (4000, false)] {
            let bench = SocketBench()
            let messages = bench.begin { socket in for try await _ in socket {} }
            bench.receive(.close(UInt16(code)))
            #expect((messages.value != nil) == isNormal, "\(code)")
        }
    }

    /// Whoever closes with a normal code has what they wanted, whether the peer answers or not; other codes, and faults, throw.
    @Test func theSequenceEndsOnOurOwnNormalCloseThoughThePeerNeverAnswers() throws {
        for (code, isNormal) in [(1000, true), (1001, true), (1002, false), (4000, false)] {
            let bench = SocketBench()
            let messages = bench.begin { socket in for try await _ in socket {} }
            try bench.socket.close(code: CloseCode(rawValue: UInt16(code)))
            bench.transport.terminate()
            bench.run()
            #expect((messages.value != nil) == isNormal, "\(code)")
        }
        let bench = SocketBench()
        let messages = bench.begin { socket in for try await _ in socket {} }
        bench.socket.close()
        bench.receive([0xC1, 0x80, 0, 0, 0, 0])
        #expect((messages.error as? ConnectionClosed)?.cause is ProtocolError)
    }

    /// A program may hold a socket for long after its end.
    @Test func aClosedSocketHoldsNothingOfItsConnection() throws {
        weak var handler: Held?
        let bench: SocketBench
        do {
            let held = Held()
            handler = held
            bench = SocketBench(handler: held)
        }
        #expect(handler != nil)
        let gate = Gate()
        bench.receive(WireFrame(opcode: 2, payload: [1, 2, 3], isFinal: false))
        #expect(bench.socket.assembly != nil)
        bench.begin { socket in
            try await socket.sendMessage(.text) { writer in
                try await writer.write("a")
                await gate.wait()
            }
        }
        bench.begin { try await $0.send("held back") }
        #expect(bench.socket.bufferedAmount > 0)
        bench.socket.terminate()
        bench.run()
        #expect(handler == nil && bench.socket.assembly == nil && bench.socket.bufferedAmount == 0)
        gate.open()
        bench.run()
    }

    private final class Held: WebSocketHandler {
        func received(_ message: Message, from socket: WebSocket) {}
    }

    @Test func theHandlerIsToldOnceAndLast() throws {
        let events = Box<[String]>([])
        let handler = ClosureHandler(
            whenOpened: { _ in events.change { $0.append("opened") } },
            whenReceived: { message, _ in events.change { $0.append(message.text ?? "") } },
            whenClosed: { closure in events.change { $0.append("closed \(closure.code)") } })
        let bench = SocketBench(handler: handler)
        bench.receive(WireFrame.text("a").encoded(masked: true) + WireFrame.close(1001).encoded(masked: true))
        bench.receive(.text("b"))
        bench.transport.terminate()
        #expect(events.value == ["opened", "a", "closed 1001"])
    }

    @Test func manyTasksMayWaitFromAnyThreadAndAfterTheEnd() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let bench = try await loop.submit { SocketBench(on: loop) }.get()
        let socket = bench.socket
        let closures = try await withThrowingTaskGroup(of: Closure.self) { tasks in
            for _ in 0..<20 { tasks.addTask { await socket.waitUntilClosed() } }
            try socket.close(code: CloseCode(rawValue: 3000))
            socket.thread.perform { socket.receive(ByteBuffer(bytes: WireFrame.close(3000).encoded(masked: true))) }
            return try await tasks.reduce(into: []) { $0.append($1) }
        }
        #expect(closures.count == 20)
        #expect(Set(closures) == [Closure(code: CloseCode(rawValue: 3000), initiator: .local, isClean: true)])
        try await group.shutdownGracefully()
        // The thread has ended; the answer has not gone with it.
        #expect(await socket.waitUntilClosed() == closures.first)
        await #expect(throws: UsageError(.sendAfterClose)) { try await socket.ping() }
    }
}
