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

extension SocketIOClusterMessage.Socket {
    fileprivate var value: SocketIOValue { ["id": .string(id), "handshake": handshake, "rooms": .sorted(rooms), "data": data] }
}

extension SocketIOBroadcastOptions {
    /// Without `isLocal`: what is this node's is not said to others.
    fileprivate var value: SocketIOValue {
        var flags = SocketIOObject()
        if isVolatile { flags["volatile"] = true }
        if compression == .never { flags["compress"] = false }
        if let timeout { flags["timeout"] = .int(Int(timeout / .milliseconds(1))) }
        return ["rooms": .sorted(rooms), "except": .sorted(except), "flags": .object(flags)]
    }
}

extension SocketIOValue {
    fileprivate static func sorted(_ names: Set<String>) -> SocketIOValue { .array(names.sorted().map { .string($0) }) }
}

// MARK: Reading

extension SocketIOClusterMessage {
    /// Reads a message; members that are not known, and flags, are left out.
    ///
    /// - Throws: `SocketIOParseError` of the rule `invalidClusterMessage`, with the member that is missing or of another kind.
    public init(_ value: SocketIOValue) throws(SocketIOParseError) {
        let members = Members(value, of: "the message")
        let number = try members.int("type")
        guard let type = MessageType(rawValue: number) else { throw Members.error("type \(number)") }
        self.init(
            node: try members.string("uid"), namespace: try members.string("nsp"),
            try Content(type, Members(value["data"] ?? .null, of: "data")))
    }
}

extension SocketIOParseError.Rule {
    /// A message of a cluster that is none.
    public static let invalidClusterMessage = Self("sent a message to the cluster that can not be one")
}

/// The members of an object that another node sent.
private struct Members {
    private let object: SocketIOValue
    private let place: String

    init(_ object: SocketIOValue, of place: String) {
        self.object = object
        self.place = place
    }

    static func error(_ what: String) -> SocketIOParseError { SocketIOParseError(.invalidClusterMessage, what) }

    subscript(name: String) -> SocketIOValue { object[name] ?? .null }

    func members(_ name: String) throws(SocketIOParseError) -> Members {
        guard case .object = self[name] else { throw error(name, "an object") }
        return Members(self[name], of: "\(name) of \(place)")
    }

    func string(_ name: String) throws(SocketIOParseError) -> String { try need(name, "a string", self[name].string) }
    func int(_ name: String) throws(SocketIOParseError) -> Int { try need(name, "a whole number", self[name].int) }
    func array(_ name: String) throws(SocketIOParseError) -> [SocketIOValue] { try need(name, "an array", self[name].array) }

    /// A member that may be missing.
    func optional<Value>(_ name: String, _ read: (String) throws(SocketIOParseError) -> Value) throws(SocketIOParseError) -> Value? {
        self[name].isNull ? nil : try read(name)
    }

    func bool(_ name: String) throws(SocketIOParseError) -> Bool { try need(name, "a boolean", self[name].bool) }

    func names(_ name: String) throws(SocketIOParseError) -> Set<String> {
        var names: Set<String> = []
        for value in try array(name) { names.insert(try need(name, "an array of strings", value.string)) }
        return names
    }

    /// An event: its name and its arguments.
    func event(_ name: String) throws(SocketIOParseError) -> [SocketIOValue] {
        let values = try array(name)
        guard values.first?.eventName != nil else { throw error(name, "an event") }
        return values
    }

    func options() throws(SocketIOParseError) -> SocketIOBroadcastOptions {
        let members = try members("opts")
        var options = SocketIOBroadcastOptions(rooms: try members.names("rooms"), except: try members.names("except"))
        guard let flags = try members.optional("flags", members.members) else { return options }
        options.isVolatile = try flags.optional("volatile", flags.bool) ?? false
        options.compression = try flags.optional("compress", flags.bool) == false ? .never : .automatic
        options.timeout = try flags.optional("timeout", flags.milliseconds)
        return options
    }

    /// A time of up to a year: what is more is a mistake, and would not fit everywhere.
    private func milliseconds(_ name: String) throws(SocketIOParseError) -> Duration {
        let time = try int(name)
        guard 0...31_536_000_000 ~= time else { throw Self.error("\(name) of \(place) is \(time)") }
        return .milliseconds(time)
    }

    func count(_ name: String) throws(SocketIOParseError) -> Int {
        let count = try int(name)
        guard count >= 0 else { throw Self.error("\(name) of \(place) is \(count)") }
        return count
    }

    private func need<Value>(_ name: String, _ kind: String, _ value: Value?) throws(SocketIOParseError) -> Value {
        guard let value else { throw error(name, kind) }
        return value
    }

    private func error(_ name: String, _ kind: String) -> SocketIOParseError {
        Self.error("\(name) of \(place) is \(self[name].kindName), not \(kind)")
    }
}

extension SocketIOClusterMessage.Content {
    fileprivate init(_ type: MessageType, _ data: Members) throws(SocketIOParseError) {
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

    private static func broadcast(_ data: Members) throws(SocketIOParseError) -> Self {
        let packet = try data.members("packet")
        guard packet["type"] == eventType else { throw Members.error("only events are broadcast") }
        return .broadcast(
            event: try packet.event("data"), try data.options(), requestID: try data.optional("requestId", data.string))
    }

    private static func sockets(_ data: Members) throws(SocketIOParseError) -> Self {
        var sockets: [SocketIOClusterMessage.Socket] = []
        for value in try data.array("sockets") {
            let socket = Members(value, of: "a socket")
            sockets.append(
                SocketIOClusterMessage.Socket(
                    id: try socket.string("id"), rooms: try socket.names("rooms"), data: socket["data"], handshake: socket["handshake"]))
        }
        return .fetchSocketsResponse(requestID: try data.string("requestId"), sockets: sockets)
    }
}
