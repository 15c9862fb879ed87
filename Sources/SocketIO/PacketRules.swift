// What a packet of each type must hold, in whatever format it travels: Socket.IO protocol 5, "Exchange protocol".

extension SocketIOPacket {
    /// Whether this program may send the packet.
    func validate() throws(SocketIOUsageError) {
        guard namespace.utf8.first == UInt8(ascii: "/") else { throw SocketIOUsageError(.namespaceWithoutSlash, namespace) }
        switch content {
        case .event(let values, let id):
            if let id { try Self.validate(id) }
            try Self.validateName(values.first)
        case .ack(_, let id): try Self.validate(id)
        case .connectError(.object), .connectError(.string), .connectError(.null), .connect, .disconnect: break
        case .connectError: throw SocketIOUsageError(.invalidPayload)
        }
    }

    private static func validate(_ id: Int) throws(SocketIOUsageError) {
        guard id >= 0 && id <= maxID else { throw SocketIOUsageError(.invalidID, String(id)) }
    }

    private static func validateName(_ name: SocketIOValue?) throws(SocketIOUsageError) {
        switch name {
        case .string(let name): if isReserved(name) { throw SocketIOUsageError(.reservedEventName, name) }
        case .int: break
        // JSON has no way to write other doubles.
        case .double(let number) where number.isFinite: break
        default: throw SocketIOUsageError(.invalidEventName)
        }
    }
}

extension SocketIOPacket.Content {
    /// What a peer sent, if it may be sent.
    ///
    /// - Parameters:
    ///   - type: the packet's type; of a binary packet, what it stands for.
    ///   - payload: the payload, or nil if there is none.
    ///   - id: the id, or nil if there is none.
    ///   - offset: where the payload is, for messages.
    init(_ type: PacketType, _ payload: SocketIOValue?, id: Int?, at offset: Int?) throws(SocketIOParseError) {
        switch (type, payload) {
        case (.event, .array(let values)), (.binaryEvent, .array(let values)):
            try Self.checkName(values.first, at: offset)
            self = .event(values, id: id)
            return
        case (.ack, .array(let values)), (.binaryAck, .array(let values)):
            // "The receiver MUST respond with an `ACK` packet with the same event ID."
            guard let id else { throw SocketIOParseError(.invalidID, at: offset, "an acknowledgement without an id") }
            self = .ack(values, id: id)
            return
        case (.connect, nil): self = .connect(nil)
        case (.connect, .object(let payload)): self = .connect(payload)
        case (.disconnect, nil): self = .disconnect
        case (.connectError, nil): self = .connectError(.null)
        case (.connectError, .object), (.connectError, .string): self = .connectError(payload ?? .null)
        default:
            // "The payload is mandatory and MUST be a non-empty array. If that's not the case, then the receiver MUST close the
            // connection."
            throw SocketIOParseError(.invalidPayload, at: offset, "\(type.name) with \(payload?.kindName ?? "none")")
        }
        if id != nil { throw SocketIOParseError(.invalidID, at: offset, "\(type.name) with an id") }
    }

    @inline(__always)
    private static func checkName(_ name: SocketIOValue?, at offset: Int?) throws(SocketIOParseError) {
        switch name {
        case .string(let name): if SocketIOPacket.isReserved(name) { throw SocketIOParseError(.reservedEventName, at: offset, name) }
        case .int: break
        // `1e999` is a number for JavaScript; as a name it would be sent on as null.
        case .double(let number) where number.isFinite: break
        case nil: throw SocketIOParseError(.invalidPayload, at: offset, "an event without a name")
        case .some(let name): throw SocketIOParseError(.invalidEventName, at: offset, name.kindName)
        }
    }
}

extension PacketType {
    /// The type's name in the protocol.
    var name: String {
        switch self {
        case .connect: "CONNECT"
        case .disconnect: "DISCONNECT"
        case .event: "EVENT"
        case .ack: "ACK"
        case .connectError: "CONNECT_ERROR"
        case .binaryEvent: "BINARY_EVENT"
        case .binaryAck: "BINARY_ACK"
        }
    }
}
