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
/// ```
///
/// Nothing says whether anybody heard it; `RedisClient.status` says whether Redis can be reached.
public struct SocketIORedisEmitter: Sendable {
    /// Who speaks, to JavaScript's nodes.
    private static let node = "emitter"

    private let redis: any RedisLink
    private let key: String
    private let namespace: String
    private var options = SocketIOBroadcastOptions()

    /// Makes an emitter of a namespace.
    ///
    /// - Parameter key: what the names of the channels begin with; see `SocketIORedisConfiguration.key`.
    public init(_ redis: RedisClient, namespace: String = "/", key: String = "socket.io") {
        self.init(link: redis, namespace: namespace, key: key)
    }

    init(link: any RedisLink, namespace: String, key: String) {
        redis = link
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
    public func of(_ namespace: String) -> Self { Self(link: redis, namespace: namespace, key: key) }
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
    /// - Throws: `SocketIOUsageError` for a name that is reserved; `SocketIOArgumentError` for what can not be encoded.
    public func emit<each Argument: Encodable>(_ event: String, _ arguments: repeat each Argument) throws {
        try emit(event, arguments: try SocketIOArguments.encode(repeat each arguments))
    }

    /// Sends an event with any number of arguments to all of them.
    ///
    /// - Throws: `SocketIOUsageError` for a name that is reserved.
    public func emit(_ event: String, arguments: [SocketIOValue]) throws(SocketIOUsageError) {
        guard !SocketIOPacket.isReserved(event) else { throw SocketIOUsageError(.reservedEventName, event) }
        let message = ClassicBroadcast(node: Self.node, namespace: namespace, event: [.string(event)] + arguments, options: options)
        redis.publish(message.encoded, to: channels.broadcast(to: options.rooms))
    }

    /// Puts them into rooms.
    public func socketsJoin(_ rooms: [String]) { ask(.join(options, rooms: Set(rooms))) }
    /// Takes them out of rooms.
    public func socketsLeave(_ rooms: [String]) { ask(.leave(options, rooms: Set(rooms))) }
    /// Has them leave the namespace.
    public func disconnectSockets(closingConnections: Bool = false) { ask(.disconnect(options, closes: closingConnections)) }

    /// Sends an event to the programs on all nodes; see `SocketIONamespace.onServerSideEvent`.
    public func serverSideEmit(_ event: String, arguments: [SocketIOValue] = []) {
        ask(.serverSideEmit([.string(event)] + arguments, requestID: nil), as: Self.node)
    }

    private func ask(_ request: ClassicRequest.Content, as node: String? = nil) {
        redis.publish(ClassicRequest(node: node, content: request).encoded, to: channels.request)
    }
}
