// Says something to the clients of a cluster from a program without a server: the wire format of @socket.io/redis-emitter 5.

import NIOCore
public import RedisPubSub
public import SocketIO
import WebSockets

/// Sends events to the clients of all nodes, from a program that is none of them.
///
/// ```swift
/// let emitter = SocketIORedisEmitter(try RedisClient(url: "redis://127.0.0.1"))
/// try emitter.to("orders").emit("paid", 42)
/// try await emitter.close()
/// ```
///
/// The first event connects. An event waits until Redis can be reached, whatever `RedisConfiguration.whileUnreachable` says; over
/// `RedisConfiguration.maxPendingBytes`, 16 MiB, `emit` throws. ``flush(within:)`` and ``close(within:)`` wait until Redis has all events, and throw if it
/// has not: end a program with one of them. Nothing says whether anybody heard an event.
public struct SocketIORedisEmitter: Sendable {
    /// Who speaks, to JavaScript's nodes.
    private static let node = "emitter"

    private let redis: any RedisLink
    /// Nil for a link that is none's.
    private let client: RedisClient?
    private let key: String
    private let namespace: String
    private var options = SocketIOBroadcastOptions()

    /// Makes an emitter of a namespace.
    ///
    /// - Parameter key: what the names of the channels begin with; see `SocketIORedisConfiguration.key`.
    public init(_ redis: RedisClient, namespace: String = "/", key: String = "socket.io") {
        self.init(link: redis, client: redis, namespace: namespace, key: key)
    }

    init(link: any RedisLink, client: RedisClient? = nil, namespace: String, key: String) {
        redis = link
        self.client = client
        self.key = key
        self.namespace = namespace.hasPrefix("/") ? namespace : "/" + namespace
    }

    private var channels: ClassicChannels { ClassicChannels(key: key, namespace: namespace) }

    private func with(_ change: (inout SocketIOBroadcastOptions) -> Void) -> Self {
        var changed = self
        change(&changed.options)
        return changed
    }

    // MARK: To whom

    /// The same in another namespace, with no rooms.
    public func of(_ namespace: String) -> Self { Self(link: redis, client: client, namespace: namespace, key: key) }
    /// The sockets in any of some rooms.
    public func to(_ rooms: String...) -> Self { with { $0.rooms.formUnion(rooms) } }
    /// The sockets in any of some rooms; another name of `to`.
    public func `in`(_ rooms: String...) -> Self { with { $0.rooms.formUnion(rooms) } }
    /// All sockets but those in some rooms.
    public func except(_ rooms: String...) -> Self { with { $0.except.formUnion(rooms) } }
    /// Those that can take it now: the rest miss it.
    public var volatile: Self { with { $0.isVolatile = true } }
    /// Sent compressed or not, where the connection has compression.
    public func compress(_ isOn: Bool) -> Self { with { $0.compression = isOn ? .automatic : .never } }

    // MARK: What

    /// Sends an event to all of them.
    ///
    /// - Throws: `SocketIOUsageError` for a name that is reserved; `SocketIOArgumentError` for what can not be encoded; `RedisError` if the client is
    ///   closed, or too much waits for Redis.
    public func emit<each Argument: Encodable>(_ event: String, _ arguments: repeat each Argument) throws {
        try emit(event, arguments: try SocketIOArguments.encode(repeat each arguments))
    }

    /// Sends an event with any number of arguments to all of them.
    ///
    /// - Throws: `SocketIOUsageError` for a name that is reserved; `RedisError` if the client is closed, or too much waits for Redis.
    public func emit(_ event: String, arguments: [SocketIOValue]) throws {
        guard !SocketIOPacket.isReserved(event) else { throw SocketIOUsageError(.reservedEventName, event) }
        let message = ClassicBroadcast(node: Self.node, namespace: namespace, event: [.string(event)] + arguments, options: options)
        try redis.publishReliably(message.encoded, to: channels.broadcast(to: options.rooms))
    }

    /// Puts them into rooms.
    ///
    /// - Throws: `RedisError` if the client is closed, or too much waits for Redis.
    public func socketsJoin(_ rooms: [String]) throws(RedisError) { try ask(.join(options, rooms: Set(rooms))) }
    /// Takes them out of rooms.
    ///
    /// - Throws: `RedisError` if the client is closed, or too much waits for Redis.
    public func socketsLeave(_ rooms: [String]) throws(RedisError) { try ask(.leave(options, rooms: Set(rooms))) }
    /// Disconnects them from the namespace.
    ///
    /// - Parameter closingConnection: whether the connection of each is closed, too.
    /// - Throws: `RedisError` if the client is closed, or too much waits for Redis.
    public func disconnectSockets(closingConnection: Bool = false) throws(RedisError) {
        try ask(.disconnect(options, closes: closingConnection))
    }

    /// Disconnects them from the namespace.
    ///
    /// - Throws: `RedisError` if the client is closed, or too much waits for Redis.
    @available(*, deprecated, renamed: "disconnectSockets(closingConnection:)")
    public func disconnectSockets(closingConnections: Bool) throws(RedisError) {
        try disconnectSockets(closingConnection: closingConnections)
    }

    /// Sends an event to the programs on all nodes; see `SocketIONamespace.onServerSideEvent`.
    ///
    /// - Throws: `RedisError` if the client is closed, or too much waits for Redis.
    public func serverSideEmit(_ event: String, arguments: [SocketIOValue] = []) throws(RedisError) {
        try ask(.serverSideEmit([.string(event)] + arguments, requestID: nil), as: Self.node)
    }

    private func ask(_ request: ClassicRequest.Content, as node: String? = nil) throws(RedisError) {
        try redis.publishReliably(ClassicRequest(node: node, content: request).encoded, to: channels.request)
    }

    // MARK: The end

    /// Waits until Redis has all that was sent before; see ``RedisClient/flush(within:)``.
    ///
    /// - Parameter timeout: the longest wait. Defaults to `RedisConfiguration.flushTimeout`, 5 seconds.
    /// - Throws: `RedisError` with the reason `notPublished` and the numbers.
    public func flush(within timeout: Duration? = nil) async throws(RedisError) { try await client?.flush(within: timeout) }

    /// Waits until Redis has all that was sent before, and closes the client, for others who use it as well; see ``RedisClient/close(within:)``.
    ///
    /// - Parameter timeout: the longest wait. Defaults to `RedisConfiguration.flushTimeout`, 5 seconds.
    /// - Throws: `RedisError` with the reason `notPublished` and the numbers; the client is closed then, too.
    public func close(within timeout: Duration? = nil) async throws(RedisError) {
        guard let client, case let dropped = await client.close(within: timeout), dropped > 0 else { return }
        throw .notPublished("\(dropped) dropped" + (client.status.lastError.map { "; the last error: \($0)" } ?? ""))
    }
}
