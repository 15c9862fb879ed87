// What a server allows its clients: the defaults, which are Node's where Node has one, and their reasons.

public import HTTPTypes
public import Logging
public import WebSocketDeflate
public import WebSockets

/// What carries a session's packets.
public enum EngineIOTransport: String, Sendable, Hashable, CaseIterable {
    /// HTTP long-polling.
    case polling
    /// WebSocket.
    case webSocket = "websocket"
}

/// Whether a session may open; see `EngineIOConfiguration.allowRequest`.
public enum EngineIODecision: Sendable, Hashable {
    /// It may.
    case accept
    /// It may not. The client is told why, in the place of "Forbidden", if there is a message.
    case refuse(message: String? = nil)
}

/// The limits, times and habits of an Engine.IO server.
public struct EngineIOConfiguration: Sendable {
    /// Where it is found, with and without a slash at the end: `/socket.io/`, as Socket.IO's clients have it.
    public var path: String
    /// What clients may use: both.
    public var transports: Set<EngineIOTransport>
    /// Whether a session may change from long-polling to WebSocket: yes.
    public var allowsUpgrades: Bool
    /// How often a client is pinged: 25 s, below the 30 to 60 s after which proxies cut idle connections.
    public var pingInterval: Duration
    /// How long a client may take to answer a ping: 20 s, as a browser that has much to do may be late. A vanished client is noticed
    /// within `pingInterval` and this.
    public var pingTimeout: Duration
    /// How long the change to WebSocket may take: 10 s; then the session stays on long-polling.
    public var upgradeTimeout: Duration
    /// The most bytes of one message, and of one payload of long-polling either way: 1,000,000. Node calls it `maxHttpBufferSize`, the
    /// protocol `maxPayload`.
    ///
    /// A WebSocket message over it ends the session (1009, "transport error"), a POST over it is answered with 413. A message of this
    /// program's over it is sent all the same, by itself.
    public var maxPayload: Int
    /// The most packets of one POST: 100,000, more than a client gathers while a POST is under way, and little enough to be taken
    /// apart within milliseconds.
    public var maxPacketsPerPost: Int
    /// The most packets of one answer to a poll: 16, as Python's client takes no more at a time. What is left waits for the next poll.
    public var maxPacketsPerPoll: Int
    /// The most bytes that wait to be sent to one session: 4 MiB, so that a thousand clients that do not read cost 4 GB at most.
    ///
    /// A session over it is closed with "transport error": a message that was left out would be missed by the ones behind it.
    public var maxBufferedBytes: Int
    /// The most sessions at a time: 100,000, at some 2 KB each. One more is answered with 503.
    ///
    /// A session on long-polling outlives its connections, so that nothing else limits how many one client opens.
    public var maxSessions: Int
    /// Decides whether a session may open, by its first request; nil for all of them.
    public var allowRequest: (@Sendable (ServerRequest) async -> EngineIODecision)?
    /// Which other sites' pages may connect: none. Their own site's may in any case.
    public var cors: EngineIOCORS?
    /// The cookie that carries the session's id, for proxies that keep a client at one server by it: none. Only long-polling sets it.
    public var cookie: EngineIOCookie?
    /// From how many bytes on an answer to a poll is compressed, by gzip, if the client takes that: 1,024, as Node has it; nil for never.
    ///
    /// A client that never gets beyond long-polling is on a network that needs it most. Set it to nil where secrets and what an attacker
    /// may choose travel in one answer over TLS (BREACH), or send those messages with `MessageCompression.never`.
    public var compressionThreshold: Int?
    /// How WebSocket messages are compressed: not at all, as Node has it; Socket.IO's messages are short.
    public var compression: Compression
    /// Adds to, or changes, the header fields of every response, the 101 included; whoever needs to know whether it is a session's first
    /// asks for `sid` in the query.
    public var headers: (@Sendable (inout HTTPFields, ServerRequest) -> Void)?
    /// Makes what reaches the sessions of a cluster's other nodes; nil if there are none, or if a proxy keeps each client at one.
    ///
    /// With it, requests of long-polling may come to any node (`EngineIORedisForwarder` in RedisSocketIO). All nodes must have one.
    public var forwarder: (@Sendable (EngineIOServer) -> any EngineIOForwarder)?
    /// Where refusals, faults and ends of sessions go. A session's id is a secret: whoever reads a log of level `info` or `debug` can
    /// take over the sessions in it.
    public var logger: Logger

    /// Makes a configuration.
    public init(
        path: String = "/socket.io/", transports: Set<EngineIOTransport> = [.polling, .webSocket], allowsUpgrades: Bool = true,
        pingInterval: Duration = .seconds(25), pingTimeout: Duration = .seconds(20), upgradeTimeout: Duration = .seconds(10),
        maxPayload: Int = 1_000_000, maxPacketsPerPost: Int = 100_000, maxPacketsPerPoll: Int = 16, maxBufferedBytes: Int = 4_194_304,
        maxSessions: Int = 100_000, allowRequest: (@Sendable (ServerRequest) async -> EngineIODecision)? = nil,
        cors: EngineIOCORS? = nil, cookie: EngineIOCookie? = nil, compressionThreshold: Int? = 1024, compression: Compression = .off,
        headers: (@Sendable (inout HTTPFields, ServerRequest) -> Void)? = nil,
        forwarder: (@Sendable (EngineIOServer) -> any EngineIOForwarder)? = nil, logger: Logger = Logger(label: "duplex.engine-io")
    ) {
        self.path = path
        self.transports = transports
        self.allowsUpgrades = allowsUpgrades
        self.pingInterval = pingInterval
        self.pingTimeout = pingTimeout
        self.upgradeTimeout = upgradeTimeout
        self.maxPayload = maxPayload
        self.maxPacketsPerPost = maxPacketsPerPost
        self.maxPacketsPerPoll = maxPacketsPerPoll
        self.maxBufferedBytes = maxBufferedBytes
        self.maxSessions = maxSessions
        self.allowRequest = allowRequest
        self.cors = cors
        self.cookie = cookie
        self.compressionThreshold = compressionThreshold
        self.compression = compression
        self.headers = headers
        self.forwarder = forwarder
        self.logger = logger
    }
}

extension EngineIOConfiguration {
    /// Whether a session on long-polling may change to WebSocket.
    var offersWebSocket: Bool { allowsUpgrades && transports.contains(.webSocket) }

    /// The open packet, which tells the client the session's id and how to behave (protocol 4, "Handshake").
    func openPacket(sid: String, transport: EngineIOTransport) -> EngineIOPacket {
        let upgrades = transport == .polling && offersWebSocket ? #"["websocket"]"# : "[]"
        let times = #""pingInterval":\#(pingInterval.milliseconds),"pingTimeout":\#(pingTimeout.milliseconds)"#
        return EngineIOPacket(.open, #"{"sid":"\#(sid)","upgrades":\#(upgrades),\#(times),"maxPayload":\#(maxPayload)}"#)
    }
}

extension Duration {
    /// Whole milliseconds; of more than can be counted, as many as can.
    package var milliseconds: Int64 {
        let limit = Int64.max / 1000 - 1
        return min(max(components.seconds, -limit), limit) * 1000 + components.attoseconds / 1_000_000_000_000_000
    }
}
