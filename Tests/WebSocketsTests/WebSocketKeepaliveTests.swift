// Pings, pongs, round trips and silence: RFC 6455 §5.5.2–5.5.3. The clock is the test's.

import NIOCore
import Testing
import WebSocketCore

@testable import WebSockets

@Suite struct WebSocketKeepaliveTests {
    private static let standard = ConnectionConfiguration()

    // MARK: Silence

    @Test func pingsAfterSilence() throws {
        let bench = SocketBench(Self.standard)
        bench.advance(by: .seconds(19))
        #expect(try bench.frames == [])
        bench.receive(.text("still here"))
        bench.advance(by: .seconds(19))
        #expect(try bench.frames == [])
        bench.advance(by: .seconds(1))
        #expect(try bench.frames.map(\.opcode) == [9])
    }

    @Test func cutsAPeerThatDoesNotAnswer() throws {
        let bench = SocketBench(Self.standard)
        let closed = bench.begin { await $0.waitUntilClosed() }
        bench.advance(by: .seconds(39))
        #expect(!closed.hasEnded)
        bench.advance(by: .seconds(1))
        #expect(closed.value == Closure(code: .abnormalClosure, initiator: .local, isClean: false))
        #expect(bench.transport.isClosed)
        let error = bench.begin { for try await _ in $0 {} }.error as? ConnectionClosed
        #expect(
            (error?.cause as? NetworkError)?.description
                == "the peer was silent for 20.0 seconds and did not answer a ping within 20.0 seconds")
    }

    @Test(arguments: [true, false]) func anySignOfLifeWillDo(pong: Bool) throws {
        let bench = SocketBench(Self.standard)
        for round in 1...5 {
            bench.advance(by: .seconds(21))
            let frames = try bench.frames
            #expect(frames.count == round)
            bench.receive(pong ? .pong(frames.last?.payload ?? []) : .text("busy"))
        }
        #expect(bench.socket.readyState == .open)
        // No more than the last one is remembered of the pings that were not answered.
        #expect(bench.socket.pings.count == (pong ? 0 : 1))
    }

    @Test func leavesItToTCPIfSetSo() throws {
        let bench = SocketBench(.quiet)
        bench.advance(by: .seconds(100_000))
        #expect(bench.transport.written.isEmpty)
        #expect(!bench.transport.isClosed)
    }

    @Test func endsWithTheClose() throws {
        let bench = SocketBench(Self.standard)
        bench.advance(by: .seconds(19))
        bench.receive(.close(1000))
        bench.advance(by: .seconds(100))
        #expect(try bench.frames == [.close(1000)])
    }

    // MARK: While nothing is read

    @Test func silenceProvesNothingWhileTheProgramDoesNotTakeMessages() throws {
        var configuration = Self.standard
        configuration.maxUnreadBytes = 10
        let bench = SocketBench(configuration)
        bench.receive(.text("unread"))
        #expect(!bench.transport.isReading)
        bench.advance(by: .seconds(1000))
        #expect(!bench.transport.isClosed)
        #expect(bench.transport.written.isEmpty)
        bench.begin { socket in for try await _ in socket { break } }
        #expect(bench.transport.isReading)
        bench.advance(by: .seconds(41))
        #expect(bench.transport.isClosed)
    }

    @Test func aPeerThatNeverReadsIsNoticedThoughNothingIsReadOfIt() throws {
        let bench = SocketBench(Self.standard, handler: ClosureHandler(whenReceived: { message, socket in socket.trySend(message) }))
        bench.transport.stall()
        bench.receive(.binary([UInt8](repeating: 1, count: 300_000)))
        #expect(!bench.transport.isReading)
        let closed = bench.begin { await $0.waitUntilClosed() }
        // The first look at which the bytes wait is after 20 s; from there they may wait for 40 s.
        bench.advance(by: .seconds(59))
        #expect(!bench.transport.isClosed)
        bench.advance(by: .seconds(1))
        #expect(closed.value?.code == .abnormalClosure)
    }

    @Test func aSlowPeerIsNotCutOffThoughNoPongIsSeen() throws {
        let bench = SocketBench(Self.standard, handler: ClosureHandler(whenReceived: { message, socket in socket.trySend(message) }))
        bench.transport.stall()
        bench.receive(.binary([UInt8](repeating: 1, count: 1_000_000)))
        for _ in 0..<50 {
            bench.take(1000)
            bench.advance(by: .seconds(19))
        }
        #expect(!bench.transport.isReading)
        #expect(!bench.transport.isClosed)
        bench.take()
        #expect(bench.transport.isReading)
        bench.advance(by: .seconds(19))
        #expect(try bench.frames.count == 1)
    }

    @Test func anAsyncHandlerThatWaitsToSendDoesNotKeepAPeerThatNeverReads() throws {
        var configuration = Self.standard
        configuration.maxUnreadBytes = 1000
        let bench = SocketBench(configuration)
        bench.transport.stall()
        let echo = bench.begin { socket in for try await message in socket { try await socket.send(message) } }
        for _ in 0..<3 { bench.receive(.binary([UInt8](repeating: 1, count: 200_000))) }
        bench.receive(.binary([UInt8](repeating: 1, count: 2000)))
        #expect(!bench.transport.isReading)
        bench.advance(by: .seconds(60))
        #expect(bench.transport.isClosed)
        #expect(echo.hasEnded)
    }

    @Test func aPeerThatTalksButNeverReadsIsNoticed() throws {
        let bench = SocketBench(Self.standard)
        bench.transport.stall()
        bench.begin { try await $0.send(.binary(ByteBuffer(repeating: 1, count: 100_000))) }
        for _ in 0..<8 where !bench.transport.isClosed {
            bench.receive(.text("talk"))
            bench.begin { socket in for try await _ in socket { break } }
            bench.advance(by: .seconds(10))
        }
        #expect(bench.transport.isClosed)
    }

    @Test func aPingBehindALongQueueCutsNobodyOff() throws {
        let bench = SocketBench(Self.standard)
        bench.transport.stall()
        bench.begin { try await $0.send(.binary(ByteBuffer(repeating: 1, count: 200_000))) }
        for _ in 0..<10 {
            bench.advance(by: .seconds(15))
            bench.take(1000)
        }
        #expect(!bench.transport.isClosed)
    }

    // MARK: Pings of ours

    @Test func measuresTheRoundTrip() throws {
        let bench = SocketBench(.quiet)
        #expect(bench.socket.roundTripTime == nil)
        let ping = bench.begin { try await $0.ping() }
        bench.advance(by: .milliseconds(30))
        #expect(!ping.hasEnded)
        bench.receive(.pong([1, 2, 3]))
        bench.receive(.pong([UInt8](repeating: 9, count: 8)))
        #expect(!ping.hasEnded)
        bench.receive(.pong(try bench.frames[0].payload))
        #expect(ping.value == .milliseconds(30))
        #expect(bench.socket.roundTripTime == .milliseconds(30))
    }

    @Test func theKeepaliveMeasuresToo() throws {
        let bench = SocketBench(Self.standard)
        bench.advance(by: .seconds(20))
        let payload = try #require(try bench.frames.first?.payload)
        bench.advance(by: .milliseconds(7))
        bench.receive(.pong(payload))
        #expect(bench.socket.roundTripTime == .milliseconds(7))
    }

    @Test func aPongAnswersAllPingsBeforeItsOwn() throws {
        let bench = SocketBench(.quiet)
        let pings = (0..<3).map { _ in bench.begin { try await $0.ping() } }
        bench.receive(.pong(try bench.frames[1].payload))
        #expect(pings.map(\.hasEnded) == [true, true, false])
    }

    @Test func aPingFailsWithTheConnectionAndAfterIt() throws {
        let bench = SocketBench(.quiet)
        let ping = bench.begin { try await $0.ping() }
        bench.transport.terminate()
        bench.run()
        #expect(ping.error is ConnectionClosed)
        #expect(bench.begin { try await $0.ping() }.error as? UsageError == UsageError(.sendAfterClose))
    }

    @Test func cancellationEndsTheWaitForAPong() throws {
        let bench = SocketBench(.quiet)
        let ping = bench.begin { try await $0.ping() }
        let before = bench.prepare { try await $0.ping() }
        ping.cancel()
        before.cancel()
        bench.run()
        #expect(ping.error is CancellationError)
        #expect(before.error is CancellationError)
        #expect(try bench.frames.count == 1)
        // Its pong may still come, and tells the round trip.
        bench.receive(.pong(try bench.frames[0].payload))
        #expect(bench.socket.roundTripTime != nil)
    }

    // MARK: Pings of the peer

    @Test func answersEachPingWithItsPayload() throws {
        let bench = SocketBench(.quiet)
        bench.receive(WireFrame.ping([1]).encoded(masked: true) + WireFrame.ping().encoded(masked: true))
        #expect(try bench.frames == [.pong([1]), .pong()])
    }

    @Test func answersTheLatestPingAheadOfDataThatIsBackedUp() throws {
        let bench = SocketBench(.quiet)
        bench.transport.stall()
        let payload = [UInt8](repeating: 1, count: 70_000)
        bench.socket.trySend(.binary(payload))
        bench.run()
        bench.socket.trySend(.text("waits"))
        for number in 0..<100 { bench.receive(.ping([UInt8(number)])) }
        #expect(bench.socket.bufferedAmount == 70_010 + 7)
        bench.take()
        #expect(try bench.frames == [.binary(payload), .pong([99]), .text("waits")])
    }

    @Test func answersNoPingAfterTheClose() throws {
        let bench = SocketBench(.quiet)
        bench.socket.close()
        bench.receive(.ping([1]))
        #expect(try bench.frames == [.close(1000)])
    }

    @Test func dropsAHeldPongAtTheClose() throws {
        let bench = SocketBench(.quiet)
        bench.transport.stall()
        bench.socket.trySend(.binary(ByteBuffer(repeating: 1, count: 70_000)))
        bench.run()
        bench.receive(.ping([1]))
        bench.socket.close()
        bench.take()
        #expect(try bench.frames.map(\.opcode) == [2, 8])
    }
}
