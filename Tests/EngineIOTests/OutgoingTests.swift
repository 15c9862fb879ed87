// What waits to be sent, as long-polling takes it: Outgoing.swift. Over WebSocket it is seen in EngineIOSessionTests.swift.

import NIOCore
import Testing
import WebSockets

@testable import EngineIO

@Suite struct OutgoingTests {
    private static let bytes = Message.binary(ByteBuffer(bytes: [1, 2, 3, 4]))

    private static let forms: [(Outgoing, String)] = [
        (.control(EngineIOPacket(.ping)), "2"), (.control(EngineIOPacket(.pong, "probe")), "3probe"), (.message(.text("é")), "4é"),
        (.message(.text("")), "4"), (.message(bytes), "bAQIDBA=="), (.prepared(EngineIOPreparedMessage(.text("all"))), "4all"),
        (.prepared(EngineIOPreparedMessage(bytes)), "bAQIDBA=="),
    ]

    @Test(arguments: forms.indices) func isWrittenAsText(index: Int) {
        let (packet, text) = Self.forms[index]
        var written = ByteBuffer()
        packet.writeText(to: &written)
        #expect(String(buffer: written) == text)
        #expect(packet.textLength == text.utf8.count)
        #expect(String(buffer: Outgoing.payload([packet])) == text)
    }

    @Test func aPayloadHasOneSeparatorBetweenTwoPackets() {
        let all = Self.forms.map(\.0)
        #expect(String(buffer: Outgoing.payload(all)) == Self.forms.map(\.1).joined(separator: "\u{1E}"))
        #expect(Outgoing.payload([]).readableBytes == 0)
    }

    // What thousands of polls get by itself lies in memory once.
    @Test func whatManyGetIsNotCopied() {
        let prepared = EngineIOPreparedMessage(.text(String(repeating: "x", count: 1000)))
        func address(_ bytes: ByteBuffer) -> UInt { bytes.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) } }
        #expect(address(Outgoing.payload([.prepared(prepared)])) == address(Outgoing.payload([.prepared(prepared)])))
    }

    @Test func whatMustNotBeCompressedSaysSo() {
        let secret = Message.text("secret").compressed(.never)
        #expect(Outgoing.control(EngineIOPacket(.noop)).allowsCompression)
        #expect(Outgoing.message(.text("a")).allowsCompression)
        #expect(!Outgoing.message(secret).allowsCompression)
        #expect(Outgoing.prepared(EngineIOPreparedMessage(.text("a"))).allowsCompression)
        #expect(!Outgoing.prepared(EngineIOPreparedMessage(secret)).allowsCompression)
    }
}
