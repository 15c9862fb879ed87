// A connection's bytes on the reactor.

#if os(Linux)

import Glibc
import NIOCore
import Synchronization
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct ReactorTransportTests {
    private static let echo: @Sendable (WebSocket) -> any WebSocketHandler = { _ in TestEcho() }

    /// Runs a test on a reactor and ends it.
    private func withBench(_ body: (ReactorBench) async throws -> Void) async throws {
        let bench = try ReactorBench()
        do { try await body(bench) } catch {
            try await bench.stop()
            throw error
        }
        try await bench.stop()
    }

    @Test func echoesWhateverTheReadsAre() async throws {
        try await withBench { bench in
            let bytes = WireFrame.text("hello").encoded(masked: true) + WireFrame.binary([1, 2, 3]).encoded(masked: true)
            let answer = WireFrame.text("hello").encoded(masked: false) + WireFrame.binary([1, 2, 3]).encoded(masked: false)
            for cut in 0...bytes.count {
                let (_, peer) = try await bench.connect(handler: Self.echo)
                try await peer.send(Array(bytes[..<cut]))
                try await peer.send(Array(bytes[cut...]))
                #expect(try await peer.read(answer.count) == answer, "cut at \(cut)")
            }
        }
    }

    /// A client that has its answer is on every list that the handler puts it on.
    @Test(arguments: [false, true]) func theHandlerIsToldBeforeTheClient(greets: Bool) async throws {
        try await withBench { bench in
            let waiting = Mutex(0)
            let (_, peer) = try await bench.connect(answer: "101") { _ in
                ClosureHandler(whenOpened: { socket in
                    waiting.withLock { $0 = socket.transport?.bufferedBytes ?? 0 }
                    if greets { socket.trySend(.text("hello")) }
                })
            }
            let seen = Array("101".utf8) + (greets ? WireFrame.text("hello").encoded(masked: false) : [])
            #expect(try await peer.read(seen.count) == seen)
            #expect(waiting.withLock { $0 } == 3)
        }
    }

    @Test func aClosureBeginsBeforeTheClientIsTold() async throws {
        try await withBench { bench in
            let (waiting, seen) = AsyncStream<Int?>.makeStream()
            let (_, peer) = try await bench.connect(answer: "101", usesInbox: true) { _ in
                AsyncHandler { socket in
                    Task(executorPreference: socket.thread) { seen.yield(socket.transport?.bufferedBytes) }
                }
            }
            #expect(try await peer.read(3) == Array("101".utf8))
            #expect(await waiting.first { _ in true } == 3)
        }
    }

    @Test func whatWasReadWithTheHandshakeComesFirst() async throws {
        try await withBench { bench in
            let first = WireFrame.text("first").encoded(masked: true)
            let (_, peer) = try await bench.connect(leftOver: first, handler: Self.echo)
            try await peer.send(WireFrame.text("second").encoded(masked: true))
            let answer = WireFrame.text("first").encoded(masked: false) + WireFrame.text("second").encoded(masked: false)
            #expect(try await peer.read(answer.count) == answer)
        }
    }

    /// More than the system takes at once, in pieces small and large, to a peer that reads late.
    @Test func keepsWhatTheSystemDoesNotTake() async throws {
        try await withBench { bench in
            let (socket, peer) = try await bench.connect(handler: Self.echo)
            let messages = (0..<200).map { index in
                WireFrame.binary([UInt8](repeating: UInt8(index), count: index % 3 == 0 ? 20_000 : index))
            }
            for message in messages { socket.trySend(.binary(message.payload)) }
            let expected = messages.flatMap { $0.encoded(masked: false) }
            await bench.settle()
            #expect(socket.bufferedAmount > 0)
            // The rest stays in the outbox, where it can still be dropped: 64 KiB and the message that went over.
            let taken = await bench.onLoop { socket.transport?.bufferedBytes }
            #expect(taken.map { $0 <= 65_536 + 20_004 } == true)
            #expect(try await peer.read(expected.count) == expected)
            await bench.settle()
            #expect(socket.bufferedAmount == 0)
        }
    }

    @Test func whoWaitsForRoomGoesOnWhenThePeerReads() async throws {
        try await withBench { bench in
            var configuration = ConnectionConfiguration.quiet
            configuration.sendHighWaterMark = 1000
            let (socket, peer) = try await bench.connect(configuration, handler: Self.echo)
            let payload = [UInt8](repeating: 7, count: 50_000)
            async let sent: Void = {
                for _ in 0..<50 { try await socket.send(.binary(payload)) }
            }()
            let expected = WireFrame.binary(payload).encoded(masked: false)
            for _ in 0..<50 { #expect(try await peer.read(expected.count) == expected) }
            try await sent
        }
    }

    @Test func stopsReadingForWhoDoesNotTakeMessages() async throws {
        try await withBench { bench in
            var configuration = ConnectionConfiguration.quiet
            configuration.maxUnreadBytes = 10_000
            let (socket, peer) = try await bench.connect(configuration, usesInbox: true) { _ in AsyncHandler { _ in } }
            let payload = [UInt8](repeating: 1, count: 5000)
            let count = 400
            async let sent: Void = peer.send((0..<count).flatMap { _ in WireFrame.binary(payload).encoded(masked: true) })
            await bench.until { socket.inbox?.isPaused == true }
            var taken = 0
            for try await message in socket {
                #expect(message.payload.readableBytes == payload.count)
                taken += 1
                if taken == count { break }
            }
            try await sent
        }
    }

    /// What came with the handshake counts like what comes later.
    @Test func stopsReadingForWhatWasReadWithTheHandshake() async throws {
        try await withBench { bench in
            var configuration = ConnectionConfiguration.quiet
            configuration.maxUnreadBytes = 1000
            let first = WireFrame.binary([UInt8](repeating: 1, count: 5000)).encoded(masked: true)
            let (socket, peer) = try await bench.connect(configuration, leftOver: first, usesInbox: true) { _ in AsyncHandler { _ in } }
            #expect(await bench.onLoop { socket.inbox?.isPaused } == true)
            withExtendedLifetime(peer) {}
        }
    }

    @Test func readsNothingWhileItIsPaused() async throws {
        try await withBench { bench in
            let count = Box(0)
            let (socket, peer) = try await bench.connect { _ in
                ClosureHandler(whenReceived: { message, socket in
                    count.change { $0 += 1 }
                    socket.trySend(message)
                })
            }
            await bench.onLoop { socket.transport?.pauseReading() }
            try await peer.send(WireFrame.text("a").encoded(masked: true))
            await bench.settle()
            #expect(count.value == 0)
            await bench.onLoop { socket.transport?.resumeReading() }
            #expect(try await peer.read(3) == [0x81, 1, 0x61])
        }
    }

    /// The system tells of it all the same, again and again.
    @Test func seesTheEndWhileItIsPaused() async throws {
        try await withBench { bench in
            let (socket, peer) = try await bench.connect(handler: Self.echo)
            await bench.onLoop { socket.transport?.pauseReading() }
            peer.close()
            #expect(await socket.waitUntilClosed().code == .abnormalClosure)
        }
    }

    /// epoll may report what another call has taken, or a checksum has dropped.
    @Test func aWakeUpForNothingIsNoEnd() async throws {
        try await withBench { bench in
            let (socket, peer) = try await bench.connect(handler: Self.echo)
            // EPOLLIN, which Swift does not see.
            let isReadableEvent: UInt32 = 1
            await bench.onLoop { (socket.transport as? ReactorTransport)?.ready(isReadableEvent) }
            try await peer.send(WireFrame.text("a").encoded(masked: true))
            #expect(try await peer.read(3) == [0x81, 1, 0x61])
        }
    }

    /// It has not closed, so nothing but the write that fails tells of it.
    @Test func aPeerThatTakesNothingMoreIsGone() async throws {
        try await withBench { bench in
            let (socket, peer) = try await bench.connect(handler: Self.echo)
            peer.stopReading()
            socket.trySend(.text("x"))
            #expect(await socket.waitUntilClosed().code == .abnormalClosure)
            #expect(await bench.onLoop { (socket.closeCause as? NetworkError)?.underlying is IOError })
        }
    }

    @Test func theEndOfThePeerIsTheEndOfTheConnection() async throws {
        try await withBench { bench in
            let (socket, peer) = try await bench.connect(handler: Self.echo)
            peer.finish()
            let closure = await socket.waitUntilClosed()
            #expect(closure == Closure(code: .abnormalClosure, initiator: .remote, isClean: false))
            #expect(try await peer.readToEnd() == [])
            #expect(bench.thread.statistics.snapshot.open == 0)
        }
    }

    /// §7.1.1: the server closes TCP first, once both close frames are through.
    @Test func closesOnceAllIsSent() async throws {
        try await withBench { bench in
            let (socket, peer) = try await bench.connect(handler: Self.echo)
            try await peer.send(WireFrame.text("last").encoded(masked: true) + WireFrame.close(1000).encoded(masked: true))
            let answer = WireFrame.text("last").encoded(masked: false) + WireFrame.close(1000).encoded(masked: false)
            #expect(try await peer.readToEnd() == answer)
            #expect(await socket.waitUntilClosed().isClean)
        }
    }

    /// The system takes only a part of the last message and the close frame behind it.
    @Test func closesOnceAllThatWaitedIsSent() async throws {
        try await withBench { bench in
            let (socket, peer) = try await bench.connect(sendBuffer: 4608, handler: Self.echo)
            let message = WireFrame.binary([UInt8](repeating: 7, count: 20_000))
            // In one read, so that the answers leave together.
            try await peer.send(message.encoded(masked: true) + WireFrame.close(1000).encoded(masked: true))
            await bench.until { socket.readyState != .open && (socket.transport?.bufferedBytes ?? 0) > 0 }
            let frames = try WireFrame.all(in: try await peer.readToEnd())
            #expect(frames == [message, .close(1000)])
            #expect(await socket.waitUntilClosed().isClean)
        }
    }

    /// The peer goes on sending; closing at once would reset the connection before it reads why.
    @Test func aBrokenRuleEndsOneSideOnly() async throws {
        try await withBench { bench in
            var configuration = ConnectionConfiguration.quiet
            configuration.closeTimeout = .seconds(60)
            let (socket, peer) = try await bench.connect(configuration, handler: Self.echo)
            try await peer.send([0xC1, 0x80, 0, 0, 0, 0])
            let frames = try WireFrame.all(in: try await peer.readToEnd())
            #expect(frames.map(\.opcode) == [8] && frames[0].payload.starts(with: [0x03, 0xEA]))
            try await peer.send([1, 2, 3])
            peer.finish()
            #expect(await socket.waitUntilClosed().code == .protocolError)
        }
    }

    @Test func terminateEndsItAtOnceAndTellsTheHandlerAfterwards() async throws {
        try await withBench { bench in
            let events = Box<[String]>([])
            let (socket, peer) = try await bench.connect { _ in
                ClosureHandler(
                    whenReceived: { _, socket in
                        socket.terminate()
                        events.change { $0.append("terminated") }
                    },
                    whenClosed: { closure in events.change { $0.append("closed \(closure.code.rawValue)") } })
            }
            try await peer.send(WireFrame.text("x").encoded(masked: true))
            #expect(try await peer.readToEnd() == [])
            _ = await socket.waitUntilClosed()
            // The connection is closed, and whoever waits knows; the handler is told once none is running.
            await bench.settle()
            #expect(events.value == ["terminated", "closed 1006"])
        }
    }

    /// A write to a peer that is gone fails; what it said before is read all the same.
    @Test func readsWhatAPeerSaidThatIsGone() async throws {
        try await withBench { bench in
            let reached = ThreadGate()
            let proceed = ThreadGate()
            let (socket, peer) = try await bench.connect { _ in
                ClosureHandler(whenReceived: { message, socket in
                    reached.open()
                    proceed.wait()
                    socket.trySend(message)
                })
            }
            try await peer.send(WireFrame.text("a").encoded(masked: true))
            await offload { reached.wait() }
            // While the handler holds the thread, the peer says goodbye and goes.
            try await peer.send(WireFrame.close(4000, "bye").encoded(masked: true))
            peer.close()
            proceed.open()
            let closure = await socket.waitUntilClosed()
            #expect(closure.code.rawValue == 4000 && closure.reason == "bye")
        }
    }

    /// The system took part of a payload, then the peer was gone; what waits behind is tried once more before the connection is closed.
    @Test func aPeerThatIsGoneInTheMiddleOfAPayload() async throws {
        try await withBench { bench in
            let reached = ThreadGate()
            let proceed = ThreadGate()
            let (socket, peer) = try await bench.connect { _ in
                ClosureHandler(whenReceived: { message, _ in
                    guard message.text == "hold" else { return }
                    reached.open()
                    proceed.wait()
                })
            }
            for _ in 0..<100 { socket.trySend(.binary([UInt8](repeating: 7, count: 20_000))) }
            await bench.settle()
            #expect(socket.bufferedAmount > 0)
            try await peer.send(WireFrame.text("hold").encoded(masked: true))
            await offload { reached.wait() }
            // While the handler holds the thread, so that there is something to read when writing fails.
            try await peer.send(WireFrame.text("last").encoded(masked: true))
            peer.close()
            proceed.open()
            #expect(await socket.waitUntilClosed().code == .abnormalClosure)
        }
    }

    /// The system is asked again after a time, however often somebody looks meanwhile, and not at once because the socket has room.
    @Test func asksOnceMoreWhereTheSystemHasNoMemory() async throws {
        try await withBench { bench in
            let (socket, peer) = try await bench.connect(handler: Self.echo)
            let loop = bench.loop
            // EPOLLOUT, which Swift does not see.
            let isWritableEvent: UInt32 = 4
            let (timers, isWritable) = try await withCheckedThrowingContinuation { continuation in
                loop.execute {
                    continuation.resume(
                        with: Result {
                            let transport = try #require(socket.transport as? ReactorTransport)
                            let before = loop.timerCount
                            for code in [ENOBUFS, ENOMEM, ENOBUFS] {
                                transport.refused(code)
                                transport.pauseReading()
                                transport.resumeReading()
                                transport.ready(isWritableEvent)
                            }
                            return (loop.timerCount - before, transport.isWritable)
                        })
                }
            }
            #expect(timers == 1 && !isWritable)
            socket.trySend(.text("late"))
            let expected = WireFrame.text("late").encoded(masked: false)
            #expect(try await peer.read(expected.count) == expected)
        }
    }

    @Test func theSlotIsFreeWhenTheConnectionHasEnded() async throws {
        try await withBench { bench in
            let freed = Gate()
            let slot = Box<ConnectionSlot?>(ConnectionSlot(ConnectionSlots(bench.core) { freed.open() }))
            let (socket, peer) = try await bench.connect(slot: slot.change { $0.take() }, handler: Self.echo)
            peer.finish()
            _ = await socket.waitUntilClosed()
            await freed.wait()
        }
    }
}

#endif
