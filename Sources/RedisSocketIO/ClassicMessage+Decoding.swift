// How the classic adapter's messages are read: strictly, as whoever can write to Redis can write anything (CVE-2025-61765). Members that are
// not known are left out.

import NIOCore
import SocketIO

extension ClassicBroadcast {
    /// Reads a broadcast.
    ///
    /// - Throws: `SocketIOParseError` that says what is missing or of another kind.
    init(_ bytes: ByteBuffer) throws(SocketIOParseError) {
        guard let parts = try SocketIOValue(messagePack: bytes).array, parts.count >= 3 else {
            throw SocketIOClusterMembers.error("a broadcast is no array of three")
        }
        guard let node = parts[0].string else { throw SocketIOClusterMembers.error("a broadcast's node is no string") }
        let (event, namespace) = try SocketIOClusterMembers(parts[1], of: "a broadcast").classicPacket()
        self.init(
            node: node, namespace: namespace, event: event,
            options: try SocketIOClusterMembers(parts[2], of: "a broadcast's options").classicOptions())
    }
}

extension ClassicRequest {
    /// Reads a request.
    ///
    /// - Throws: `SocketIOParseError` that says what is missing or of another kind.
    init(_ bytes: ByteBuffer) throws(SocketIOParseError) {
        let members = SocketIOClusterMembers(try SocketIOValue(classic: bytes), of: "a request")
        let number = try members.int("type")
        guard let type = ClassicType(rawValue: number) else { throw SocketIOClusterMembers.error("type \(number)") }
        self.init(node: try members.optional("uid", members.string), content: try Content(type, members))
    }
}

extension ClassicRequest.Content {
    fileprivate init(_ type: ClassicType, _ members: SocketIOClusterMembers) throws(SocketIOParseError) {
        switch type {
        case .sockets:
            self = .sockets(rooms: try members.optional("rooms", members.names) ?? [], requestID: try members.string("requestId"))
        case .allRooms: self = .allRooms(requestID: try members.string("requestId"))
        case .join: self = try Self.join(members)
        case .leave: self = try Self.leave(members)
        case .disconnect: self = try Self.disconnect(members)
        case .fetch: self = .fetch(try members.members("opts").classicOptions(), requestID: try members.string("requestId"))
        case .serverSideEmit:
            self = .serverSideEmit(try members.event("data"), requestID: try members.optional("requestId", members.string))
        case .broadcast:
            let (event, namespace) = try members.members("packet").classicPacket()
            self = .broadcast(
                event, namespace: namespace, try members.members("opts").classicOptions(), requestID: try members.string("requestId"))
        case .clientCount, .ack: throw SocketIOClusterMembers.error("a response where requests are")
        }
    }

    private static func join(_ members: SocketIOClusterMembers) throws(SocketIOParseError) -> Self {
        guard members["opts"].isNull else {
            return .join(try members.members("opts").classicOptions(), rooms: try members.names("rooms"))
        }
        return .joinOne(id: try members.string("sid"), room: try members.string("room"), requestID: try members.string("requestId"))
    }

    private static func leave(_ members: SocketIOClusterMembers) throws(SocketIOParseError) -> Self {
        guard members["opts"].isNull else {
            return .leave(try members.members("opts").classicOptions(), rooms: try members.names("rooms"))
        }
        return .leaveOne(id: try members.string("sid"), room: try members.string("room"), requestID: try members.string("requestId"))
    }

    private static func disconnect(_ members: SocketIOClusterMembers) throws(SocketIOParseError) -> Self {
        let closes = try members.optional("close", members.bool) ?? false
        guard members["opts"].isNull else { return .disconnect(try members.members("opts").classicOptions(), closes: closes) }
        return .disconnectOne(id: try members.string("sid"), closes: closes, requestID: try members.string("requestId"))
    }
}

extension ClassicResponse {
    /// Reads a response.
    ///
    /// - Throws: `SocketIOParseError` that says what is missing or of another kind.
    init(_ bytes: ByteBuffer) throws(SocketIOParseError) {
        let members = SocketIOClusterMembers(try SocketIOValue(classic: bytes), of: "a response")
        self.init(requestID: try members.string("requestId"), content: try Content(members))
    }
}

extension ClassicResponse.Content {
    fileprivate init(_ members: SocketIOClusterMembers) throws(SocketIOParseError) {
        switch try members.optional("type", members.int) {
        case ClassicType.serverSideEmit.rawValue?: self = .serverSideEmit(members["data"])
        case ClassicType.clientCount.rawValue?: self = .clientCount(try members.count("clientCount"))
        case ClassicType.ack.rawValue?: self = .ack(members["packet"])
        case nil: self = try Self.untyped(members)
        case let number?: throw SocketIOClusterMembers.error("a response of type \(number)")
        }
    }

    private static func untyped(_ members: SocketIOClusterMembers) throws(SocketIOParseError) -> Self {
        if !members["rooms"].isNull { return .rooms(try members.strings("rooms")) }
        guard !members["sockets"].isNull else { return .done }
        // An empty array is of both kinds, and means the same.
        if try members.array("sockets").first?.string != nil { return .socketIDs(try members.strings("sockets")) }
        return .sockets(try members.sockets("sockets"))
    }
}

extension SocketIOValue {
    /// JSON if the first byte says so, else MessagePack.
    fileprivate init(classic bytes: ByteBuffer) throws(SocketIOParseError) {
        if bytes.readableBytesView.first == UInt8(ascii: "{") { try self.init(jsonBytes: bytes) } else { try self.init(messagePack: bytes) }
    }
}

extension SocketIOClusterMembers {
    fileprivate func classicPacket() throws(SocketIOParseError) -> (event: [SocketIOValue], namespace: String) {
        let type = try int("type")
        guard type == 2 || type == 5 else { throw Self.error("only events are broadcast, and this is of type \(type)") }
        return (try event("data"), try optional("nsp", string) ?? "/")
    }

    fileprivate func classicOptions() throws(SocketIOParseError) -> SocketIOBroadcastOptions {
        var options = SocketIOBroadcastOptions(rooms: try classicNames("rooms"), except: try classicNames("except"))
        if self["flags"].string != "", let flags = try optional("flags", members) { try flags.readFlags(into: &options) }
        return options
    }

    private func classicNames(_ name: String) throws(SocketIOParseError) -> Set<String> {
        self[name].isNull || self[name].string == "" ? [] : try names(name)
    }

    fileprivate func strings(_ name: String) throws(SocketIOParseError) -> [String] {
        var strings: [String] = []
        for value in try array(name) {
            guard let string = value.string else { throw Self.error("\(name) is no array of strings") }
            strings.append(string)
        }
        return strings
    }
}
