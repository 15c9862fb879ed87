// How a node's message is written and read; see SocketIOClusterMessage.swift for the form.

import WebSockets

// MARK: Writing

extension SocketIOClusterMessage {
    /// The message as the JavaScript nodes write it; rooms in the order of their names.
    public var value: SocketIOValue {
        var value: SocketIOObject = ["type": .int(content.type.rawValue)]
        if let data = content.data { value["data"] = .object(data) }
        value["uid"] = .string(node)
        value["nsp"] = .string(namespace)
        return .object(value)
    }
}

/// The numbers of the kinds.
private enum MessageType: Int {
    case initialHeartbeat = 1, heartbeat, broadcast, socketsJoin, socketsLeave, disconnectSockets, fetchSockets, fetchSocketsResponse
    case serverSideEmit, serverSideEmitResponse, broadcastClientCount, broadcastAck, adapterClose
}

/// The packet type of an event.
private let eventType: SocketIOValue = 2

extension SocketIOClusterMessage.Content {
    fileprivate var type: MessageType {
        switch self {
        case .initialHeartbeat: .initialHeartbeat
        case .heartbeat: .heartbeat
        case .broadcast: .broadcast
        case .socketsJoin: .socketsJoin
        case .socketsLeave: .socketsLeave
        case .disconnectSockets: .disconnectSockets
        case .fetchSockets: .fetchSockets
        case .fetchSocketsResponse: .fetchSocketsResponse
        case .serverSideEmit: .serverSideEmit
        case .serverSideEmitResponse: .serverSideEmitResponse
        case .broadcastClientCount: .broadcastClientCount
        case .broadcastAck: .broadcastAck
        case .adapterClose: .adapterClose
        }
    }

    fileprivate var data: SocketIOObject? {
        switch self {
        case .initialHeartbeat, .heartbeat, .adapterClose: nil
        case .broadcast(let event, let options, let id):
            Self.object([
                ("packet", ["type": eventType, "data": .array(event)]), ("requestId", id.map { .string($0) }), ("opts", options.value),
            ])
        case .socketsJoin(let options, let rooms), .socketsLeave(let options, let rooms):
            ["opts": options.value, "rooms": .sorted(rooms)]
        case .disconnectSockets(let options, let closes): ["opts": options.value, "close": .bool(closes)]
        case .fetchSockets(let options, let id): ["opts": options.value, "requestId": .string(id)]
        case .fetchSocketsResponse(let id, let sockets): ["requestId": .string(id), "sockets": .array(sockets.map(\.value))]
        case .serverSideEmit(let event, let id): Self.object([("requestId", id.map { .string($0) }), ("packet", .array(event))])
        case .serverSideEmitResponse(let id, let answer), .broadcastAck(let id, let answer): ["requestId": .string(id), "packet": answer]
        case .broadcastClientCount(let id, let count): ["requestId": .string(id), "clientCount": .int(count)]
        }
    }

    private static func object(_ members: [(String, SocketIOValue?)]) -> SocketIOObject {
        SocketIOObject(members.compactMap { name, value in value.map { (key: name, value: $0) } })
    }
}

// MARK: Reading

extension SocketIOClusterMessage {
    /// Reads a message; members that are not known, and flags, are left out.
    ///
    /// - Throws: `SocketIOParseError` of the rule `invalidClusterMessage`, with the member that is missing or of another kind.
    public init(_ value: SocketIOValue) throws(SocketIOParseError) {
        let members = SocketIOClusterMembers(value, of: "the message")
        let number = try members.int("type")
        guard let type = MessageType(rawValue: number) else { throw SocketIOClusterMembers.error("type \(number)") }
        self.init(
            node: try members.string("uid"), namespace: try members.string("nsp"),
            try Content(type, SocketIOClusterMembers(value["data"] ?? .null, of: "data")))
    }
}

extension SocketIOParseError.Rule {
    /// A message of a cluster that is none.
    public static let invalidClusterMessage = Self("sent a message to the cluster that can not be one")
}

extension SocketIOClusterMessage.Content {
    fileprivate init(_ type: MessageType, _ data: SocketIOClusterMembers) throws(SocketIOParseError) {
        switch type {
        case .initialHeartbeat: self = .initialHeartbeat
        case .heartbeat: self = .heartbeat
        case .adapterClose: self = .adapterClose
        case .broadcast: self = try Self.broadcast(data)
        case .socketsJoin: self = .socketsJoin(try data.options(), rooms: try data.names("rooms"))
        case .socketsLeave: self = .socketsLeave(try data.options(), rooms: try data.names("rooms"))
        case .disconnectSockets:
            self = .disconnectSockets(try data.options(), closingConnections: try data.optional("close", data.bool) ?? false)
        case .fetchSockets: self = .fetchSockets(try data.options(), requestID: try data.string("requestId"))
        case .fetchSocketsResponse: self = try Self.sockets(data)
        case .serverSideEmit:
            self = .serverSideEmit(event: try data.event("packet"), requestID: try data.optional("requestId", data.string))
        case .serverSideEmitResponse: self = .serverSideEmitResponse(requestID: try data.string("requestId"), answer: data["packet"])
        case .broadcastClientCount:
            self = .broadcastClientCount(requestID: try data.string("requestId"), count: try data.count("clientCount"))
        case .broadcastAck: self = .broadcastAck(requestID: try data.string("requestId"), answer: data["packet"])
        }
    }

    private static func broadcast(_ data: SocketIOClusterMembers) throws(SocketIOParseError) -> Self {
        let packet = try data.members("packet")
        guard packet["type"] == eventType else { throw SocketIOClusterMembers.error("only events are broadcast") }
        return .broadcast(
            event: try packet.event("data"), try data.options(), requestID: try data.optional("requestId", data.string))
    }

    private static func sockets(_ data: SocketIOClusterMembers) throws(SocketIOParseError) -> Self {
        .fetchSocketsResponse(requestID: try data.string("requestId"), sockets: try data.sockets("sockets"))
    }
}
