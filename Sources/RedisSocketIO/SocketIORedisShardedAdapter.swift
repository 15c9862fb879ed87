// The sharded adapter of @socket.io/redis-adapter 8, so that Swift and Node.js servers can share a cluster: sharded publish/subscribe of Redis 7, which
// a Redis Cluster does not pass on to all of its nodes, and a channel for each room, which only the nodes that have somebody there hear.

import NIOConcurrencyHelpers
public import RedisPubSub
public import SocketIO

/// Joins a namespace's rooms with those of all other nodes by sharded publish/subscribe, Duplex or Node.js (`createShardedAdapter`).
///
/// ```swift
/// let redis = try RedisClient(url: "redis://127.0.0.1")
/// let io = SocketIOServer(configuration: SocketIOConfiguration(adapter: SocketIORedisShardedAdapter.over(redis)))
/// ```
///
/// Needs Redis 7. Broadcasts reach each other node at most once; what is said to a room reaches a node from the moment on at which Redis has confirmed that
/// the node listens to it, some milliseconds after the first socket has joined there. While Redis can not be reached, this node goes on with its
/// own sockets, and what other nodes would have to answer fails, with what this node knows. Recovery works for clients that come back to the same node.
public final class SocketIORedisShardedAdapter: SocketIOAdapter {
    private let local: SocketIOInMemoryAdapter
    private let exchange: ClusterExchange
    private let mode: SocketIORedisShardedConfiguration.SubscriptionMode
    /// The rooms whose channels this node listens to.
    private let rooms = NIOLockedValueBox<Set<String>>([])

    /// What makes the adapters of a server's namespaces; for `SocketIOConfiguration.adapter`.
    public static func over(
        _ redis: RedisClient, _ configuration: SocketIORedisShardedConfiguration = SocketIORedisShardedConfiguration()
    ) -> @Sendable (SocketIONamespace) -> any SocketIOAdapter {
        { SocketIORedisShardedAdapter($0, link: redis, configuration) }
    }

    init(
        _ namespace: SocketIONamespace, link: any RedisLink, _ settings: SocketIORedisShardedConfiguration, node: String = ClusterID.make()
    ) {
        mode = settings.subscriptionMode
        local = SocketIOInMemoryAdapter(namespace)
        let support = ClusterSupport(
            namespace.name, link, local: local, requestTimeout: settings.requestTimeout, maxServerSideEvents: settings.maxServerSideEvents,
            settings.logger)
        exchange = ClusterExchange(namespace, support, .sharded, prefix: settings.channelPrefix, node: node)
        exchange.open { [weak self] content in support.perform(content) { self?.leave($0, rooms: $1) } }
    }

    /// Leaves the cluster: the namespace is gone.
    public func close() {
        rooms.withLockedValue { rooms in
            for room in rooms { exchange.listenNoMore(to: room) }
            rooms = []
        }
        exchange.close()
        local.close()
    }

    // MARK: The rooms' channels

    /// A socket's own room counts as private; as Node tells it, without knowing the other nodes' sockets, by its length.
    private func hasChannel(_ room: String) -> Bool {
        switch mode {
        case .static: false
        case .dynamic: room.utf16.count != 20
        case .dynamicPrivate: true
        }
    }

    /// Has this node listen to those rooms' channels in which somebody is, and to no others.
    ///
    /// - Parameter leaver: who leaves all of them, and the namespace.
    private func listen(to changed: Set<String>, besides leaver: SocketIOSocket? = nil) {
        for room in changed where hasChannel(room) {
            // Under one lock: of two that come and go at a time, the last sees how it is.
            rooms.withLockedValue { rooms in
                if local.hasRoom(room, besides: leaver) {
                    if rooms.insert(room).inserted { exchange.listen(to: room) }
                } else if rooms.remove(room) != nil {
                    exchange.listenNoMore(to: room)
                }
            }
        }
    }

    // MARK: This node's sockets

    /// Puts a socket into rooms.
    public func join(_ socket: SocketIOSocket, rooms: Set<String>) -> Set<String> {
        defer { listen(to: rooms.union([socket.id])) }
        return local.join(socket, rooms: rooms)
    }

    /// Takes a socket out of rooms.
    public func leave(_ socket: SocketIOSocket, rooms: Set<String>) {
        local.leave(socket, rooms: rooms)
        listen(to: rooms)
    }

    /// Takes a socket that is gone out of all rooms.
    public func leaveAll(_ socket: SocketIOSocket) {
        let rooms = local.rooms(of: socket.id).union([socket.id])
        local.leaveAll(socket)
        listen(to: rooms, besides: socket)
    }

    /// Lets a socket that has come back in.
    public func rejoin(_ socket: SocketIOSocket, _ recovered: RecoveredSession) -> [[SocketIOValue]]? {
        defer { listen(to: recovered.session.rooms.union([socket.id])) }
        return local.rejoin(socket, recovered)
    }

    /// The rooms of a socket.
    public func rooms(of id: String) -> Set<String> { local.rooms(of: id) }
    /// The rooms of this node.
    public var allRooms: [String: Int] { local.allRooms }
    /// A socket's transport has changed.
    public func transportChanged(_ socket: SocketIOSocket) { local.transportChanged(socket) }
    /// Keeps a session, on this node.
    public func persist(_ session: SocketIOSession) { local.persist(session) }
    /// Finds a session of this node.
    public func restore(privateID: String, offset: String) async -> RecoveredSession? {
        await local.restore(privateID: privateID, offset: offset)
    }

    // MARK: All nodes' sockets

    /// Sends a packet to sockets of all nodes.
    public func broadcast(_ packet: SocketIOPacket, _ options: SocketIOBroadcastOptions) {
        if !options.isLocal, case .event(let event, _) = packet.content {
            let room = options.rooms.count == 1 ? options.rooms.first.flatMap { hasChannel($0) ? $0 : nil } : nil
            exchange.say(.broadcast(event: event, options, requestID: nil), to: room)
        }
        local.broadcast(packet, options)
    }

    /// Sends an event to sockets of all nodes and collects their answers.
    ///
    /// Of another node's socket, only the first argument of its answer comes; one that leaves without an answer is waited for until the
    /// timeout. Both are so in Node.
    ///
    /// - Throws: `SocketIOUsageError` for an event that can not be sent.
    public func broadcast(
        _ event: [SocketIOValue], _ options: SocketIOBroadcastOptions, counted: @escaping @Sendable (Int) -> Void,
        answered: @escaping @Sendable ([SocketIOValue]?) -> Void
    ) throws(SocketIOUsageError) -> @Sendable () -> Void {
        try exchange.broadcast(event, options, counted: counted, answered: answered)
    }

    /// The sockets of all nodes, described.
    ///
    /// - Throws: `SocketIOClusterTimeout` if a node does not answer in time, and `SocketIOClusterUnreachable` while Redis can not be asked, with what is
    ///   known; `CancellationError`.
    public func fetchSockets(_ options: SocketIOBroadcastOptions) async throws -> [SocketIORemoteSocket] {
        try await exchange.fetchSockets(options)
    }

    /// Puts sockets of all nodes into rooms.
    public func joinSockets(_ options: SocketIOBroadcastOptions, rooms: Set<String>) {
        if !options.isLocal { exchange.say(.socketsJoin(options, rooms: rooms)) }
        local.joinSockets(options, rooms: rooms)
    }

    /// Takes sockets of all nodes out of rooms.
    public func leaveSockets(_ options: SocketIOBroadcastOptions, rooms: Set<String>) {
        if !options.isLocal { exchange.say(.socketsLeave(options, rooms: rooms)) }
        for socket in local.sockets(options) { leave(socket, rooms: rooms) }
    }

    /// Has sockets of all nodes leave the namespace.
    public func disconnectSockets(_ options: SocketIOBroadcastOptions, closingConnections: Bool) {
        if !options.isLocal { exchange.say(.disconnectSockets(options, closingConnections: closingConnections)) }
        local.disconnectSockets(options, closingConnections: closingConnections)
    }

    // MARK: Other nodes

    /// How many nodes share this namespace.
    ///
    /// - Throws: `SocketIOClusterUnreachable` while Redis can not be asked.
    public func serverCount() async throws -> Int { try await exchange.otherNodes() + 1 }
    /// Sends an event to the other nodes.
    public func serverSideEmit(_ event: [SocketIOValue]) { exchange.serverSideEmit(event) }

    /// Sends an event to the other nodes and waits for their answers, of one argument each.
    ///
    /// - Throws: `SocketIOClusterTimeout` with the answers that came, if a node does not answer in time, or nothing on it handles the event;
    ///   `SocketIOClusterUnreachable` while Redis can not be asked; `CancellationError`.
    public func serverSideEmitWithAck(_ event: [SocketIOValue], timeout: Duration?) async throws -> [[SocketIOValue]] {
        try await exchange.serverSideEmitWithAck(event, timeout: timeout)
    }
}
