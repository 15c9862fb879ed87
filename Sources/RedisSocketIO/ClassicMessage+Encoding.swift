// How the classic adapter's messages are written: byte for byte as version 8.3 does, members in the same order; rooms in the order of their
// names.

import NIOCore
import SocketIO

/// An object of the members that are there, in this order.
private func object(_ members: [(String, SocketIOValue?)]) -> SocketIOValue {
    .object(SocketIOObject(members.compactMap { name, value in value.map { (key: name, value: $0) } }))
}

private func packet(_ event: [SocketIOValue], _ namespace: String) -> SocketIOValue {
    ["type": 2, "data": .array(event), "nsp": .string(namespace)]
}

extension SocketIOBroadcastOptions {
    /// Whom it concerns, without how it is sent.
    fileprivate var selection: SocketIOValue { ["rooms": .sorted(rooms), "except": .sorted(except)] }
}

extension ClassicBroadcast {
    /// The bytes.
    var encoded: ByteBuffer { SocketIOValue.array([.string(node), packet(event, namespace), options.value]).messagePack }
}

extension ClassicRequest {
    /// The bytes: JSON, but for events with answers, and where there are bytes in the values.
    var encoded: ByteBuffer {
        let value = value
        if case .broadcast = content { return value.messagePack }
        return value.jsonBytes ?? value.messagePack
    }

    private var value: SocketIOValue {
        let uid = node.map { SocketIOValue.string($0) }
        switch content {
        case .sockets(let rooms, let id):
            return object([("uid", uid), ("requestId", .string(id)), type(.sockets), ("rooms", .sorted(rooms))])
        case .allRooms(let id): return object([("uid", uid), ("requestId", .string(id)), type(.allRooms)])
        case .join(let options, let rooms):
            return object([("uid", uid), type(.join), ("opts", options.selection), ("rooms", .sorted(rooms))])
        case .leave(let options, let rooms):
            return object([("uid", uid), type(.leave), ("opts", options.selection), ("rooms", .sorted(rooms))])
        case .disconnect(let options, let closes):
            return object([("uid", uid), type(.disconnect), ("opts", options.selection), ("close", .bool(closes))])
        case .joinOne(let sid, let room, let id):
            return object([("uid", uid), ("requestId", .string(id)), type(.join), ("sid", .string(sid)), ("room", .string(room))])
        case .leaveOne(let sid, let room, let id):
            return object([("uid", uid), ("requestId", .string(id)), type(.leave), ("sid", .string(sid)), ("room", .string(room))])
        case .disconnectOne(let sid, let closes, let id):
            return object([("uid", uid), ("requestId", .string(id)), type(.disconnect), ("sid", .string(sid)), ("close", .bool(closes))])
        case .fetch(let options, let id):
            return object([("uid", uid), ("requestId", .string(id)), type(.fetch), ("opts", options.selection)])
        case .serverSideEmit(let event, let id):
            return object([("uid", uid), ("requestId", id.map { .string($0) }), type(.serverSideEmit), ("data", .array(event))])
        case .broadcast(let event, let namespace, let options, let id):
            return object([
                ("uid", uid), ("requestId", .string(id)), type(.broadcast), ("packet", packet(event, namespace)), ("opts", options.value),
            ])
        }
    }

    private func type(_ type: ClassicType) -> (String, SocketIOValue?) { ("type", .int(type.rawValue)) }
}

extension ClassicResponse {
    /// The bytes: JSON, but for the answers of sockets, and where there are bytes in the values.
    var encoded: ByteBuffer {
        let value = value
        if case .ack = content { return value.messagePack }
        return value.jsonBytes ?? value.messagePack
    }

    private var value: SocketIOValue {
        let id = SocketIOValue.string(requestID)
        switch content {
        case .sockets(let sockets): return ["requestId": id, "sockets": .array(sockets.map(Self.described))]
        case .socketIDs(let ids): return ["requestId": id, "sockets": .array(ids.map { .string($0) })]
        case .rooms(let rooms): return ["requestId": id, "rooms": .array(rooms.map { .string($0) })]
        case .done: return ["requestId": id]
        case .serverSideEmit(let answer): return ["type": .int(ClassicType.serverSideEmit.rawValue), "requestId": id, "data": answer]
        case .clientCount(let count): return ["type": .int(ClassicType.clientCount.rawValue), "requestId": id, "clientCount": .int(count)]
        case .ack(let answer): return ["type": .int(ClassicType.ack.rawValue), "requestId": id, "packet": answer]
        }
    }

    /// A socket without data has an empty object there, as JavaScript's have.
    private static func described(_ socket: SocketIOClusterMessage.Socket) -> SocketIOValue {
        var socket = socket
        if socket.data.isNull { socket.data = .object([:]) }
        return socket.value
    }
}
