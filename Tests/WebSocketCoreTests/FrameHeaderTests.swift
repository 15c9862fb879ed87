// The bytes of frame headers: the RFC's own examples, and both sides of each boundary of the length (RFC 6455 §5.2, §5.7).

import Testing

@testable import WebSocketCore

@Suite struct FrameHeaderTests {
    /// The mask key of the RFC's examples.
    private let key: UInt32 = hex("37 FA 21 3D").withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }

    private func encoded(_ header: FrameHeader) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xEE, count: header.encodedLength)
        let written = bytes.withUnsafeMutableBytes { header.encode(into: $0) }
        #expect(written == header.encodedLength)
        return bytes
    }

    @Test func encodesTheExamplesOfTheRFC() {
        #expect(encoded(FrameHeader(opcode: .text, payloadLength: 5)) == [0x81, 0x05])
        #expect(encoded(FrameHeader(opcode: .text, payloadLength: 5, maskKey: key)) == [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D])
        #expect(encoded(FrameHeader(opcode: .text, payloadLength: 3, isFinal: false)) == [0x01, 0x03])
        #expect(encoded(FrameHeader(opcode: .continuation, payloadLength: 2)) == [0x80, 0x02])
        #expect(encoded(FrameHeader(opcode: .ping, payloadLength: 5)) == [0x89, 0x05])
        #expect(encoded(FrameHeader(opcode: .binary, payloadLength: 256)) == [0x82, 0x7E, 0x01, 0x00])
        #expect(encoded(FrameHeader(opcode: .binary, payloadLength: 65536)) == [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0])
    }

    @Test(
        arguments: [
            (0, [0x00]), (1, [0x01]), (125, [0x7D]),
            (126, [0x7E, 0x00, 0x7E]), (127, [0x7E, 0x00, 0x7F]), (65535, [0x7E, 0xFF, 0xFF]),
            (65536, [0x7F, 0, 0, 0, 0, 0, 1, 0, 0]), (.max, [0x7F, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
        ] as [(Int, [UInt8])]
    )
    func takesTheFewestBytesForALength(length: Int, expected: [UInt8]) {
        #expect(encoded(FrameHeader(opcode: .binary, payloadLength: length)) == [0x82] + expected)
        let masked = [0x82, expected[0] | 0x80] + expected[1...] + [0x37, 0xFA, 0x21, 0x3D]
        #expect(encoded(FrameHeader(opcode: .binary, payloadLength: length, maskKey: key)) == masked)
    }

    @Test func setsTheBitsOfTheFirstByte() {
        #expect(encoded(FrameHeader(opcode: .binary, payloadLength: 0, isCompressed: true)) == [0xC2, 0])
        #expect(encoded(FrameHeader(opcode: .text, payloadLength: 0, isFinal: false, isCompressed: true)) == [0x41, 0])
        #expect(encoded(FrameHeader(opcode: .close, payloadLength: 0)) == [0x88, 0])
        #expect(encoded(FrameHeader(opcode: .pong, payloadLength: 0)) == [0x8A, 0])
    }

    @Test func hasAShortFormWhereItTakesTwoBytes() {
        for opcode in [Opcode.continuation, .text, .binary, .close, .ping, .pong] {
            for (length, isFinal, isCompressed) in [(0, true, false), (1, false, false), (125, true, true), (126, true, false)] {
                var header = FrameHeader(opcode: opcode, payloadLength: length, isFinal: isFinal, isCompressed: isCompressed)
                let expected = encoded(header)
                let short = header.shortForm.map { short in withUnsafeBytes(of: short) { Array($0) } }
                #expect(short == (expected.count == 2 ? expected : nil))
                header.maskKey = 1
                #expect(header.shortForm == nil)
            }
        }
    }

    @Test func needsNoMoreThanItsGreatestLength() {
        let longest = FrameHeader(opcode: .binary, payloadLength: .max, maskKey: key)
        #expect(longest.encodedLength == FrameHeader.maxEncodedLength)
    }

    @Test func leavesTheBytesBehindItAlone() {
        var bytes = [UInt8](repeating: 0xEE, count: 20)
        let written = bytes.withUnsafeMutableBytes { FrameHeader(opcode: .text, payloadLength: 5).encode(into: $0) }
        #expect(written == 2)
        #expect(bytes[2...].allSatisfy { $0 == 0xEE })
    }
}
