// Memory that frames are collected in.

import NIOCore
import Testing
import WebSocketCore

@testable import WebSockets

@Suite struct FrameBufferTests {
    @Test func holdsFramesOneBehindAnother() {
        let frames = FrameBuffer(capacity: 64)
        frames.append(FrameHeader(opcode: .text, payloadLength: 2), ByteBuffer(string: "ab"))
        frames.append(ByteBuffer(bytes: [0x89, 0]))
        frames.append(FrameHeader(opcode: .binary, payloadLength: 0), ByteBuffer())
        #expect(Array(frames.bytes) == [0x81, 2, 0x61, 0x62, 0x89, 0, 0x82, 0])
        #expect(frames.count == 8 && frames.capacity == 64)
    }

    /// The payload that comes in is somebody else's, too.
    @Test func masksItsOwnCopy() {
        let frames = FrameBuffer(capacity: 64)
        let payload = ByteBuffer(bytes: [1, 2, 3, 4, 5])
        frames.append(FrameHeader(opcode: .binary, payloadLength: 5, maskKey: 0xFFFF_FFFF), payload)
        #expect(Array(frames.bytes) == [0x82, 0x85, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0xFA])
        #expect(payload == ByteBuffer(bytes: [1, 2, 3, 4, 5]))
    }

    /// From any capacity, with frames and with bytes that were encoded before.
    @Test func growsAndKeepsWhatItHolds() {
        for capacity in 0...40 {
            let frames = FrameBuffer(capacity: capacity)
            var expected: [UInt8] = []
            for length in [0, 3, 1, 130, 7, 1000] {
                let payload = [UInt8](repeating: UInt8(length & 0xFF), count: length)
                frames.append(FrameHeader(opcode: .binary, payloadLength: length), ByteBuffer(bytes: payload))
                frames.append(ByteBuffer(bytes: payload))
                expected += WireFrame.binary(payload).encoded(masked: false) + payload
                #expect(Array(frames.bytes) == expected, "capacity \(capacity), length \(length)")
                #expect(frames.capacity >= frames.count)
            }
        }
    }

    /// Growing by as much as is missing would copy all for each frame.
    @Test func growsToTwiceItsSizeAtLeast() {
        let frames = FrameBuffer(capacity: 1000)
        frames.append(ByteBuffer(repeating: 1, count: 1000))
        frames.append(ByteBuffer(repeating: 2, count: 1))
        #expect(frames.capacity == 2000)
    }

    @Test func isEmptyWhenItIsCleared() {
        let frames = FrameBuffer(capacity: 8)
        frames.append(ByteBuffer(string: "abc"))
        frames.clear()
        #expect(frames.count == 0 && frames.bytes.isEmpty)
        frames.append(ByteBuffer(string: "d"))
        #expect(Array(frames.bytes) == [0x64])
    }
}
