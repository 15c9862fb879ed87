// The adapter of @socket.io/redis-streams-adapter 0.3, so that Swift and Node.js servers can share a cluster: what is said to sockets goes through
// a stream, which a node that was cut off reads on, and from which clients that come back get what they missed, on whatever node. What nodes ask each
// other goes over channels; see ClusterExchange.swift.

import Logging
import NIOConcurrencyHelpers
import NIOCore
public import RedisPubSub
public import SocketIO

/// Joins a namespace's rooms with those of all other nodes by a Redis stream, Duplex or Node.js (`@socket.io/redis-streams-adapter`).
///
/// ```swift
/// let redis = try RedisClient(url: "redis://127.0.0.1")
/// let io = SocketIOServer(
///     configuration: SocketIOConfiguration(recovery: SocketIORecovery(), adapter: SocketIORedisStreamsAdapter.over(redis)))
/// ```
///
/// With recovery, every socket of every node gets what was said in the stream's order: a client that comes back, to any node, gets what it missed, once.
/// An event is on its way to this node's own sockets, too, only when Redis has it.
public final class SocketIORedisStreamsAdapter: SocketIOAdapter {
    private weak let namespace: SocketIONamespace?
    private let name: String
    private let local: SocketIOInMemoryAdapter
    private let stream: RedisStream
    private let support: ClusterSupport
    private let exchange: ClusterExchange
    private let link: any RedisCommandLink
    /// Nil without recovery.
    private let sessions: StreamSessions?
    private let recovery: SocketIORecovery?
    private let settings: SocketIORedisStreamsConfiguration
    private let log: StreamLog?
    private let refresh = NIOLockedValueBox<(any RedisTimer)?>(nil)
    /// How many entries are read at a time for somebody who comes back.
    private static let pageSize = 100
    private static let retryDelay = Duration.milliseconds(100)

    /// What makes the adapters of a server's namespaces; for `SocketIOConfiguration.adapter`.
    public static func over(
        _ redis: RedisClient, _ configuration: SocketIORedisStreamsConfiguration = SocketIORedisStreamsConfiguration()
    ) -> @Sendable (SocketIONamespace) -> any SocketIOAdapter {
        let stream = RedisStream(redis, configuration)
        return { SocketIORedisStreamsAdapter($0, link: redis, stream, configuration) }
    }

    init(
        _ namespace: SocketIONamespace, link: any RedisCommandLink, _ stream: RedisStream, _ settings: SocketIORedisStreamsConfiguration,
        node: String = ClusterID.make()
    ) {
        self.namespace = namespace
        name = namespace.name
        self.link = link
        self.stream = stream
        self.settings = settings
        recovery = namespace.server.configuration.recovery
        log = recovery.map { StreamLog(maxBytes: $0.maxBytes) }
        local = SocketIOInMemoryAdapter(namespace, log: log)
        sessions = recovery.map {
            StreamSessions(link, prefix: settings.sessionKeyPrefix, lifetime: $0.maxDisconnectionDuration, settings.logger)
        }
        support = ClusterSupport(
            name, link, local: local, requestTimeout: settings.requestTimeout, maxServerSideEvents: settings.maxServerSideEvents,
            settings.logger)
        // What concerns sockets comes through the stream.
        exchange = ClusterExchange(namespace, support, .plain, prefix: settings.channelPrefix, node: node)
        exchange.open()
        stream.register(self, for: name, node: node)
        refreshLater()
    }

    /// Leaves the cluster: the namespace is gone.
    public func close() {
        refresh.withLockedValue { $0.take() }?.cancel()
        stream.unregister(name, node: exchange.node)
        exchange.close()
        sessions?.close()
        local.close()
    }

    /// Whether what is said here is written, and what other nodes say is read.
    var isUp: Bool { stream.isUp }

    // MARK: This node's sockets

    /// Puts a socket into rooms.
    public func join(_ socket: SocketIOSocket, rooms: Set<String>) -> Set<String> {
        defer { sessions?.keep(socket) }
        return local.join(socket, rooms: rooms)
    }

    /// Takes a socket out of rooms.
    public func leave(_ socket: SocketIOSocket, rooms: Set<String>) {
        local.leave(socket, rooms: rooms)
        sessions?.keep(socket)
    }

    /// Takes a socket that is gone out of all rooms.
    public func leaveAll(_ socket: SocketIOSocket) {
        local.leaveAll(socket)
        // If it may come back, `persist` follows.
        sessions?.forget(socket)
    }

    /// The rooms of a socket.
    public func rooms(of id: String) -> Set<String> { local.rooms(of: id) }
    /// The rooms of this node.
    public var allRooms: [String: Int] { local.allRooms }
    /// A socket's transport has changed.
    public func transportChanged(_ socket: SocketIOSocket) { local.transportChanged(socket) }

    // MARK: All nodes' sockets

    /// Sends a packet to sockets of all nodes.
    public func broadcast(_ packet: SocketIOPacket, _ options: SocketIOBroadcastOptions) {
        guard case .event(let event, nil) = packet.content else { return local.broadcast(packet, options) }
        say(.broadcast(event: event, options, requestID: nil), options, .broadcast(packet, options))
    }

    /// Tells the other nodes, and does it here.
    private func say(_ content: SocketIOClusterMessage.Content, _ options: SocketIOBroadcastOptions, _ action: StreamAction) {
        guard !options.isLocal else { return afterwards { [weak self] in self?.placed(action, nil) } }
        // With recovery, everything has its place in the stream before it is done, and is done in that order; `disconnectSockets` does not overtake
        // the last word.
        let waits = recovery != nil
        let message = SocketIOClusterMessage(node: exchange.node, namespace: name, content)
        let isTaken = stream.add(message, local: waits ? action : nil)
        if !waits || !isTaken { placed(action, nil) }
    }

    /// Does something behind what was said before and waits for its place in the stream; at the latest after twice `requestTimeout`.
    public func afterwards(_ body: @escaping @Sendable () -> Void) { if recovery == nil { body() } else { stream.afterwards(body) } }

    private func say(_ content: SocketIOClusterMessage.Content, _ options: SocketIOBroadcastOptions) {
        say(content, options, .other(content))
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
        say(.socketsJoin(options, rooms: rooms), options)
    }

    /// Takes sockets of all nodes out of rooms.
    public func leaveSockets(_ options: SocketIOBroadcastOptions, rooms: Set<String>) {
        say(.socketsLeave(options, rooms: rooms), options)
    }

    /// Has sockets of all nodes leave the namespace.
    public func disconnectSockets(_ options: SocketIOBroadcastOptions, closingConnections: Bool) {
        say(.disconnectSockets(options, closingConnections: closingConnections), options)
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

    // MARK: Recovery

    /// Keeps a session, for any node.
    public func persist(_ session: SocketIOSession) { sessions?.keep(session) }

    /// Finds a session, whatever node the client was on. While Redis can not be reached, it is waited for, until the task is cancelled: a server cancels it
    /// when the client has gone, or after its `connectTimeout`, and the client tries again.
    public func restore(privateID: String, offset: String) async -> RecoveredSession? {
        guard let sessions, let start = StreamID(offset) else { return nil }
        // Whoever has gone meanwhile is let go.
        while !Task.isCancelled {
            do throws(RedisError) {
                guard let session = try await sessions.find(privateID) else { return beginsAnew("its session is not kept any more", start) }
                // Most come back soon, and to a node that has heard everything since.
                if stream.hasGotAll(behind: start, name, node: exchange.node), log?.remembers(start) == true, await isReached(start) {
                    return RecoveredSession(session, offset: start.description)
                }
                // What was trimmed away may be what it missed.
                guard try await stream.contains(start) else { return beginsAnew("the stream does not go back so far any more", start) }
                return try await missed(by: session, since: start)
            } catch {
                guard error.reason == .refused || error.reason == .closed else {
                    await pause()
                    continue
                }
                settings.logger.warning(
                    "a client that came back begins anew: Redis could not be asked",
                    metadata: ["namespace": "\(name)", "reason": "\(error)"])
                return nil
            }
        }
        return nil
    }

    private func beginsAnew(_ reason: String, _ start: StreamID) -> RecoveredSession? {
        settings.logger.debug("a client that came back begins anew: \(reason)", metadata: ["namespace": "\(name)", "offset": "\(start)"])
        return nil
    }

    /// Waits until this node has read so far; false if nobody waits any more.
    private func isReached(_ id: StreamID) async -> Bool {
        while !Task.isCancelled { if await stream.reached(id) { return true } }
        return false
    }

    private func pause() async {
        await withCheckedContinuation { continuation in _ = link.call(after: Self.retryDelay) { continuation.resume() } }
    }

    private func missed(by session: SocketIOSession, since start: StreamID) async throws(RedisError) -> RecoveredSession? {
        var (end, missed, bytes): (StreamID, [(offset: String, event: [SocketIOValue])], Int) = (start, [], 0)
        while !Task.isCancelled, case let entries = try await stream.entries(after: end, count: Self.pageSize), let last = entries.last {
            for entry in entries where entry.isBroadcast && entry.namespace == name {
                guard case .broadcast(let event, let options, nil)? = try? entry.message().content, !options.isVolatile,
                    session.isMeant(by: options)
                else { continue }
                missed.append((entry.id.description, event + [.string(entry.id.description)]))
                bytes += event.roughSize
            }
            end = last.id
            guard bytes <= recovery?.maxBytes ?? 0 else {
                return beginsAnew("it has missed too much (limit SocketIORecovery.maxBytes)", start)
            }
            if entries.count < Self.pageSize { break }
        }
        // What this node has still to read must not come again.
        guard await isReached(end) else { return nil }
        return RecoveredSession(session, offset: end.description, missed: missed)
    }

    /// Does nothing: what `restore` finds stays where it is.
    public func giveBack(_ session: SocketIOSession) {}

    /// Lets a socket that has come back in.
    public func rejoin(_ socket: SocketIOSocket, _ recovered: RecoveredSession) -> [[SocketIOValue]]? {
        defer { sessions?.keep(socket) }
        return local.rejoin(socket, recovered)
    }

    /// Sessions must not expire while their clients are here.
    private func refreshLater() {
        guard let recovery, sessions != nil else { return }
        let timer = link.call(after: recovery.maxDisconnectionDuration / 2) { [weak self] in
            guard let self, let namespace else { return }
            for socket in namespace.localSockets { sessions?.keep(socket) }
            refreshLater()
        }
        refresh.withLockedValue { $0 = timer }
    }
}

extension SocketIORedisStreamsAdapter: StreamReceiver {
    func received(_ message: SocketIOClusterMessage, _ id: StreamID) {
        // Held: the adapter of this node's sockets does not.
        guard let namespace else { return }
        withExtendedLifetime(namespace) {
            // `@socket.io/redis-streams-emitter` writes to the stream what nodes tell each other over channels.
            if case .serverSideEmit = message.content { return exchange.take(message, namespace) }
            perform(message.content, recovery == nil ? nil : id)
        }
    }

    func placed(_ action: StreamAction, _ id: StreamID?) {
        guard let namespace else { return }
        withExtendedLifetime(namespace) {
            switch action {
            case .broadcast(let packet, let options): local.broadcast(packet, options, offset: id?.description)
            case .other(let content): perform(content, id)
            }
        }
    }

    private func perform(_ content: SocketIOClusterMessage.Content, _ id: StreamID?) {
        support.perform(content, offset: id?.description) { leave($0, rooms: $1) }
    }
}
