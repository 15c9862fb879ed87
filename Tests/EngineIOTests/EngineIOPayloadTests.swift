// Several packets at once: EngineIOPayload.swift.

import NIOCore
import TestSupport
import Testing
import WebSocketCore
import WebSockets

@testable import EngineIO

@Suite struct EngineIOPayloadTests {
    private static func decode(_ bytes: some Sequence<UInt8>, maxBytes: Int = 1000, maxPackets: Int = 100) throws -> [EngineIOPacket] {
        try EngineIOPayload.decode(ByteBuffer(bytes: bytes), maxBytes: maxBytes, maxPackets: maxPackets)
    }

    private static func rule(_ body: () throws -> [EngineIOPacket]) -> EngineIOError.Rule? {
        #expect(throws: EngineIOError.self) { try body() }?.rule
    }

    // The examples of the protocol, "Packet encoding".
    @Test func followsTheExamples() throws {
        let packets = [EngineIOPacket(.message, "hello"), EngineIOPacket(.ping), EngineIOPacket(.message, "world")]
        #expect(EngineIOPayload.encode(packets) == ByteBuffer(string: "4hello\u{1E}2\u{1E}4world"))
        #expect(try Self.decode("4hello\u{1E}2\u{1E}4world".utf8) == packets)
        let mixed = [EngineIOPacket(.message, "hello"), EngineIOPacket(.binary([1, 2, 3, 4]))]
        #expect(EngineIOPayload.encode(mixed) == ByteBuffer(string: "4hello\u{1E}bAQIDBA=="))
        #expect(try Self.decode("4hello\u{1E}bAQIDBA==".utf8) == mixed)
    }

    @Test(arguments: ["", "4a\u{1E}", "\u{1E}4a", "4a\u{1E}\u{1E}4b", "\u{1E}"]) func anEmptyPacketIsNone(text: String) {
        #expect(Self.rule { try Self.decode(text.utf8) } == .emptyPacket)
    }

    @Test func whatIsNotUTF8IsRefusedAsAWhole() {
        #expect(Self.rule { try Self.decode([0x34, 0x61, 0x1E, 0x34, 0xFF]) } == .invalidUTF8)
        #expect(Self.rule { try Self.decode([0x34, 0xE2, 0x82]) } == .invalidUTF8)
        #expect(Self.rule { try Self.decode([0x34, 0xED, 0xA0, 0x80]) } == .invalidUTF8)
    }

    @Test func otherErrorsAreThePackets() {
        #expect(Self.rule { try Self.decode("4a\u{1E}9".utf8) } == .unknownType)
        #expect(Self.rule { try Self.decode("4a\u{1E}b?".utf8) } == .invalidBase64)
    }

    @Test func bytesAreLimited() throws {
        #expect(try Self.decode("4hello".utf8, maxBytes: 6) == [EngineIOPacket(.message, "hello")])
        #expect(Self.rule { try Self.decode("4hello!".utf8, maxBytes: 6) } == .payloadTooLarge)
    }

    @Test func packetsAreLimited() throws {
        #expect(try Self.decode("2\u{1E}2".utf8, maxPackets: 2).count == 2)
        #expect(Self.rule { try Self.decode("2\u{1E}2\u{1E}2".utf8, maxPackets: 2) } == .tooManyPackets)
    }

    @Test func givesThePacketsBeforeABadOne() throws {
        var decoder = try EngineIOPayloadDecoder(ByteBuffer(string: "4a\u{1E}x\u{1E}4b"), maxBytes: 100, maxPackets: 10)
        #expect(try decoder.next() == EngineIOPacket(.message, "a"))
        #expect(throws: EngineIOError.self) { try decoder.next() }
    }

    @Test func whatIsEncodedComesBack() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let packets = (0..<Int.random(in: 1...20, using: &random)).map { _ in Self.anyPacket(&random) }
            let payload = EngineIOPayload.encode(packets)
            #expect(try EngineIOPayload.decode(payload, maxBytes: .max, maxPackets: 20) == packets, "seed \(seed)")
        }
    }

    private static func anyPacket(_ random: inout SeededGenerator) -> EngineIOPacket {
        let count = Int.random(in: 0...40, using: &random)
        if Bool.random(using: &random) {
            return EngineIOPacket(.binary((0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }))
        }
        let text = String(
            String.UnicodeScalarView((0..<count).map { _ in ["a", "ü", "€", "😀", "\n", "\u{1F}"].randomElement(using: &random) ?? "x" }))
        return EngineIOPacket(EngineIOPacket.PacketType.allCases.randomElement(using: &random) ?? .message, text)
    }
}
