// How the Streams adapter behaves: the defaults are those of @socket.io/redis-streams-adapter, where it has them.

public import Logging
public import RedisPubSub

/// The names, times and limits of the Redis Streams adapter.
public struct SocketIORedisStreamsConfiguration: Sendable {
    /// The stream's key: `socket.io`; the same on all nodes of a cluster.
    public var streamName: String
    /// About how many entries the stream keeps: 10,000. A node that is cut off from Redis for longer than that lasts, and a client that is away for
    /// longer, miss something, and are told.
    public var maxLength: Int
    /// How many entries are read at a time: 100.
    public var readCount: Int
    /// What the keys of the sessions of those who may come back begin with: `sio:session:`.
    public var sessionKeyPrefix: String
    /// What the names of the channels begin with by which nodes ask each other: `socket.io`.
    public var channelPrefix: String
    /// How long other nodes may take to answer: 5 s.
    public var requestTimeout: Duration
    /// The most events of other nodes' programs (`serverSideEmit`) that are handled at a time: 1,000; more are dropped.
    public var maxServerSideEvents: Int
    /// What becomes of what is said while Redis can not be reached. With `.keep`, which it is with 16 MiB, it waits for Redis, and comes to every node's clients
    /// once and in one order; where there is recovery, this node's clients wait, too. With `.drop`, this node's get it at once, and the others' never.
    public var whileUnreachable: RedisConfiguration.WhileUnreachable
    /// Where faults go.
    public var logger: Logger

    /// Makes a configuration.
    public init(
        streamName: String = "socket.io", maxLength: Int = 10_000, readCount: Int = 100, sessionKeyPrefix: String = "sio:session:",
        channelPrefix: String = "socket.io", requestTimeout: Duration = .seconds(5), maxServerSideEvents: Int = 1000,
        whileUnreachable: RedisConfiguration.WhileUnreachable = .keep(maxBytes: 16_777_216),
        logger: Logger = Logger(label: "duplex.socket-io.redis-streams")
    ) {
        self.streamName = streamName
        self.maxLength = maxLength
        self.readCount = readCount
        self.sessionKeyPrefix = sessionKeyPrefix
        self.channelPrefix = channelPrefix
        self.requestTimeout = requestTimeout
        self.maxServerSideEvents = maxServerSideEvents
        self.whileUnreachable = whileUnreachable
        self.logger = logger
    }

    /// The most bytes of this node's entries that have not come back from Redis.
    var maxOutgoingBytes: Int { if case .keep(let bytes) = whileUnreachable { bytes } else { 16_777_216 } }
    var keeps: Bool { whileUnreachable != .drop }
}
