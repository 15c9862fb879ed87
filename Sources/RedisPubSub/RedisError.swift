// What can go wrong with Redis: none of it is the client's fault, and the server goes on without.

/// Redis could not be asked, or has refused.
public struct RedisError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What happened; more may be added.
    public struct Reason: Sendable, Hashable {
        let text: String

        /// There is no connection at the moment.
        public static let notConnected = Reason(text: "there is no connection to Redis")
        /// The connection was lost before the answer came.
        public static let connectionLost = Reason(text: "the connection to Redis was lost")
        /// Redis has answered with an error.
        public static let refused = Reason(text: "Redis refuses")
        /// What came is not what Redis answers.
        public static let unexpected = Reason(text: "Redis sent what it was not asked for")
        /// The program has closed the client.
        public static let closed = Reason(text: "the Redis client is closed")
        /// So much waits for Redis already that nothing more is kept (`RedisConfiguration.maxPendingBytes`).
        public static let tooMuchWaits = Reason(text: "too much waits for Redis already (limit maxPendingBytes)")
        /// Publications did not reach Redis, or may not have reached it.
        public static let notPublished = Reason(text: "not everything that was published has reached Redis")
    }

    /// What happened.
    public let reason: Reason
    /// What was seen, such as Redis's own words; empty if there is no more to say.
    public let detail: String

    init(_ reason: Reason, _ detail: String = "") {
        self.reason = reason
        self.detail = detail
    }

    /// What happened, and what was seen.
    public var description: String { detail.isEmpty ? reason.text : "\(reason.text): \(detail)" }

    static let notConnected = RedisError(.notConnected)
    static let closed = RedisError(.closed)
    static func tooMuchWaits(_ limit: Int) -> RedisError { RedisError(.tooMuchWaits, "\(limit) bytes; flush() waits until there is room") }
    package static func notPublished(_ detail: String) -> RedisError { RedisError(.notPublished, detail) }
    static func connectionLost(_ detail: String) -> RedisError { RedisError(.connectionLost, detail) }
    static func refused(_ detail: String) -> RedisError { RedisError(.refused, detail) }
    package static func unexpected(_ detail: String) -> RedisError { RedisError(.unexpected, detail) }
}
