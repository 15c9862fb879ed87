// What nodes say to each other with @socket.io/redis-adapter 8, the classic adapter: over Redis's publish/subscribe, on four channels of each
// namespace, `key` being `socket.io`.
//
//   key#nsp#             a broadcast: MessagePack, [uid, {type: 2, data: [event, …], nsp}, {rooms, except, flags}]
//   key#nsp#room#        the same, if there is exactly one room
//   key-request#nsp#     a request: an object, JSON if the first byte is `{`, else MessagePack
//   key-response#nsp#    an answer, in the same way
//   key-response#nsp#uid#  an answer for one node alone, from nodes that are configured so
//
// Emitters, programs without a server, call themselves `emitter`, or nothing. Old ones write "" for no rooms and no flags, leave `except` out,
// and say BINARY_EVENT (5) where there are bytes.

import SocketIO

/// An event for sockets.
struct ClassicBroadcast: Sendable, Hashable {
    var node: String
    var namespace: String
    var event: [SocketIOValue]
    var options: SocketIOBroadcastOptions
}

/// What one node asks of the others.
struct ClassicRequest: Sendable, Hashable {
    enum Content: Sendable, Hashable {
        /// For the ids of the sockets in any of these rooms; not asked by version 8.
        case sockets(rooms: Set<String>, requestID: String)
        /// For the names of all rooms.
        case allRooms(requestID: String)
        case join(SocketIOBroadcastOptions, rooms: Set<String>)
        case leave(SocketIOBroadcastOptions, rooms: Set<String>)
        case disconnect(SocketIOBroadcastOptions, closes: Bool)
        /// Concerning one socket, as versions before 6 asked.
        case joinOne(id: String, room: String, requestID: String)
        case leaveOne(id: String, room: String, requestID: String)
        case disconnectOne(id: String, closes: Bool, requestID: String)
        /// For the sockets, described.
        case fetch(SocketIOBroadcastOptions, requestID: String)
        /// An event for the programs on the other nodes; answered if there is an id.
        case serverSideEmit([SocketIOValue], requestID: String?)
        /// An event for sockets, which answer it.
        case broadcast([SocketIOValue], namespace: String, SocketIOBroadcastOptions, requestID: String)
    }

    /// Who asks; nil for emitters.
    var node: String?
    var content: Content
}

/// What one node answers.
struct ClassicResponse: Sendable, Hashable {
    enum Content: Sendable, Hashable {
        case sockets([SocketIOClusterMessage.Socket])
        case socketIDs([String])
        case rooms([String])
        case done
        case serverSideEmit(SocketIOValue)
        /// How many sockets were asked.
        case clientCount(Int)
        /// The first argument of one socket's answer.
        case ack(SocketIOValue)
    }

    var requestID: String
    var content: Content
}

/// The numbers of the kinds of requests and responses.
enum ClassicType: Int {
    case sockets = 0, allRooms, join, leave, disconnect, fetch, serverSideEmit, broadcast, clientCount, ack
}
