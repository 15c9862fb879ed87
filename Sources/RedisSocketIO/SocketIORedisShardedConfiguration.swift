// How the sharded adapter behaves: the defaults are those of @socket.io/redis-adapter.

public import Logging

/// The names and times of the sharded Redis adapter.
public struct SocketIORedisShardedConfiguration: Sendable {
    /// Which rooms have a channel of their own, so that only nodes that have somebody in one hear what is said there.
    public enum SubscriptionMode: Sendable, Hashable {
        /// None: two channels for each namespace, however many rooms there are.
        case `static`
        /// All but the rooms of one socket each.
        case dynamic
        /// All.
        case dynamicPrivate
    }

    /// What the names of the channels begin with: `socket.io`, as everywhere; the same on all nodes of a cluster.
    public var channelPrefix: String
    /// Which rooms have a channel of their own: `dynamic`; the same on all nodes of a cluster.
    public var subscriptionMode: SubscriptionMode
    /// How long other nodes may take to answer: 5 s.
    public var requestTimeout: Duration
    /// The most events of other nodes' programs (`serverSideEmit`) that are handled at a time: 1,000; more are dropped.
    public var maxServerSideEvents: Int
    /// Where faults go.
    public var logger: Logger

    /// Makes a configuration.
    public init(
        channelPrefix: String = "socket.io", subscriptionMode: SubscriptionMode = .dynamic, requestTimeout: Duration = .seconds(5),
        maxServerSideEvents: Int = 1000, logger: Logger = Logger(label: "duplex.socket-io.redis-sharded")
    ) {
        self.channelPrefix = channelPrefix
        self.subscriptionMode = subscriptionMode
        self.requestTimeout = requestTimeout
        self.maxServerSideEvents = maxServerSideEvents
        self.logger = logger
    }
}
