// Payloads of Engine.IO's long-polling: what is taken is encoded to the very bytes it was read from, as each packet has one form only, and the
// decoder agrees with a plain one that splits strings and leaves base64 to Foundation.

import EngineIO
import Foundation
import NIOCore
import WebSocketCore
import WebSockets

enum EngineIOPayloadCheck {
    /// The input: how many packets are allowed, then what a client sends.
    static func run(_ input: inout FuzzInput) throws(Finding) {
        let maxPackets = Int(input.byte())
        let bytes = input.bytes()
        let packets = decode(bytes, maxPackets)
        let expected = plainly(bytes, maxPackets)
        if packets != expected { throw Finding("\(show(packets)), not \(show(expected))") }
        guard let packets else { return }
        let encoded = Array(EngineIOPayload.encode(packets).readableBytesView)
        if encoded != bytes { throw Finding("encoded otherwise than read: \(encoded)") }
        if decode(bytes, packets.count) != packets { throw Finding("refused at its own number of packets") }
        if decode(bytes, packets.count - 1) != nil { throw Finding("taken with fewer packets than it has") }
        for packet in packets { try checkWebSocket(packet) }
    }

    private static func decode(_ bytes: [UInt8], _ maxPackets: Int) -> [EngineIOPacket]? {
        try? EngineIOPayload.decode(ByteBuffer(bytes: bytes), maxBytes: bytes.count, maxPackets: maxPackets)
    }

    /// Both of a packet's forms on WebSocket lead back to it.
    private static func checkWebSocket(_ packet: EngineIOPacket) throws(Finding) {
        for supportsBinary in [true, false] {
            let message = packet.webSocketMessage(supportsBinary: supportsBinary)
            if (try? EngineIOPacket(webSocket: message)) != packet { throw Finding("\(packet) does not come back from \(message)") }
        }
    }

    private static func show(_ packets: [EngineIOPacket]?) -> String { packets.map { "\($0)" } ?? "an error" }

    // MARK: The plain decoder

    private static func plainly(_ bytes: [UInt8], _ maxPackets: Int) -> [EngineIOPacket]? {
        guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
        let records = text.utf8.split(separator: 0x1E, omittingEmptySubsequences: false)
        guard records.count <= maxPackets else { return nil }
        var packets: [EngineIOPacket] = []
        for record in records {
            guard let packet = plainPacket(Array(record)) else { return nil }
            packets.append(packet)
        }
        return packets
    }

    private static func plainPacket(_ record: [UInt8]) -> EngineIOPacket? {
        let payload = String(decoding: record.dropFirst(), as: UTF8.self)
        if record.first == UInt8(ascii: "b") {
            // Foundation passes over bits that are left over; we do not.
            guard let data = Data(base64Encoded: payload), data.base64EncodedString() == payload else { return nil }
            return EngineIOPacket(.binary(Array(data)))
        }
        guard let digit = record.first, let type = EngineIOPacket.PacketType(rawValue: digit &- 0x30) else { return nil }
        return EngineIOPacket(type, payload)
    }
}
