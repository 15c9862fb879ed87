// One packet: EngineIOPacket.swift, EngineIOError.swift.

import NIOCore
import Testing
import WebSocketCore
import WebSockets

@testable import EngineIO

@Suite struct EngineIOPacketTests {
    @Test(arguments: zip(EngineIOPacket.PacketType.allCases, ["0{}", "1{}", "2{}", "3{}", "4{}", "5{}", "6{}"]))
    func aTextPacketIsItsDigitAndItsPayload(type: EngineIOPacket.PacketType, text: String) throws {
        let packet = EngineIOPacket(type, "{}")
        #expect(packet.webSocketMessage() == .text(text))
        #expect(try EngineIOPacket(webSocket: .text(text)) == packet)
        #expect(packet.textLength == 3)
    }

    @Test func aPayloadCanBeMissing() throws {
        #expect(EngineIOPacket(.noop).webSocketMessage() == .text("6"))
        #expect(try EngineIOPacket(webSocket: .text("6")) == EngineIOPacket(.noop))
        #expect(try EngineIOPacket(webSocket: .text("4")).message == .text(""))
    }

    @Test func aBinaryMessageIsItself() throws {
        let packet = EngineIOPacket(.binary([1, 2, 3, 4]))
        #expect(packet.webSocketMessage() == .binary([1, 2, 3, 4]))
        #expect(try EngineIOPacket(webSocket: .binary([1, 2, 3, 4])) == packet)
        #expect(try EngineIOPacket(webSocket: .binary([])).message == .binary([]))
    }

    @Test func aBinaryMessageIsBase64ForWhoAsksForIt() throws {
        let packet = EngineIOPacket(.binary([1, 2, 3, 4]))
        #expect(packet.webSocketMessage(supportsBinary: false) == .text("bAQIDBA=="))
        #expect(packet.textLength == 9)
        #expect(try EngineIOPacket(webSocket: .text("bAQIDBA==")) == packet)
        #expect(try EngineIOPacket(webSocket: .text("b")) == EngineIOPacket(.binary([])))
    }

    @Test func thePayloadIsNotCopied() throws {
        let message = Message.text("4" + String(repeating: "x", count: 1000))
        let packet = try EngineIOPacket(webSocket: message)
        let outer = message.payload.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
        let inner = packet.payload.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
        #expect(inner == outer + 1)
    }

    @Test(arguments: [
        ("", EngineIOError.Rule.emptyPacket), ("7", .unknownType), ("abc", .unknownType), ("/", .unknownType), (":", .unknownType),
        ("é", .unknownType),
        (" 4a", .unknownType), ("bA", .invalidBase64), ("b!", .invalidBase64), ("bAQIDBA", .invalidBase64), ("b=", .invalidBase64),
    ])
    func whatIsNoPacketIsRefused(text: String, rule: EngineIOError.Rule) {
        let error = #expect(throws: EngineIOError.self) { try EngineIOPacket(webSocket: .text(text)) }
        #expect(error?.rule == rule)
    }

    @Test func anErrorSaysWhoseFaultAndWhat() {
        #expect(EngineIOError(.unknownType, "'a'").description == "the peer sent a packet of an unknown type: 'a'")
        #expect(
            #expect(throws: EngineIOError.self) { try EngineIOPacket(webSocket: .text("\u{1}")) }?.description.hasSuffix("byte 1") == true)
        #expect(EngineIOError(.init(rawValue: "later")).description == "later")
    }
}
