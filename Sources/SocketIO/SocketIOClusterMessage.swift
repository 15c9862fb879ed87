// What the nodes of a cluster say to each other: `ClusterMessage` and `ClusterResponse` of the JavaScript package socket.io-adapter (2.5), so
// that nodes of both kinds can share a cluster. As a value, which an adapter carries as JSON or MessagePack.
//
//   {"type": 1 to 13, "data": …, "uid": the node, "nsp": the namespace}
//   opts: {"rooms": […], "except": […], "flags": {…}}
//   packet: {"type": 2, "data": [event, …]}, where one is broadcast

import WebSockets

/// A message of one node to the others, or its answer to one of theirs.
public struct SocketIOClusterMessage: Sendable, Hashable {
    /// What is said.
    public enum Content: Sendable, Hashable {
        /// A node is there; the others say that they are, too.
        case initialHeartbeat
        /// A node is still there.
        case heartbeat
        /// An event for sockets, which answer it if there is an id: `broadcastClientCount`, then `broadcastAck` for each.
        case broadcast(event: [SocketIOValue], SocketIOBroadcastOptions, requestID: String?)
        /// Puts sockets into rooms.
        case socketsJoin(SocketIOBroadcastOptions, rooms: Set<String>)
        /// Takes sockets out of rooms.
        case socketsLeave(SocketIOBroadcastOptions, rooms: Set<String>)
        /// Has sockets leave the namespace.
        case disconnectSockets(SocketIOBroadcastOptions, closingConnections: Bool)
        /// Asks for the sockets.
        case fetchSockets(SocketIOBroadcastOptions, requestID: String)
        /// The sockets of one node.
        case fetchSocketsResponse(requestID: String, sockets: [Socket])
        /// An event for the programs on the other nodes, which they answer if there is an id.
        case serverSideEmit(event: [SocketIOValue], requestID: String?)
        /// One node's answer to it; null for none.
        case serverSideEmitResponse(requestID: String, answer: SocketIOValue)
        /// How many sockets of one node were asked.
        case broadcastClientCount(requestID: String, count: Int)
        /// The first argument of one socket's answer; null for none.
        case broadcastAck(requestID: String, answer: SocketIOValue)
        /// A node leaves.
        case adapterClose
    }

    /// A socket, described.
    public struct Socket: Sendable, Hashable {
        /// Its id.
        public var id: String
        /// The rooms that it is in, its own among them.
        public var rooms: Set<String>
        /// What was kept with it.
        public var data: SocketIOValue
        /// How it came; see `SocketIORemoteSocket.handshake`.
        public var handshake: SocketIOValue

        /// Describes a socket.
        public init(id: String, rooms: Set<String>, data: SocketIOValue, handshake: SocketIOValue) {
            self.id = id
            self.rooms = rooms
            self.data = data
            self.handshake = handshake
        }
    }

    /// Who says it: a node's id, which is another one for each of its namespaces.
    public var node: String
    /// The namespace.
    public var namespace: String
    /// What is said.
    public var content: Content

    /// Makes a message.
    public init(node: String, namespace: String, _ content: Content) {
        self.node = node
        self.namespace = namespace
        self.content = content
    }
}
