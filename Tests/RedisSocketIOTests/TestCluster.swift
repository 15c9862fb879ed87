// Several servers in one process, on one Redis, and clients of them.

import EngineIO
import Logging
import NIOConcurrencyHelpers
import NIOCore
import SocketIO
import TestSupport
import Testing
import WebSockets

@testable import RedisPubSub
@testable import RedisSocketIO

/// Waits until something holds. The suite's time limit ends it.
func eventually(_ condition: () async throws -> Bool) async throws {
    while try await !condition() { try await Task.sleep(for: .milliseconds(5)) }
}

/// What joins the nodes.
enum ClusterKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case classic, streams, recovery, sharded, shardedDynamic, shardedPrivate

    /// Those in which a room is heard of from the moment on at which somebody has joined it.
    static let allAtOnce: [ClusterKind] = [.classic, .streams, .recovery, .sharded]

    var usesShards: Bool { self == .sharded || self == .shardedDynamic || self == .shardedPrivate }

    var testDescription: String { rawValue }

    func configuration(_ redis: RedisClient, requestTimeout: Duration, answersOnOwnChannel: Bool) -> SocketIOConfiguration {
        switch self {
        case .classic:
            let cluster = SocketIORedisConfiguration(requestTimeout: requestTimeout, answersOnOwnChannel: answersOnOwnChannel)
            return SocketIOConfiguration(adapter: SocketIORedisAdapter.over(redis, cluster))
        case .streams, .recovery:
            let cluster = SocketIORedisStreamsConfiguration(
                requestTimeout: requestTimeout, whileUnreachable: self == .streams ? .drop : .keep(maxBytes: 16_777_216))
            let recovery = self == .recovery ? SocketIORecovery() : nil
            return SocketIOConfiguration(recovery: recovery, adapter: SocketIORedisStreamsAdapter.over(redis, cluster))
        case .sharded, .shardedDynamic, .shardedPrivate:
            let cluster = SocketIORedisShardedConfiguration(
                subscriptionMode: self == .sharded ? .static : self == .shardedDynamic ? .dynamic : .dynamicPrivate,
                requestTimeout: requestTimeout)
            return SocketIOConfiguration(adapter: SocketIORedisShardedAdapter.over(redis, cluster))
        }
    }
}

/// A server of the cluster.
final class IONode: Sendable {
    let io: SocketIOServer
    let redis: RedisClient
    private let kind: ClusterKind
    private let server: WebSocketServer
    private let run: Task<Void, any Error>
    private let clients = NIOLockedValueBox<[SocketIOClient]>([])

    init(
        _ name: String, _ kind: ClusterKind, redisPort: Int, requestTimeout: Duration = .seconds(60), answersOnOwnChannel: Bool = false,
        replyTimeout: Duration = .seconds(60)
    ) {
        var settings = RedisConfiguration(url: RedisURL(port: redisPort), replyTimeout: replyTimeout)
        settings.reconnectMaximum = .milliseconds(200)
        let redis = RedisClient(settings)
        let io = SocketIOServer(
            configuration: kind.configuration(redis, requestTimeout: requestTimeout, answersOnOwnChannel: answersOnOwnChannel))
        io.main.on("join") { (socket: SocketIOSocket, room: String) in _ = socket.join(room) }
        io.main.on("data") { (socket: SocketIOSocket, text: String) in socket.setData(text) }
        io.main.onServerSideEvent("name") { arguments in [.string(name)] + arguments }
        var configuration = WebSocketServer.Configuration(threads: 1)
        configuration.drainTimeout = .zero
        let server = WebSocketServer(port: 0, configuration: configuration)
        server.mount(io)
        (self.io, self.redis, self.server, self.kind) = (io, redis, server, kind)
        run = Task { try await server.run() }
    }

    /// A client that has joined some rooms and notes what it gets.
    func client(_ name: String, rooms: String..., data: String? = nil) async throws -> IOClient {
        let port = try await server.waitUntilListening().port ?? 0
        var configuration = SocketIOClientConfiguration()
        configuration.engine.transports = [.webSocket]
        let client = try SocketIOClient("http://127.0.0.1:\(port)", configuration: configuration)
        clients.withLockedValue { $0.append(client) }
        let socket = IOClient(name, client.socket())
        socket.socket.connect()
        try await socket.socket.waitUntilConnected()
        for room in rooms { _ = try await socket.socket.emitWithAck("join", arguments: [.string(room)]) }
        var channels = kind == .shardedDynamic || kind == .shardedPrivate ? rooms : []
        if kind == .shardedPrivate, let id = socket.socket.id { channels.append(id) }
        for room in channels { try await eventually { redis.isSubscribed(to: .shardChannel("socket.io#/#\(room)#")) } }
        if let data { _ = try await socket.socket.emitWithAck("data", arguments: [.string(data)]) }
        return socket
    }

    /// The server's port, once it listens.
    var port: Int { get async throws { try await server.waitUntilListening().port ?? 0 } }

    /// Ends. Without its clients' being told, they come back elsewhere.
    func stop(tellsClients: Bool = true) async {
        for client in clients.withLockedValue({ $0 }) { await client.close() }
        if tellsClients { io.close() }
        run.cancel()
        _ = try? await run.value
        await redis.close()
    }
}

/// A client, and what it gets.
final class IOClient: Sendable {
    let socket: SocketIOClientSocket
    /// With recovery, events have an offset, which is not shown.
    private let events = NIOLockedValueBox<[String]>([])

    init(_ name: String, _ socket: SocketIOClientSocket) {
        self.socket = socket
        let events = events
        for event in ["hello", "hi", "end"] {
            socket.on(event) { (event: SocketIOEvent) in
                let arguments = event.arguments.filter { $0.string.flatMap { StreamID($0) } == nil }
                events.withLockedValue { $0.append(([event.name] + arguments.map(\.json)).joined(separator: " ")) }
            }
        }
        socket.on("who") { () -> String in name }
        socket.on("silence") { (_: SocketIOEvent) in }
    }

    var heard: [String] { events.withLockedValue { $0 } }

    /// What came before `end`.
    func untilEnd() async throws -> [String] {
        try await eventually { heard.last == "end" }
        defer { events.withLockedValue { $0 = [] } }
        return heard.dropLast()
    }
}

/// Runs nodes on one Redis while a body does, from the moment at which they know of each other.
func withCluster(
    _ nodes: Int = 2, _ kind: ClusterKind = .classic, requestTimeout: Duration = .seconds(60), answersOnOwnChannel: Bool = false,
    _ body: ([IONode], RedisServerProcess) async throws -> Void
) async throws {
    try await withRedis { redis in
        let nodes = (0..<nodes).map {
            IONode("node \($0)", kind, redisPort: redis.port, requestTimeout: requestTimeout, answersOnOwnChannel: answersOnOwnChannel)
        }
        do {
            try await untilComplete(nodes)
            try await body(nodes, redis)
        } catch {
            for node in nodes { await node.stop() }
            throw error
        }
        for node in nodes { await node.stop() }
    }
}

/// Waits until each node knows of all, and hears broadcasts.
func untilComplete(_ nodes: [IONode]) async throws {
    for node in nodes {
        try await eventually { node.redis.status.state == .ready }
        try await eventually { (try? await node.io.main.adapter.serverCount()) == nodes.count }
        if let adapter = node.io.main.adapter as? SocketIORedisStreamsAdapter { try await eventually { adapter.isUp } }
    }
}

/// Somebody on Redis who is no server of ours.
final class Stranger: RedisReceiver {
    let redis: RedisClient
    private let messages = NIOLockedValueBox<[(channel: String, bytes: ByteBuffer)]>([])
    private let active = NIOLockedValueBox<Set<RedisTarget>>([])

    init(redisPort: Int) { redis = RedisClient(RedisConfiguration(url: RedisURL(port: redisPort))) }

    func received(_ event: RedisEvent, of target: RedisTarget) {
        switch event {
        case .subscribed: active.withLockedValue { _ = $0.insert(target) }
        case .unsubscribed: active.withLockedValue { _ = $0.remove(target) }
        case .message(let channel, let bytes): messages.withLockedValue { $0.append((channel, bytes)) }
        }
    }

    var heard: [(channel: String, bytes: ByteBuffer)] { messages.withLockedValue { $0 } }

    func listen(to target: RedisTarget) async throws {
        redis.subscribe(self, to: target)
        try await eventually { active.withLockedValue { $0.contains(target) } }
    }

    func say(_ bytes: ByteBuffer, on channel: String) { redis.publish(bytes, to: channel) }

    func untilReady() async throws {
        redis.open()
        try await eventually { redis.status.state == .ready }
    }
}
