// The default format, encoding: Socket.IO protocol 5, "Packet encoding", "Format".
//
//     <packet type>[<# of binary attachments>-][<namespace>,][<acknowledgment id>][JSON-stringified payload without binary]
//     + binary attachments extracted

import NIOCore
import WebSocketCore
import WebSockets

/// The parser that every client uses unless told otherwise: one text for a packet, and a binary message for each attachment.
public struct SocketIOJSONParser: SocketIOParser {
    private let shared: SharedParserLimits

    /// The limits on what a peer's packet may hold.
    public var limits: SocketIOParserLimits { shared.limits }

    /// Makes a parser.
    public init(limits: SocketIOParserLimits = SocketIOParserLimits()) { shared = SharedParserLimits(limits) }

    /// Makes the decoder of one connection.
    public func makeDecoder() -> any SocketIOPacketDecoder & ~Copyable { JSONPacketDecoder(limits: shared) }

    /// Encodes a packet; one that holds bytes is sent as BINARY_EVENT or BINARY_ACK.
    ///
    /// How many attachments there may be is the receiver's to say; JavaScript's own refuses more than 10.
    ///
    /// - Throws: `SocketIOUsageError` if the namespace holds a comma or does not begin with a slash; if the id, the event's name or the
    ///   payload can not be one; if values are nested too deep, or bytes stand where they can not be sent.
    public func encode(_ packet: SocketIOPacket) throws(SocketIOUsageError) -> SocketIOMessages {
        try packet.validate()
        // "a namespace encoded with this parser MUST NOT contain a comma."
        if packet.namespace != "/" && packet.namespace.utf8.contains(UInt8(ascii: ",")) {
            throw SocketIOUsageError(.namespaceWithComma, packet.namespace)
        }
        switch packet.content {
        case .event(let values, let id): return try encode(.event, values, id, packet.namespace)
        case .ack(let values, let id): return try encode(.ack, values, id, packet.namespace)
        case .connect(let payload): return try encode(.connect, payload.map { .object($0) } ?? .null, packet.namespace)
        case .disconnect: return try encode(.disconnect, .null, packet.namespace)
        case .connectError(let payload): return try encode(.connectError, payload, packet.namespace)
        }
    }

    private func encode(
        _ type: PacketType, _ values: [SocketIOValue], _ id: Int?, _ namespace: String
    ) throws(SocketIOUsageError) -> SocketIOMessages {
        let count = try Attachments.count(in: values)
        if count > 0 && Attachments.holdLookalike(values) { throw SocketIOUsageError(.placeholderLookalike) }
        let (text, attachments) = JSONWriter.write { writer in
            writer.byte((count > 0 ? type.binary : type).rawValue)
            if count > 0 {
                writer.write(count)
                writer.byte(UInt8(ascii: "-"))
            }
            Self.write(namespace, to: &writer)
            if let id { writer.write(id) }
            writer.write(values)
        }
        return SocketIOMessages(Message(kind: .text, payload: text), attachments: attachments.map { .binary($0) })
    }

    /// A packet that has a payload or none, and no id.
    private func encode(_ type: PacketType, _ payload: SocketIOValue, _ namespace: String) throws(SocketIOUsageError) -> SocketIOMessages {
        guard try Attachments.count(in: [payload], depth: 0) == 0 else { throw SocketIOUsageError(.binaryOutsideEvent) }
        let (text, _) = JSONWriter.write { writer in
            writer.byte(type.rawValue)
            Self.write(namespace, to: &writer)
            if !payload.isNull { writer.write(payload) }
        }
        return SocketIOMessages(Message(kind: .text, payload: text))
    }

    /// "the namespace is only included if it is different from the main namespace (`/`)".
    private static func write(_ namespace: String, to writer: inout JSONWriter) {
        guard namespace != "/" else { return }
        writer.write(plain: namespace)
        writer.byte(UInt8(ascii: ","))
    }
}

/// The types of packets as the default format writes them ("Packet encoding").
enum PacketType: UInt8 {
    case connect = 0x30
    case disconnect, event, ack, connectError, binaryEvent, binaryAck

    /// How this type is written when there are attachments.
    var binary: PacketType { self == .event ? .binaryEvent : .binaryAck }
    var isBinary: Bool { self == .binaryEvent || self == .binaryAck }
}
