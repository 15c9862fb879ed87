// How requests of long-polling are passed on: the defaults and their reasons.

public import Logging

/// The names, times and limits of an `EngineIORedisForwarder`.
public struct EngineIORedisForwarderConfiguration: Sendable {
    /// What the names of the channels begin with; the same on all nodes of a cluster.
    public var key: String
    /// How often a node that holds polls of this one's clients is asked whether it is there: 5 s. One that does not answer until the next time
    /// counts as dead, and the clients are told that their sessions are unknown.
    public var checkInterval: Duration
    /// The most requests under way to other nodes: 100,000, as a poll waits most of its time. One more is answered with 503.
    public var maxRequests: Int
    /// The most bytes of requests that Redis has not taken yet: 16 MiB. What is over it is answered with 503.
    public var maxPendingBytes: Int
    /// Where faults go.
    public var logger: Logger

    /// Makes a configuration.
    public init(
        key: String = "socket.io", checkInterval: Duration = .seconds(5), maxRequests: Int = 100_000, maxPendingBytes: Int = 16_777_216,
        logger: Logger = Logger(label: "duplex.engine-io.redis")
    ) {
        self.key = key
        self.checkInterval = checkInterval
        self.maxRequests = maxRequests
        self.maxPendingBytes = maxPendingBytes
        self.logger = logger
    }
}
