// What a frame is (RFC 6455 §5.2, §11.8).

import Testing
import WebSocketCore

@Suite struct OpcodeTests {
    @Test func knowsTheSixOfTheRFCAndNoOther() {
        let known = (UInt8.min...UInt8.max).filter { Opcode(rawValue: $0) != nil }
        #expect(known == [0x0, 0x1, 0x2, 0x8, 0x9, 0xA])
    }

    @Test func tellsControlFromData() {
        #expect([Opcode.close, .ping, .pong].allSatisfy { $0.isControl })
        #expect(![Opcode.continuation, .text, .binary].contains { $0.isControl })
    }

    @Test func givesTheOpcodeOfAMessagesFirstFrame() {
        #expect(MessageKind.text.opcode == .text)
        #expect(MessageKind.binary.opcode == .binary)
    }
}
