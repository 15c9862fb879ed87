// How it stands with Redis, for logs, metrics and whoever asks for a server's health.

/// How it stands with Redis.
public struct RedisStatus: Sendable, Hashable {
    /// Whether there is a connection.
    public enum State: String, Sendable, Hashable {
        /// Nothing has asked for one yet.
        case idle
        /// There was none yet, or it was lost; it is being made.
        case connecting
        /// There is.
        case ready
        /// The client is closed.
        case closed
    }

    /// The connection, of two the worse one: one publishes, one is subscribed.
    public var state: State
    /// Why there is no connection, as far as that is known.
    public var lastError: String?
    /// How often a connection was lost.
    public var connectionsLost: Int
    /// What was published, or written to a stream.
    public var published: Int
    /// What was not published, or perhaps not, as Redis could not be reached or was too slow.
    public var publicationsDropped: Int
    /// What has come from Redis, own messages included.
    public var received: Int
}
