// The classic adapter of @socket.io/redis-adapter 8, so that Swift and Node.js servers can share a cluster. What concerns this node is done
// here at once, by an adapter of its own; the other nodes are told by Redis. What comes from them is in SocketIORedisAdapter+Receiving.swift.

import Logging
import NIOCore
public import RedisPubSub
public import SocketIO

/// Joins a namespace's rooms with those of all other nodes on the same Redis, Duplex or Node.js (`@socket.io/redis-adapter`).
///
/// ```swift
/// let redis = try RedisClient(url: "redis://127.0.0.1")
/// let io = SocketIOServer(configuration: SocketIOConfiguration(adapter: SocketIORedisAdapter.over(redis)))
/// ```
///
/// Broadcasts reach each other node at most once. While Redis can not be reached, this node goes on with its own sockets, and what other nodes
/// would have to answer fails, with what this node knows. Recovery works for clients that come back to the same node.
public final class SocketIORedisAdapter: SocketIOAdapter {
    weak let namespace: SocketIONamespace?
    let name: String
    let local: SocketIOInMemoryAdapter
    let redis: any RedisLink
    let configuration: SocketIORedisConfiguration
    let channels: ClassicChannels
    /// This node's name, for this namespace.
    let node: String
    let requests: ClusterRequests<ClassicResponse.Content>
    let support: ClusterSupport

    /// What makes the adapters of a server's namespaces; for `SocketIOConfiguration.adapter`.
    public static func over(
        _ redis: RedisClient, _ configuration: SocketIORedisConfiguration = SocketIORedisConfiguration()
    ) -> @Sendable (SocketIONamespace) -> any SocketIOAdapter {
        { SocketIORedisAdapter($0, link: redis, configuration) }
    }

    init(_ namespace: SocketIONamespace, link: any RedisLink, _ configuration: SocketIORedisConfiguration, node: String = ClusterID.make())
    {
        self.namespace = namespace
        name = namespace.name
        local = SocketIOInMemoryAdapter(namespace)
        redis = link
        self.configuration = configuration
        channels = ClassicChannels(key: configuration.key, namespace: namespace.name)
        self.node = node
        requests = ClusterRequests(link)
        support = ClusterSupport(
            name, link, local: local, requestTimeout: configuration.requestTimeout, maxServerSideEvents: configuration.maxServerSideEvents,
            configuration.logger)
        for target in channels.targets(of: node) { link.subscribe(self, to: target) }
    }

    deinit { leaveCluster() }

    private func leaveCluster() {
        for target in channels.targets(of: node) { redis.unsubscribe(self, from: target) }
    }

    /// Leaves the cluster: the namespace is gone.
    public func close() {
        leaveCluster()
        requests.close()
        support.close()
        local.close()
    }

    // MARK: This node's sockets

    /// Puts a socket into rooms.
    public func join(_ socket: SocketIOSocket, rooms: Set<String>) -> Set<String> { local.join(socket, rooms: rooms) }
    /// Takes a socket out of rooms.
    public func leave(_ socket: SocketIOSocket, rooms: Set<String>) { local.leave(socket, rooms: rooms) }
    /// Takes a socket that is gone out of all rooms.
    public func leaveAll(_ socket: SocketIOSocket) { local.leaveAll(socket) }
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
    /// Lets a socket that has come back in.
    public func rejoin(_ socket: SocketIOSocket, _ recovered: RecoveredSession) -> [[SocketIOValue]]? { local.rejoin(socket, recovered) }

    // MARK: All nodes' sockets

    /// Sends a packet to sockets of all nodes.
    public func broadcast(_ packet: SocketIOPacket, _ options: SocketIOBroadcastOptions) {
        if !options.isLocal, case .event(let event, _) = packet.content {
            let message = ClassicBroadcast(node: node, namespace: name, event: event, options: options)
            redis.publish(message.encoded, to: channels.broadcast(to: options.rooms))
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
        guard !options.isLocal else { return try local.broadcast(event, options, counted: counted, answered: answered) }
        let id = ClusterID.make()
        let end = try local.broadcast(event, options, counted: counted, answered: answered)
        support.awaitAcks(id, counted: counted, answered: answered)
        ask(.broadcast(event, namespace: name, options, requestID: id))
        return { [weak support] in
            support?.endAcks(id)
            end()
        }
    }

    /// The sockets of all nodes, described.
    ///
    /// - Throws: `SocketIOClusterTimeout` if a node does not answer in time, and `SocketIOClusterUnreachable` while Redis can not be asked, with what is
    ///   known; `CancellationError`.
    public func fetchSockets(_ options: SocketIOBroadcastOptions) async throws -> [SocketIORemoteSocket] {
        let (known, others) = try await support.localSockets(options) { try await otherNodes() }
        guard let namespace, others > 0 else { return known }
        var sockets = known
        let outcome = try await requests.ask(others, timeout: configuration.requestTimeout) { ask(.fetch(options, requestID: $0)) }
        for case .sockets(let found) in outcome.responses { sockets += support.remote(found, of: namespace) }
        try outcome.check(sockets: sockets)
        return sockets
    }

    /// Puts sockets of all nodes into rooms.
    public func joinSockets(_ options: SocketIOBroadcastOptions, rooms: Set<String>) {
        if !options.isLocal { ask(.join(options, rooms: rooms)) }
        local.joinSockets(options, rooms: rooms)
    }

    /// Takes sockets of all nodes out of rooms.
    public func leaveSockets(_ options: SocketIOBroadcastOptions, rooms: Set<String>) {
        if !options.isLocal { ask(.leave(options, rooms: rooms)) }
        local.leaveSockets(options, rooms: rooms)
    }

    /// Has sockets of all nodes leave the namespace.
    public func disconnectSockets(_ options: SocketIOBroadcastOptions, closingConnections: Bool) {
        if !options.isLocal { ask(.disconnect(options, closes: closingConnections)) }
        local.disconnectSockets(options, closingConnections: closingConnections)
    }

    // MARK: Other nodes

    /// How many nodes share this namespace.
    ///
    /// - Throws: `SocketIOClusterUnreachable` while Redis can not be asked.
    public func serverCount() async throws -> Int { try await otherNodes() + 1 }

    /// Sends an event to the other nodes.
    public func serverSideEmit(_ event: [SocketIOValue]) { ask(.serverSideEmit(event, requestID: nil)) }

    /// Sends an event to the other nodes and waits for their answers, of one argument each.
    ///
    /// - Throws: `SocketIOClusterTimeout` with the answers that came, if a node does not answer in time, or nothing on it handles the event;
    ///   `SocketIOClusterUnreachable` while Redis can not be asked; `CancellationError`.
    public func serverSideEmitWithAck(_ event: [SocketIOValue], timeout: Duration?) async throws -> [[SocketIOValue]] {
        guard case let others = try await otherNodes(), others > 0 else { return [] }
        let outcome = try await requests.ask(others, timeout: timeout ?? configuration.requestTimeout) {
            ask(.serverSideEmit(event, requestID: $0))
        }
        let answers = outcome.responses.compactMap { if case .serverSideEmit(let answer) = $0 { [answer] } else { nil } }
        try outcome.check(responses: answers)
        return answers
    }

    func ask(_ request: ClassicRequest.Content) {
        redis.publish(ClassicRequest(node: node, content: request).encoded, to: channels.request)
    }

    private func otherNodes() async throws -> Int {
        try await support.otherNodes { try await redis.subscriberCount(of: .channel(channels.request)) }
    }
}
