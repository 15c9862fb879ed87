// What one connection may take, and how long it may take: the defaults and their reasons.

public import PubSub
public import WebSocketCore
public import WebSocketDeflate

/// The limits and times of a connection.
public struct ConnectionConfiguration: Sendable {
    /// When to ping a silent peer, and how long to wait for a sign of life.
    public struct Keepalive: Sendable, Hashable {
        /// How long a peer may be silent before it is pinged: 20 s, below the 30 to 60 s after which proxies cut idle connections.
        public var interval: Duration
        /// How long it may then stay silent before it is given up: 20 s, so that a vanished peer is noticed within 40 s.
        public var timeout: Duration

        /// Makes a keepalive.
        public init(interval: Duration = .seconds(20), timeout: Duration = .seconds(20)) {
            self.interval = interval
            self.timeout = timeout
        }
    }

    /// What the peer may send.
    public var limits: Limits
    /// How messages are compressed, if the peer does so, too.
    public var compression: Compression
    /// Keepalive; nil to leave it to TCP, which notices a vanished peer after hours or never.
    public var keepalive: Keepalive?
    /// How long a close handshake may take before the connection is cut: 5 s, several round trips of the worst networks.
    public var closeTimeout: Duration
    /// Messages that have arrived and not been taken from `for try await`, in bytes, before reading stops: 64 KiB, what one read
    /// brings at most.
    public var maxUnreadBytes: Int
    /// Bytes that wait to be sent before `send` suspends: 256 KiB, about what a fast link moves in the time a task takes to wake.
    public var sendHighWaterMark: Int
    /// Bytes that wait to be sent before a slow reader is cut off with 1013: 4 MiB, so that a thousand stalled readers cost 4 GB at
    /// most, and a reader that keeps up on average is not cut off for a stutter.
    public var maxSendBuffer: Int

    /// What becomes of a topic's messages when the peer reads too slowly, unless its subscription says otherwise: the connection is
    /// closed, so that nobody misses something unknowingly.
    public var whenSlow: SlowConsumerPolicy
    /// How many topics and patterns a connection may subscribe to: 1,000, a dashboard's worth.
    public var maxTopics: Int
    /// How long a topic's name or a pattern may be, in bytes: 256, as clients often have a say in them.
    public var maxTopicLength: Int

    /// Makes a configuration.
    public init(
        limits: Limits = Limits(), compression: Compression = .shared, keepalive: Keepalive? = Keepalive(),
        closeTimeout: Duration = .seconds(5),
        maxUnreadBytes: Int = 65_536, sendHighWaterMark: Int = 262_144, maxSendBuffer: Int = 4_194_304,
        whenSlow: SlowConsumerPolicy = .close, maxTopics: Int = 1000, maxTopicLength: Int = 256
    ) {
        self.limits = limits
        self.compression = compression
        self.keepalive = keepalive
        self.closeTimeout = closeTimeout
        self.maxUnreadBytes = maxUnreadBytes
        self.sendHighWaterMark = sendHighWaterMark
        self.maxSendBuffer = maxSendBuffer
        self.whenSlow = whenSlow
        self.maxTopics = maxTopics
        self.maxTopicLength = maxTopicLength
    }
}
