// Messages as handlers get them and as `send` takes them: RFC 6455 §5.6.

import NIOCore
import Testing
import WebSocketCore

@testable import WebSockets

@Suite struct MessageTests {
    @Test func holdsTextAsUTF8() {
        let message = Message.text("grüße")
        #expect(message.kind == .text)
        #expect(Array(message.payload.readableBytesView) == Array("grüße".utf8))
        #expect(message.text == "grüße")
        #expect(message.binary == nil)
        #expect(message.content == .text("grüße"))
        #expect(Message.text("xgrüße".dropFirst()) == message)
    }

    @Test func holdsBytes() {
        let message = Message.binary([1, 2])
        #expect(message.kind == .binary)
        #expect(message.binary == ByteBuffer(bytes: [1, 2]))
        #expect(message.text == nil)
        #expect(message.content == .binary(ByteBuffer(bytes: [1, 2])))
        #expect(Message.binary(ByteBuffer(bytes: [1, 2])) == message)
        #expect(Message.binary(Array("a".utf8)) != .text("a"))
    }

    @Test func takesTextThatIsUTF8AlreadyAndNoOther() throws {
        #expect(try Message.text(utf8: ByteBuffer(string: "ä€😀")) == .text("ä€😀"))
        #expect(try Message.text(utf8: ByteBuffer()) == .text(""))
        for bytes: [UInt8] in [[0xFF], [0xC3], [0xED, 0xA0, 0x80], [0x61, 0xF0, 0x9F, 0x98]] {
            #expect(throws: UsageError(.invalidUTF8)) { try Message.text(utf8: ByteBuffer(bytes: bytes)) }
        }
    }

    @Test(arguments: [0, 125, 126, 65_535, 65_536]) func aPreparedMessageIsAnUnmaskedFrame(length: Int) throws {
        let payload = [UInt8](repeating: 7, count: length)
        let frame = PreparedMessage(.binary(payload)).frame
        #expect(Array(frame.readableBytesView) == WireFrame.binary(payload).encoded(masked: false))
        #expect(Array(PreparedMessage(.text("a")).frame.readableBytesView) == [0x81, 1, 0x61])
    }
}
