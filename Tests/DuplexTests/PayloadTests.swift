import NIOCore
import Testing
import WebSocketCore
import WebSockets

@testable import duplex

struct PayloadTests {
    @Test(arguments: [0, 1, 3, 4, 7, 8, 9, 20, 70_000])
    func isItsOwnEcho(_ size: Int) {
        let payload = Payload(size: size, mark: 0x0102_0304)
        #expect(payload.message.payload.readableBytes == size)
        #expect(payload.isEcho(.binary(ByteBuffer(bytes: payload.message.payload.readableBytesView))))
        #expect(!payload.isEcho(.binary(Array(repeating: 0, count: size + 1))))
    }

    @Test func whatDiffersIsNamed() throws {
        let payload = Payload(size: 20, mark: 1)
        let text = try Message.text(utf8: ByteBuffer(repeating: 0x61, count: 20))
        let changed = Message.binary(Array(repeating: 0, count: 20))
        #expect(!payload.isEcho(text) && !payload.isEcho(changed))
        #expect(payload.difference(text) == "20 bytes went out binary, 20 came back text")
        #expect(payload.difference(changed) == "20 bytes came back changed")
        #expect(payload.difference(.binary([1])) == "20 bytes went out binary, 1 came back binary")
        #expect(payload.difference(payload.message) == "20 bytes came back twice")
    }

    @Test(arguments: [16, 17, 300])
    func aBroadcastSaysWhoAndWhen(_ size: Int) throws {
        let payload = Payload(size: size, mark: 9)
        let message = Broadcasts.message(payload, publisher: 77, due: 123_456_789_012)
        let said = try #require(Broadcasts.parse(message, payload))
        #expect((said.publisher, said.due) == (77, 123_456_789_012))
        #expect(Broadcasts.parse(message, Payload(size: size, mark: 8)) == nil, "another run's")
        #expect(Broadcasts.parse(message, Payload(size: size + 1, mark: 9)) == nil)
        #expect(Broadcasts.parse(.binary([]), payload) == nil)
    }
}
