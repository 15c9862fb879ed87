// How the adapter of a cluster behaves: the defaults are those of @socket.io/redis-adapter.

public import Logging

/// The names and times of the classic Redis adapter.
public struct SocketIORedisConfiguration: Sendable {
    /// What the names of the channels begin with: `socket.io`, as everywhere; the same on all nodes of a cluster.
    public var key: String
    /// How long other nodes may take to answer: 5 s.
    public var requestTimeout: Duration
    /// Whether answers go to the node that asked alone rather than to all: no, as Node has it. Yes is less work, where all nodes are of
    /// version 6 or later.
    public var answersOnOwnChannel: Bool
    /// The most events of other nodes' programs (`serverSideEmit`) that are handled at a time: 1,000; more are dropped.
    public var maxServerSideEvents: Int
    /// Where faults go.
    public var logger: Logger

    /// Makes a configuration.
    public init(
        key: String = "socket.io", requestTimeout: Duration = .seconds(5), answersOnOwnChannel: Bool = false,
        maxServerSideEvents: Int = 1000, logger: Logger = Logger(label: "duplex.socket-io.redis")
    ) {
        self.key = key
        self.requestTimeout = requestTimeout
        self.answersOnOwnChannel = answersOnOwnChannel
        self.maxServerSideEvents = maxServerSideEvents
        self.logger = logger
    }
}
