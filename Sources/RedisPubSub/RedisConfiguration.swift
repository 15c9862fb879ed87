// How Redis is spoken to: the defaults and their reasons.

public import Logging
public import Metrics
public import NIOCore
public import NIOPosix
public import NIOSSL

/// The address, times and limits of the connections to Redis.
public struct RedisConfiguration: Sendable {
    /// What becomes of what is said to the cluster while Redis can not be reached. This node's clients get it in any case.
    public enum WhileUnreachable: Sendable, Hashable {
        /// It is lost for the other nodes, as it is for a node that is cut off from Redis itself.
        case drop
        /// It is kept, and sent when Redis is there again; over this many bytes, the oldest is dropped.
        case keep(maxBytes: Int)
    }

    /// Where Redis is, and who connects.
    public var url: RedisURL
    /// How TLS is made, for `rediss`: against the system's roots unless set.
    public var tls: TLSConfiguration
    /// How long connecting may take, TLS and the greeting included: 5 s.
    public var connectTimeout: Duration
    /// How long Redis may be silent while it is to answer before the connection counts as lost: 5 s. A Redis that is stopped is noticed after this
    /// and `pingInterval` at the latest.
    public var replyTimeout: Duration
    /// After how much silence Redis is asked whether it is there: 5 s.
    public var pingInterval: Duration
    /// The longest wait before the first try to connect again: 100 ms; it doubles with each.
    public var reconnectInitial: Duration
    /// The longest wait before a try: 2 s, so that the nodes find each other again soon.
    public var reconnectMaximum: Duration
    /// How long a topic that nobody listens to stays subscribed: 5 s, since the next listener often comes soon.
    public var unsubscribeDelay: Duration
    /// The most bytes of publications that wait for Redis: 16 MiB. What is over it is dropped, and counted.
    public var maxPendingBytes: Int
    /// The most bytes of one message from Redis, roughly: 64 MiB. A larger one ends the connection.
    public var maxMessageBytes: Int
    /// What becomes of publications while Redis can not be reached: they are dropped. Until the first attempt to connect has ended, they are kept,
    /// up to `maxPendingBytes`. What a `SocketIORedisEmitter` sends is always kept.
    public var whileUnreachable: WhileUnreachable
    /// How long `RedisClient.flush` and `close` wait for what was published before: 5 s.
    public var flushTimeout: Duration
    /// What the connections are called in Redis's `CLIENT LIST`; without spaces.
    public var clientName: String
    /// Whose threads are used: the singleton's.
    public var eventLoopGroup: any EventLoopGroup
    /// Where faults go.
    public var logger: Logger
    /// Where the counts go; what swift-metrics is bootstrapped with if nil.
    public var metrics: (any MetricsFactory)?

    /// Makes a configuration.
    public init(
        url: RedisURL, tls: TLSConfiguration = .makeClientConfiguration(), connectTimeout: Duration = .seconds(5),
        replyTimeout: Duration = .seconds(5), pingInterval: Duration = .seconds(5), reconnectInitial: Duration = .milliseconds(100),
        reconnectMaximum: Duration = .seconds(2), unsubscribeDelay: Duration = .seconds(5), maxPendingBytes: Int = 16_777_216,
        maxMessageBytes: Int = 67_108_864, whileUnreachable: WhileUnreachable = .drop, clientName: String = "duplex",
        eventLoopGroup: any EventLoopGroup = .singletonMultiThreadedEventLoopGroup, logger: Logger = Logger(label: "duplex.redis"),
        metrics: (any MetricsFactory)? = nil, flushTimeout: Duration = .seconds(5)
    ) {
        self.url = url
        self.tls = tls
        self.connectTimeout = connectTimeout
        self.replyTimeout = replyTimeout
        self.pingInterval = pingInterval
        self.reconnectInitial = reconnectInitial
        self.reconnectMaximum = reconnectMaximum
        self.unsubscribeDelay = unsubscribeDelay
        self.maxPendingBytes = maxPendingBytes
        self.maxMessageBytes = maxMessageBytes
        self.whileUnreachable = whileUnreachable
        self.flushTimeout = flushTimeout
        self.clientName = clientName
        self.eventLoopGroup = eventLoopGroup
        self.logger = logger
        self.metrics = metrics
    }
}
