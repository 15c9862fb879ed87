// Messages sent piece by piece: RFC 6455 §5.4.

import NIOCore
import Testing
import WebSocketCore

@testable import WebSockets

@Suite struct MessageWriterTests {
    // MARK: On the wire

    @Test func sendsEachPieceAsAFrame() throws {
        let bench = SocketBench()
        let sending = bench.begin { socket in
            try await socket.sendMessage(.text) { writer in
                try await writer.write("Hel")
                try await writer.write("lo")
            }
        }
        #expect(sending.value != nil)
        // A text frame that is not final, a continuation that is not final, an empty final one.
        #expect(bench.transport.seen == [0x01, 3, 0x48, 0x65, 0x6C, 0x00, 2, 0x6C, 0x6F, 0x80, 0])
    }

    @Test func sendsAMessageOfNoPieces() {
        let bench = SocketBench()
        bench.begin { try await $0.sendMessage(.binary) { _ in } }
        #expect(bench.transport.seen == [0x82, 0])
    }

    @Test func piecesCountAsOneMessageAndAllTheirBytes() throws {
        let bench = SocketBench()
        bench.begin { socket in
            try await socket.sendMessage(.binary) { writer in
                for _ in 0..<3 { try await writer.write(ByteBuffer(repeating: 1, count: 7)) }
            }
        }
        #expect(try bench.metrics.total("messages_sent") == 1)
        #expect(try bench.metrics.total("bytes_sent") == 21)
    }

    @Test func aBinaryMessageMayBeNoText() throws {
        let bench = SocketBench()
        let sending = bench.begin { socket in
            try await socket.sendMessage(.binary) { writer in try await writer.write(ByteBuffer(bytes: [0xFF, 0xC0])) }
        }
        #expect(sending.value != nil)
        #expect(bench.transport.seen == [0x02, 2, 0xFF, 0xC0, 0x80, 0])
    }

    @Test func masksEachPieceOfAClient() throws {
        let bench = SocketBench(role: .client)
        bench.begin { socket in
            try await socket.sendMessage(.binary) { writer in
                for piece in 0..<3 { try await writer.write(ByteBuffer(repeating: UInt8(piece), count: 40_000)) }
            }
        }
        #expect(try WireFrame.messages(in: bench.frames).map(\.count) == [120_000])
        #expect(bench.transport.seen[1] & 0x80 != 0)
    }

    @Test func lettersMayBeCutBetweenPieces() throws {
        let bench = SocketBench()
        let bytes = Array("grüße €".utf8)
        let sending = bench.begin { socket in
            try await socket.sendMessage(.text) { writer in
                for byte in bytes { try await writer.write(ByteBuffer(bytes: [byte])) }
            }
        }
        #expect(sending.value != nil)
        #expect(try WireFrame.messages(in: bench.frames) == [bytes])
    }

    // MARK: Meanwhile

    @Test func controlFramesLeaveInBetween() throws {
        let bench = SocketBench()
        let gate = Gate()
        let sending = bench.begin { socket in
            try await socket.sendMessage(.text) { writer in
                try await writer.write("a")
                await gate.wait()
                try await writer.write("b")
            }
        }
        bench.receive(.ping([1]))
        let ping = bench.begin { try await $0.ping() }
        gate.open()
        bench.run()
        #expect(sending.value != nil)
        let frames = try bench.frames
        #expect(frames.map(\.opcode) == [1, 10, 9, 0, 0])
        bench.receive(.pong(frames[2].payload))
        #expect(ping.value != nil)
    }

    @Test func messagesOfOthersLeaveAfterIt() throws {
        let bench = SocketBench()
        let gate = Gate()
        bench.begin { socket in
            try await socket.sendMessage(.text) { writer in
                try await writer.write("a")
                await gate.wait()
                try await writer.write("b")
            }
        }
        bench.begin { try await $0.send("second") }
        #expect(bench.socket.trySend(.text("third")) == .buffered)
        #expect(bench.socket.trySend(PreparedMessage(.text("fourth"))) == .buffered)
        #expect(bench.socket.bufferedAmount == 6 + 5 + 6)
        gate.open()
        bench.run()
        #expect(
            try WireFrame.messages(in: bench.frames).map { String(decoding: $0, as: UTF8.self) } == ["ab", "second", "third", "fourth"])
        #expect(bench.socket.bufferedAmount == 0)
    }

    @Test func aSecondOneMeanwhileIsAUsageErrorAndHarmsNothing() throws {
        let bench = SocketBench()
        let gate = Gate()
        let first = bench.begin { socket in
            try await socket.sendMessage(.text) { writer in
                try await writer.write("a")
                await gate.wait()
            }
        }
        let second = bench.begin { try await $0.sendMessage(.text) { try await $0.write("x") } }
        #expect(second.error as? UsageError == UsageError(.unfinishedMessage))
        gate.open()
        bench.run()
        #expect(first.value != nil)
        #expect(bench.socket.readyState == .open)
        #expect(try WireFrame.messages(in: bench.frames) == [Array("a".utf8)])
    }

    // MARK: Back-pressure

    @Test func waitsWhileTooMuchWaits() throws {
        var configuration = ConnectionConfiguration.quiet
        configuration.sendHighWaterMark = 100_000
        let bench = SocketBench(configuration)
        bench.transport.stall()
        let count = Box(0)
        let sending = bench.begin { socket in
            try await socket.sendMessage(.binary) { writer in
                for _ in 0..<10 {
                    try await writer.write(ByteBuffer(repeating: 1, count: 40_000))
                    count.change { $0 += 1 }
                }
            }
        }
        #expect(count.value == 3)
        bench.take()
        #expect(sending.value != nil)
        #expect(try WireFrame.messages(in: bench.frames).map(\.count) == [400_000])
    }

    /// What others send meanwhile leaves after the message, so the message must not wait for it.
    @Test func doesNotWaitForWhatWaitsForIt() throws {
        var configuration = ConnectionConfiguration.quiet
        configuration.sendHighWaterMark = 10_000
        let bench = SocketBench(configuration)
        let gate = Gate()
        let sending = bench.begin { socket in
            try await socket.sendMessage(.binary) { writer in
                try await writer.write(ByteBuffer(repeating: 1, count: 10))
                await gate.wait()
                try await writer.write(ByteBuffer(repeating: 1, count: 10))
            }
        }
        bench.begin { try await $0.send(.binary(ByteBuffer(repeating: 2, count: 20_000))) }
        let waiting = bench.begin { try await $0.send(.binary([3])) }
        #expect(!waiting.hasEnded)
        gate.open()
        bench.run()
        #expect(sending.value != nil)
        #expect(waiting.value != nil)
        #expect(try WireFrame.messages(in: bench.frames).map(\.count) == [20, 20_000, 1])
    }

    // MARK: What goes wrong

    @Test func closesWith1011WhenTheClosureThrows() throws {
        struct Broken: Error {}
        let bench = SocketBench()
        let sending = bench.begin { socket in
            try await socket.sendMessage(.text) { writer in
                try await writer.write("a")
                throw Broken()
            }
        }
        #expect(sending.error is Broken)
        #expect(try bench.frames == [WireFrame(opcode: 1, payload: [0x61], isFinal: false), .close(1011)])
    }

    @Test func closesWith1011WhenItsTaskIsCancelledWhileItWaits() throws {
        var configuration = ConnectionConfiguration.quiet
        configuration.sendHighWaterMark = 1000
        let bench = SocketBench(configuration)
        bench.transport.stall()
        let sending = bench.begin { socket in
            try await socket.sendMessage(.binary) { writer in
                while true { try await writer.write(ByteBuffer(repeating: 1, count: 600)) }
            }
        }
        let other = bench.begin { try await $0.send("never") }
        sending.cancel()
        bench.run()
        #expect(sending.error is CancellationError)
        #expect(other.error as? UsageError == UsageError(.sendAfterClose))
        bench.take()
        let frames = try bench.frames
        #expect(frames.last == .close(1011))
        #expect(frames.dropLast().allSatisfy { $0.payload.count == 600 && !$0.isFinal })
    }

    @Test func refusesTextThatIsNotUTF8() throws {
        for bytes: [UInt8] in [[0xFF], [0xC3]] {
            let bench = SocketBench()
            let sending = bench.begin { socket in
                try await socket.sendMessage(.text) { try await $0.write(ByteBuffer(bytes: bytes)) }
            }
            #expect(sending.error as? UsageError == UsageError(.invalidUTF8), "\(bytes)")
            #expect(try bench.frames.last == .close(1011))
        }
    }

    @Test func failsAfterACloseInTheMiddle() throws {
        let bench = SocketBench()
        let gate = Gate()
        let sending = bench.begin { socket in
            try await socket.sendMessage(.text) { writer in
                try await writer.write("a")
                await gate.wait()
                try await writer.write("b")
            }
        }
        bench.begin { try await $0.send("held back") }
        try bench.socket.close(code: .goingAway)
        gate.open()
        bench.run()
        #expect(sending.error as? UsageError == UsageError(.sendAfterClose))
        #expect(try bench.frames.map(\.opcode) == [1, 8])
        #expect(bench.socket.bufferedAmount == 0)
        #expect(bench.begin { try await $0.sendMessage(.text) { _ in } }.error as? UsageError == UsageError(.sendAfterClose))
    }

    @Test func aWriterThatOutlivesItsMessageCannotWriteIntoTheNext() throws {
        let bench = SocketBench()
        let kept = Box<MessageWriter?>(nil)
        bench.begin { try await $0.sendMessage(.text) { kept.value = $0 } }
        let late = bench.begin { socket in
            try await socket.sendMessage(.text) { writer in
                try await writer.write("a")
                do { try await kept.value?.write("x") } catch { #expect(error as? UsageError == UsageError(.noMessageBegun)) }
                try await writer.write("b")
            }
        }
        #expect(late.value != nil)
        #expect(try WireFrame.messages(in: bench.frames).map { String(decoding: $0, as: UTF8.self) } == ["", "ab"])
    }
}
