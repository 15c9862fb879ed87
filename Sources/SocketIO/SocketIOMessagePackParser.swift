// The format of the package socket.io-msgpack-parser (3.0): every packet is one binary message, a map with the members `type` (0 to 4),
// `nsp`, and where there are any `data` and `id`. A member `options` is written by JavaScript and means nothing to the receiver.
//
// Bytes stand where they are, so there are no attachments and no placeholders.

import NIOCore
import WebSocketCore
import WebSockets

/// The parser of the package socket.io-msgpack-parser: one binary message for a packet.
public struct SocketIOMessagePackParser: SocketIOParser {
    private let shared: SharedParserLimits

    /// The limits on what a peer's packet may hold; `maxAttachments` means nothing here.
    public var limits: SocketIOParserLimits { shared.limits }

    /// Makes a parser.
    public init(limits: SocketIOParserLimits = SocketIOParserLimits()) { shared = SharedParserLimits(limits) }

    /// Makes the decoder of one connection.
    public func makeDecoder() -> any SocketIOPacketDecoder & ~Copyable { MessagePackPacketDecoder(limits: shared) }

    /// Encodes a packet.
    ///
    /// - Throws: `SocketIOUsageError` if the namespace does not begin with a slash; if the id, the event's name or the payload can not be
    ///   one; if values are nested too deep.
    public func encode(_ packet: SocketIOPacket) throws(SocketIOUsageError) -> SocketIOMessages {
        try packet.validate()
        let (type, payload, id) = packet.parts
        // Counting them looks at how deep they are.
        if let payload { _ = try Attachments.count(in: [payload], depth: 0) }
        var writer = MessagePackWriter(ByteBuffer())
        writer.writeMapHeader(count: 2 + (payload == nil ? 0 : 1) + (id == nil ? 0 : 1))
        writer.write("type")
        writer.write(Int(type.rawValue - PacketType.connect.rawValue))
        writer.write("nsp")
        writer.write(packet.namespace)
        if let payload {
            writer.write("data")
            writer.write(payload)
        }
        if let id {
            writer.write("id")
            writer.write(id)
        }
        return SocketIOMessages(.binary(writer.buffer))
    }
}

extension SocketIOPacket {
    /// The packet's type, payload and id, apart.
    fileprivate var parts: (type: PacketType, payload: SocketIOValue?, id: Int?) {
        switch content {
        case .connect(let payload): (.connect, payload.map { .object($0) }, nil)
        case .disconnect: (.disconnect, nil, nil)
        case .event(let values, let id): (.event, .array(values), id)
        case .ack(let values, let id): (.ack, .array(values), id)
        case .connectError(let payload): (.connectError, payload.isNull ? nil : payload, nil)
        }
    }
}

/// Decodes the packets of one connection.
struct MessagePackPacketDecoder: ~Copyable, SocketIOPacketDecoder {
    private let shared: SharedParserLimits

    init(limits: SharedParserLimits) { shared = limits }

    mutating func add(_ message: Message) throws(SocketIOParseError) -> SocketIOPacket? {
        guard message.kind == .binary else { throw SocketIOParseError(.textInMessagePack) }
        let value = try decode(message.payload)
        guard case .object(let members) = value else { throw SocketIOParseError(.invalidPayload, at: 0, "\(value.kindName) is no packet") }
        return try packet(members)
    }

    private func decode(_ payload: ByteBuffer) throws(SocketIOParseError) -> SocketIOValue {
        do throws(MessagePackError) {
            // One level is the packet's own map.
            return try MessagePackReader.read(payload, maxDepth: shared.limits.maxDepth + 1)
        } catch {
            throw SocketIOParseError(error.reason == .tooDeep ? .tooDeep : .invalidMessagePack, at: error.offset, error.reason.rawValue)
        }
    }

    private func packet(_ members: SocketIOObject) throws(SocketIOParseError) -> SocketIOPacket {
        guard let number = members["type"]?.int, (0...4).contains(number),
            let type = PacketType(rawValue: PacketType.connect.rawValue + UInt8(number))
        else { throw SocketIOParseError(.unknownType) }
        let namespace = try namespace(members["nsp"])
        // Older encoders write what is undefined; it reads as null.
        let payload = members["data"] == .null ? Optional.none : members["data"]
        let content = try SocketIOPacket.Content(type, payload, id: try id(members["id"]), at: nil)
        return SocketIOPacket(namespace: namespace, content: content)
    }

    private func namespace(_ value: SocketIOValue?) throws(SocketIOParseError) -> String {
        guard case .string(let namespace)? = value, namespace.utf8.first == UInt8(ascii: "/") else {
            throw SocketIOParseError(.invalidNamespace)
        }
        let (length, limit) = (namespace.utf8.count, shared.limits.maxNamespaceLength)
        guard length <= limit else { throw SocketIOParseError(.namespaceTooLong, at: nil, "\(length) bytes, and the limit is \(limit)") }
        return namespace
    }

    private func id(_ value: SocketIOValue?) throws(SocketIOParseError) -> Int? {
        guard let value, !value.isNull else { return nil }
        guard let id = value.int, id >= 0 && id <= SocketIOPacket.maxID else { throw SocketIOParseError(.invalidID) }
        return id
    }
}
