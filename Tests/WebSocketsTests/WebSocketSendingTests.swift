// From the program to the transport: whole messages, in order, and no more in memory than was agreed on.

import NIOCore
import NIOPosix
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct WebSocketSendingTests {
    // MARK: On the wire

    @Test func sendsTextAndBinary() {
        let bench = SocketBench()
        bench.begin { socket in
            try await socket.send("hi")
            try await socket.send(.binary([1, 2]))
        }
        #expect(bench.transport.seen == [0x81, 2, 0x68, 0x69, 0x82, 2, 1, 2])
    }

    @Test func masksWhatAClientSends() throws {
        let bench = SocketBench(role: .client)
        for _ in 0..<3 { bench.begin { try await $0.send("hello") } }
        #expect(try bench.frames == [.text("hello"), .text("hello"), .text("hello")])
        let keys = Set([0, 11, 22].map { Array(bench.transport.seen[($0 + 2)..<($0 + 6)]) })
        #expect(keys.count == 3)
    }

    @Test func everythingOfATurnLeavesInOneWrite() {
        let echo = ClosureHandler(whenReceived: { message, socket in socket.trySend(message) })
        let bench = SocketBench(handler: echo)
        bench.receive((0..<100).flatMap { WireFrame.text("message \($0)").encoded(masked: true) })
        #expect(bench.transport.writes == 1)
        #expect(bench.transport.flushes == 1)
    }

    @Test func trySendSaysWhatBecameOfTheMessage() {
        let bench = SocketBench()
        #expect(bench.socket.trySend(.text("a")) == .sent)
        bench.run()
        bench.transport.stall()
        #expect(bench.socket.trySend(.binary(ByteBuffer(repeating: 1, count: 100_000))) == .sent)
        bench.run()
        #expect(bench.socket.trySend(.text("b")) == .buffered)
        bench.socket.close()
        #expect(bench.socket.trySend(.text("c")) == .dropped)
        #expect(bench.socket.trySend(PreparedMessage(.text("d"))) == .dropped)
    }

    @Test func preparedMessagesLeaveAsTheyWereFramed() throws {
        let prepared = PreparedMessage(.text("to all"))
        let server = SocketBench()
        #expect(server.socket.trySend(prepared) == .sent)
        server.run()
        #expect(server.transport.seen == Array(prepared.frame.readableBytesView))
        let client = SocketBench(role: .client)
        client.socket.trySend(prepared)
        client.run()
        #expect(client.transport.seen[1] == 0x86)
        #expect(try client.frames == [.text("to all")])
    }

    @Test func sendingAfterACloseIsAUsageError() throws {
        let bench = SocketBench()
        bench.socket.close()
        #expect(bench.begin { try await $0.send("a") }.error as? UsageError == UsageError(.sendAfterClose))
        bench.receive(.close(1000))
        #expect(bench.begin { try await $0.send("a") }.error as? UsageError == UsageError(.sendAfterClose))
        #expect(try bench.frames == [.close(1000)])
    }

    /// What others have sent counts before the thread has it; the thread must not wait for room in a way that keeps it from coming in.
    @Test func waitsForRoomBehindWhatOthersHaveSent() async throws {
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.connection.sendHighWaterMark = 1000
        let routes = { @Sendable (server: WebSocketServer) in
            server.webSocket("/") { socket in
                let hasSent = ThreadGate()
                NIOThreadPool.singleton.submit { _ in
                    socket.trySend(.binary([UInt8](repeating: 1, count: 5000)))
                    hasSent.open()
                }
                hasSent.wait()
                try await socket.send("mine")
            }
        }
        try await withServer(configuration, routes: routes) { port, _ in
            try await WebSocketClient.connect("ws://127.0.0.1:\(port)/", configuration: .patient) { socket in
                var sizes: [Int] = []
                for try await message in socket { sizes.append(message.payload.readableBytes) }
                #expect(sizes == [5000, 4])
            }
        }
    }

    // MARK: A control frame never gets into a data frame

    /// The header of a large payload fills the transport; a pong that was held back goes next, but not between the two.
    @Test func nothingGoesBetweenAHeaderAndItsPayload() throws {
        let bench = SocketBench()
        bench.transport.stall()
        let small = [UInt8](repeating: 1, count: 6000)
        let large = [UInt8](repeating: 2, count: 40_000)
        bench.transport.highWaterMark = 50_000
        // In one piece: nine small frames and the header of the large one, together over the transport's mark.
        for _ in 0..<9 { bench.socket.trySend(.binary(small)) }
        for payload in [large, small] { bench.socket.trySend(.binary(payload)) }
        bench.run()
        bench.receive(.ping([7]))
        bench.take()
        #expect(try bench.frames.dropFirst(9) == [.binary(large), .pong([7]), .binary(small)])
    }

    @Test func aSlowReaderIsCutOffBetweenFrames() throws {
        var configuration = ConnectionConfiguration.quiet
        configuration.maxSendBuffer = 150_000
        let bench = SocketBench(configuration)
        bench.transport.stall()
        bench.transport.highWaterMark = 50_000
        let small = [UInt8](repeating: 1, count: 6000)
        let large = [UInt8](repeating: 2, count: 40_000)
        for _ in 0..<9 { bench.socket.trySend(.binary(small)) }
        bench.socket.trySend(.binary(large))
        bench.run()
        #expect(bench.socket.trySend(.binary(large)) == .buffered)
        #expect(bench.socket.trySend(.binary(large)) == .dropped)
        bench.take()
        #expect(try bench.frames.dropLast() == [WireFrame](repeating: .binary(small), count: 9) + [.binary(large)])
        #expect(try bench.frames.last == .close(1013, "reads too slowly"))
    }

    // MARK: Back-pressure

    @Test func sendWaitsAboveTheHighMarkUntilTheLowOne() throws {
        var configuration = ConnectionConfiguration.quiet
        configuration.sendHighWaterMark = 100_000
        let bench = SocketBench(configuration)
        bench.transport.stall()
        let message = Message.binary(ByteBuffer(repeating: 1, count: 40_000))
        for _ in 0..<3 { #expect(bench.begin { try await $0.send(message) }.value != nil) }
        let (first, second) = (bench.begin { try await $0.send("first") }, bench.begin { try await $0.send("second") })
        #expect(bench.socket.bufferedAmount == 120_012)
        bench.take(50_000)
        #expect(!first.hasEnded)
        bench.take(40_000)
        #expect(first.value != nil)
        #expect(second.value != nil)
        bench.take()
        #expect(try bench.frames.suffix(2) == [.text("first"), .text("second")])
        #expect(bench.socket.bufferedAmount == 0)
    }

    @Test func cancellationEndsTheWaitAndSendsNothing() throws {
        var configuration = ConnectionConfiguration.quiet
        configuration.sendHighWaterMark = 10
        let bench = SocketBench(configuration)
        bench.transport.stall()
        bench.begin { try await $0.send("more than ten bytes") }
        let waiting = bench.begin { try await $0.send("never") }
        let cancelledBefore = bench.prepare { try await $0.send("never") }
        waiting.cancel()
        cancelledBefore.cancel()
        bench.run()
        #expect(waiting.error is CancellationError)
        #expect(cancelledBefore.error is CancellationError)
        bench.take()
        #expect(try bench.frames == [.text("more than ten bytes")])
        #expect(bench.begin { try await $0.send("after") }.value != nil)
    }

    @Test func aCloseEndsTheWait() {
        var configuration = ConnectionConfiguration.quiet
        configuration.sendHighWaterMark = 10
        let bench = SocketBench(configuration)
        bench.transport.stall()
        bench.begin { try await $0.send("more than ten bytes") }
        let waiting = bench.begin { try await $0.send("never") }
        bench.transport.terminate()
        bench.run()
        #expect(waiting.error as? UsageError == UsageError(.sendAfterClose))
        #expect(bench.socket.bufferedAmount == 0)
    }

    @Test func bufferedAmountIsZeroOnceTheTransportHasSentAll() {
        let bench = SocketBench()
        bench.transport.stall()
        bench.socket.trySend(.binary(ByteBuffer(repeating: 1, count: 70_000)))
        bench.run()
        bench.take()
        bench.run()
        #expect(bench.socket.bufferedAmount == 0)
    }

    @Test func bufferedAmountCountsWhatTheTransportHolds() {
        let bench = SocketBench()
        bench.transport.stall()
        bench.socket.trySend(.binary(ByteBuffer(repeating: 1, count: 70_000)))
        #expect(bench.socket.bufferedAmount == 70_010)
        bench.run()
        #expect(bench.transport.bufferedBytes == 70_010)
        #expect(bench.socket.bufferedAmount == 70_010)
        bench.socket.trySend(.binary([1]))
        #expect(bench.socket.bufferedAmount == 70_013)
        bench.take()
        bench.socket.trySend(.binary([1]))
        bench.run()
        #expect(bench.socket.bufferedAmount == 0)
    }

    @Test func aMessageAboveTheLimitPassesIfNothingWaits() {
        var configuration = ConnectionConfiguration.quiet
        configuration.maxSendBuffer = 1000
        let bench = SocketBench(configuration)
        #expect(bench.socket.trySend(.binary(ByteBuffer(repeating: 1, count: 5000))) == .sent)
    }

    // MARK: A callback handler's answers

    @Test func readingStopsWhileAnswersBackUp() throws {
        let answer = Message.binary(ByteBuffer(repeating: 1, count: 100_000))
        let bench = SocketBench(handler: ClosureHandler(whenReceived: { _, socket in socket.trySend(answer) }))
        bench.transport.stall()
        var asked = 0
        while bench.transport.isReading && asked < 100 {
            bench.receive(.text("more"))
            asked += 1
        }
        // Three are over 256 KiB.
        #expect(asked == 3)
        #expect(bench.socket.bufferedAmount == 300_030)
        bench.take(70_000)
        #expect(!bench.transport.isReading)
        bench.take(100_000)
        #expect(bench.transport.isReading)
        bench.take()
        #expect(try bench.frames.count == 3)
        #expect(bench.socket.readyState == .open)
    }

    @Test func aCloseReadsOn() throws {
        let answer = Message.binary(ByteBuffer(repeating: 1, count: 300_000))
        let bench = SocketBench(handler: ClosureHandler(whenReceived: { _, socket in socket.trySend(answer) }))
        bench.transport.stall()
        bench.receive(.text("more"))
        #expect(!bench.transport.isReading)
        bench.socket.close()
        bench.run()
        #expect(bench.transport.isReading)
        bench.take()
        bench.receive(.close(1000))
        #expect(try bench.frames.last == .close(1000))
        #expect(bench.transport.isClosed)
    }

    @Test func readingGoesOnWhereOthersFillTheOutbox() {
        let bench = SocketBench(handler: ClosureHandler())
        bench.transport.stall()
        for _ in 0..<4 { bench.socket.trySend(.binary(ByteBuffer(repeating: 1, count: 100_000))) }
        bench.run()
        bench.receive(.text("hello"))
        #expect(bench.transport.isReading)
    }

    // MARK: Broadcasts

    /// Row F12: a subscriber never reads while others broadcast.
    @Test func aSubscriberThatNeverReadsIsCappedAndTheOthersDoNotWait() throws {
        let prepared = PreparedMessage(.binary(ByteBuffer(repeating: 1, count: 100_000)))
        let (stalled, others) = (SocketBench(), (0..<3).map { _ in SocketBench() })
        stalled.transport.stall()
        var most = 0
        for round in 1...60 {
            for bench in [stalled] + others {
                bench.socket.trySend(prepared)
                bench.run()
            }
            most = max(most, stalled.socket.bufferedAmount)
            for bench in others { #expect(bench.transport.taken == round * prepared.frame.readableBytes) }
        }
        #expect(most <= ConnectionConfiguration().maxSendBuffer)
        // Cut off: what waited is gone, but for the write that was under way, and the close frame waits behind that.
        #expect(stalled.socket.readyState == .closing)
        #expect(stalled.socket.bufferedAmount < 2 * prepared.frame.readableBytes)
        stalled.advance(by: .seconds(5))
        #expect(stalled.transport.isClosed)
        #expect(stalled.socket.bufferedAmount == 0)
        #expect(others.allSatisfy { $0.socket.readyState == .open })
    }

    // MARK: From other threads

    @Test func sendsFromManyTasksStayWholeAndInTheirOrder() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        var configuration = ConnectionConfiguration.quiet
        configuration.sendHighWaterMark = 20_000
        let bench = try await loop.submit { [configuration] in SocketBench(configuration, on: loop) }.get()
        let socket = bench.socket
        try await withThrowingTaskGroup(of: Void.self) { group in
            for sender in 0..<8 {
                group.addTask {
                    for number in 0..<200 { try await socket.send(.binary(numbered(sender, number))) }
                }
            }
            try await group.waitForAll()
        }
        // What was queued to the thread before this is there before this; the end of that turn comes before the second.
        _ = try await loop.submit {}.get()
        let frames = try await loop.submit { try bench.frames }.get()
        #expect(frames.count == 1600)
        for sender in 0..<8 {
            let own = frames.filter { $0.payload.first == UInt8(sender) }
            #expect(own.map(\.payload) == (0..<200).map { numbered(sender, $0) })
        }
        #expect(socket.bufferedAmount == 0)
    }

    @Test func countsWhatIsOnTheWayToTheThread() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let bench = try await loop.submit { SocketBench(on: loop) }.get()
        let (blocked, release) = (ThreadGate(), ThreadGate())
        loop.execute {
            blocked.open()
            release.wait()
        }
        await offload { blocked.wait() }
        #expect(bench.socket.trySend(.binary(ByteBuffer(repeating: 1, count: 100))) == .buffered)
        #expect(bench.socket.bufferedAmount == 100)
        release.open()
        // It is sent in the first turn, and written at that turn's end.
        _ = try await loop.submit {}.get()
        _ = try await loop.submit {}.get()
        #expect(bench.socket.bufferedAmount == 0)
    }

    /// Messages without a payload take memory, too, until their thread comes to them.
    @Test func onlySoManyMessagesAreOnTheWayToTheThread() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let bench = try await loop.submit { SocketBench(on: loop) }.get()
        let (blocked, release) = (ThreadGate(), ThreadGate())
        loop.execute {
            blocked.open()
            release.wait()
        }
        await offload { blocked.wait() }
        for _ in 0..<Transit.maxCount { bench.socket.trySend(.text("")) }
        #expect(bench.socket.readyState == .open && bench.socket.bufferedAmount == 0)
        for _ in 0..<3 { #expect(bench.socket.trySend(.text("")) == .dropped) }
        #expect(bench.socket.trySend(PreparedMessage(.text(""))) == .dropped)
        #expect(bench.socket.readyState == .closing)
        release.open()
        _ = try await loop.submit {}.get()
        // The turn that drops what waits tells of the first that was not taken.
        #expect(try await loop.submit { try bench.metrics.total("sends_dropped") }.get() == 1)
        #expect(try await loop.submit { try bench.frames.last }.get() == .close(1013, "reads too slowly"))
    }

    @Test func sendWaitsWhereTooManyAreOnTheWay() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let bench = try await loop.submit { SocketBench(on: loop) }.get()
        let (blocked, release) = (ThreadGate(), ThreadGate())
        loop.execute {
            blocked.open()
            release.wait()
        }
        await offload { blocked.wait() }
        for _ in 0..<Transit.maxCount { try await bench.socket.send("") }
        #expect(bench.socket.transit.isFull)
        let last = Task { try await bench.socket.send("last") }
        release.open()
        try await last.value
        _ = try await loop.submit {}.get()
        #expect(try await loop.submit { try bench.frames.count }.get() == Transit.maxCount + 1)
    }
}

/// Says who sent it and which of its messages it is, at a length of its own.
private func numbered(_ sender: Int, _ number: Int) -> [UInt8] {
    [UInt8(sender), UInt8(number)] + [UInt8](repeating: UInt8(number), count: number * 7 % 300)
}
