// What waits to be sent: collected, passed on, and never cut between a header and its payload.

import MetricsTestKit
import NIOCore
import NIOEmbedded
import TestSupport
import Testing
import WebSocketCore

@testable import WebSockets

@Suite struct OutboxTests {
    private let thread = EventThread(eventLoop: EmbeddedEventLoop(), statistics: Statistics(role: .server, factory: TestMetrics()))

    @Test func collectsSmallFramesInOneBuffer() {
        var outbox = Outbox()
        append(&outbox, .text, "ab")
        append(&outbox, .binary, "c")
        #expect(outbox.byteCount == 7)
        #expect(outbox.next(thread).map(bytes) == [0x81, 2, 0x61, 0x62, 0x82, 1, 0x63])
        #expect(outbox.isEmpty)
        #expect(outbox.next(thread) == nil)
    }

    @Test func masksTheFramesOfAClient() {
        var outbox = Outbox()
        append(&outbox, .text, "ab")
        outbox.append(FrameHeader(opcode: .text, payloadLength: 5, maskKey: 0x3700_FF01), ByteBuffer(string: "Hello"), thread)
        let written = outbox.next(thread).map(bytes) ?? []
        #expect(written.prefix(4) == [0x81, 2, 0x61, 0x62])
        let key = Array(written[6..<10])
        #expect(Set(key) == [0x37, 0x00, 0xFF, 0x01])
        #expect(written[10...].enumerated().map { $1 ^ key[$0 % 4] } == Array("Hello".utf8))
    }

    @Test func passesALargePayloadOnUncopied() {
        var outbox = Outbox()
        let payload = ByteBuffer(repeating: 7, count: Outbox.shareThreshold)
        append(&outbox, .text, "a")
        outbox.append(FrameHeader(opcode: .binary, payloadLength: payload.readableBytes), payload, thread)
        let header = outbox.next(thread).map(bytes)
        #expect(header?.count == 3 + 4)
        #expect(outbox.isInsideFrame)
        let passedOn = outbox.next(thread)
        #expect(!outbox.isInsideFrame)
        #expect(passedOn.map(address) == address(payload))
        #expect(outbox.isEmpty)
    }

    @Test func givesALargeFrameInOneGo() throws {
        var outbox = Outbox()
        let payload = ByteBuffer(repeating: 7, count: Outbox.shareThreshold)
        #expect(outbox.takeLargeFrame(thread) == nil)
        append(&outbox, .text, "a")
        #expect(outbox.takeLargeFrame(thread) == nil)
        outbox.append(FrameHeader(opcode: .binary, payloadLength: payload.readableBytes), payload, thread)
        let (header, passedOn) = try #require(outbox.takeLargeFrame(thread))
        #expect(Array(header.bytes) == [0x81, 1, 0x61, 0x82, 126, 0x20, 0x00])
        #expect(address(passedOn) == address(payload))
        #expect(outbox.isEmpty && !outbox.isInsideFrame)
        append(&outbox, .text, "b")
        #expect(outbox.next(thread).map(bytes) == [0x81, 1, 0x62])
    }

    @Test func givesNoLargeFrameThatOthersFollow() {
        var outbox = Outbox()
        let payload = ByteBuffer(repeating: 7, count: Outbox.shareThreshold)
        let header = FrameHeader(opcode: .binary, payloadLength: payload.readableBytes)
        outbox.append(header, payload, thread)
        append(&outbox, .text, "a")
        #expect(outbox.takeLargeFrame(thread) == nil)
        _ = outbox.next(thread)
        #expect(outbox.takeLargeFrame(thread) == nil, "its header has gone already")
        _ = (outbox.next(thread), outbox.next(thread))
        outbox.append(header, payload, thread)
        outbox.append(header, payload, thread)
        #expect(outbox.takeLargeFrame(thread) == nil)
    }

    @Test func copiesAPayloadThatIsMasked() {
        var outbox = Outbox()
        let payload = ByteBuffer(repeating: 7, count: Outbox.shareThreshold)
        outbox.append(FrameHeader(opcode: .binary, payloadLength: payload.readableBytes, maskKey: 1), payload, thread)
        #expect(outbox.next(thread).map(bytes)?.count == 8 + payload.readableBytes)
        #expect(!outbox.isInsideFrame)
        #expect(payload == ByteBuffer(repeating: 7, count: Outbox.shareThreshold))
    }

    @Test func keepsTheOrderOfAClientsFrames() {
        var outbox = Outbox()
        let payload = ByteBuffer(repeating: 7, count: Outbox.shareThreshold)
        append(&outbox, .text, "a")
        outbox.append(FrameHeader(opcode: .binary, payloadLength: payload.readableBytes, maskKey: 1), payload, thread)
        append(&outbox, .text, "b")
        #expect(outbox.next(thread).map(bytes) == [0x81, 1, 0x61])
        #expect(outbox.next(thread).map(bytes)?.count == 8 + payload.readableBytes)
        #expect(outbox.next(thread).map(bytes) == [0x81, 1, 0x62])
    }

    @Test func sharesALargeFrameThatWasEncodedBefore() {
        var outbox = Outbox()
        let prepared = PreparedMessage(.binary(ByteBuffer(repeating: 7, count: Outbox.shareThreshold)))
        append(&outbox, .text, "a")
        outbox.append(encoded: prepared.frame, thread)
        #expect(outbox.next(thread).map(bytes)?.count == 3)
        #expect(!outbox.isInsideFrame)
        #expect(outbox.next(thread).map(address) == address(prepared.frame))
    }

    @Test func sealsABufferThatHasGrownLong() {
        var outbox = Outbox()
        for _ in 0..<11 { append(&outbox, .binary, String(repeating: "x", count: 6000)) }
        append(&outbox, .binary, "y")
        #expect(outbox.next(thread).map(bytes)?.count == 66_044)
        #expect(outbox.next(thread).map(bytes)?.count == 3)
    }

    @Test func sealsABufferThatEncodedFramesHaveMadeLong() {
        var outbox = Outbox()
        let frame = ByteBuffer(repeating: 7, count: Outbox.shareThreshold - 1)
        for _ in 0..<9 { outbox.append(encoded: frame, thread) }
        // Nine of them are over 64 KiB, and the tenth goes into another buffer.
        outbox.append(encoded: frame, thread)
        #expect(outbox.next(thread).map(bytes)?.count == 9 * frame.readableBytes)
        #expect(outbox.next(thread).map(bytes)?.count == frame.readableBytes)
        #expect(outbox.isEmpty)
    }

    @Test func forgetsWhatWaits() {
        var outbox = Outbox()
        append(&outbox, .text, "a")
        append(&outbox, .binary, String(repeating: "x", count: 40_000))
        outbox.removeAll()
        #expect(outbox.isEmpty)
        #expect(outbox.next(thread) == nil)
    }

    @Test func givesWhatWasPutInAtAnyOrderOfPuttingAndTaking() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        var outbox = Outbox()
        var (put, taken): ([UInt8], [UInt8]) = ([], [])
        for _ in 0..<400 {
            let length = [0, 1, 125, 126, 5000, 8191, 8192, 70_000].randomElement(using: &random) ?? 0
            let payload = ByteBuffer(repeating: .random(in: 0...255, using: &random), count: length)
            switch Int.random(in: 0..<5, using: &random) {
            case 0, 1:
                outbox.append(FrameHeader(opcode: .binary, payloadLength: length), payload, thread)
                put += WireFrame.binary(Array(payload.readableBytesView)).encoded(masked: false)
            case 2:
                outbox.append(encoded: PreparedMessage(.binary(payload)).frame, thread)
                put += WireFrame.binary(Array(payload.readableBytesView)).encoded(masked: false)
            default:
                taken += outbox.next(thread).map(bytes) ?? []
            }
            try #require(outbox.byteCount == put.count - taken.count, "seed \(seed)")
        }
        while let piece = outbox.next(thread) { taken += bytes(piece) }
        #expect(taken == put, "seed \(seed)")
    }

    private func append(_ outbox: inout Outbox, _ opcode: Opcode, _ text: String) {
        outbox.append(FrameHeader(opcode: opcode, payloadLength: text.utf8.count), ByteBuffer(string: text), thread)
    }

    private func bytes(_ piece: Outbox.Piece) -> [UInt8] {
        switch piece {
        case .frames(let frames): Array(frames.bytes)
        case .shared(let buffer): Array(buffer.readableBytesView)
        }
    }

    /// Where the bytes lie, if they are shared.
    private func address(_ piece: Outbox.Piece) -> UnsafeRawPointer? {
        if case .shared(let buffer) = piece { address(buffer) } else { nil }
    }

    private func address(_ buffer: ByteBuffer) -> UnsafeRawPointer? {
        buffer.withUnsafeReadableBytes { $0.baseAddress }
    }
}
