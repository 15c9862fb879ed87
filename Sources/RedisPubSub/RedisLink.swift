// What the cluster needs of Redis, and all that it needs: another client library could take this client's place behind it.

package import NIOCore

/// What is told of a subscription.
package enum RedisEvent: Sendable, Hashable {
    /// Redis has confirmed it: what is published from now on comes.
    case subscribed
    /// It has ended, or the connection is lost.
    case unsubscribed
    /// Something was said to a channel.
    case message(channel: String, ByteBuffer)
}

/// Somebody who subscribes.
package protocol RedisReceiver: AnyObject, Sendable {
    /// Takes what happens to a subscription: one call at a time, in Redis's order, on a thread that must not be blocked.
    func received(_ event: RedisEvent, of target: RedisTarget)
}

/// Something that happens later, unless it is cancelled before.
package protocol RedisTimer: Sendable {
    /// Has it not happen.
    func cancel()
}

/// Redis, as the cluster uses it. No call blocks; all may come from any thread.
package protocol RedisLink: AnyObject, Sendable {
    /// Says something to a channel; while Redis can not be reached, it is dropped or kept.
    func publish(_ payload: ByteBuffer, to channel: String)
    /// Publishes to a channel, and keeps it until Redis can be reached, whatever `RedisConfiguration.whileUnreachable` says.
    ///
    /// - Throws: `RedisError` if it can not be kept: the client is closed, or too much waits already.
    func publishReliably(_ payload: ByteBuffer, to channel: String) throws(RedisError)
    /// Says something to a channel of a shard, in the same way.
    func publish(_ payload: ByteBuffer, toShard channel: String)
    /// Says something to a channel at once, or not at all; it counts as nobody's publication.
    ///
    /// - Parameter heard: told how many connections have heard it; nil if Redis could not be reached, or did not answer. On a thread that must
    ///   not be blocked.
    func publish(_ payload: ByteBuffer, to channel: String, heard: @escaping @Sendable (Int?) -> Void)
    /// Has a receiver told of what is said; once each, however often it is called. The receiver is not retained.
    func subscribe(_ receiver: any RedisReceiver, to target: RedisTarget)
    /// Has a receiver told no more.
    func unsubscribe(_ receiver: any RedisReceiver, from target: RedisTarget)
    /// How many connections are subscribed to a channel; of a pattern, nobody knows.
    ///
    /// - Throws: `RedisError` if Redis can not be asked.
    func subscriberCount(of target: RedisTarget) async throws -> Int
    /// Has something happen after a while.
    func call(after time: Duration, _ body: @escaping @Sendable () -> Void) -> any RedisTimer
}

/// Redis for who needs more of it than channels.
package protocol RedisCommandLink: RedisLink {
    /// Sends a command, its name first; the answer, or why there is none, is told on a thread that must not be blocked.
    ///
    /// Commands are sent in the order of the calls, and their answers told in that order. Nothing is sent again.
    func request(_ command: [ByteBuffer], _ answered: @escaping @Sendable (Result<RESPValue, RedisError>) -> Void)
    /// Sends a command that may wait, for up to `maxWait`, on a connection that has none but such.
    func read(_ command: [String], _ answered: @escaping @Sendable (Result<RESPValue, RedisError>) -> Void)
    /// How long such a command may wait: less than what would count as a lost connection.
    var maxWait: Duration { get }
    /// Has something told, on a thread that must not be blocked, each time that the connection which commands go by is lost; also of those that nobody waits on.
    func onLost(_ body: @escaping @Sendable () -> Void)
    /// Registers what is waited for, for up to some time, when the client is flushed or closed, before its own publications and requests are.
    func onFlush(_ body: @escaping @Sendable (Duration) async -> Void)
    /// Counts messages that went another way than over channels, for `RedisStatus` and the metrics.
    func count(published: Int, received: Int, dropped: Int)
}

extension RedisCommandLink {
    /// Sends a command of texts.
    package func request(_ words: String..., answered: @escaping @Sendable (Result<RESPValue, RedisError>) -> Void) {
        request(words.map { ByteBuffer(string: $0) }, answered)
    }

    /// Sends a command of texts, and waits for its answer.
    ///
    /// - Throws: `RedisError`.
    package func ask(_ words: String...) async throws(RedisError) -> RESPValue {
        try await withCheckedContinuation { continuation in
            request(words.map { ByteBuffer(string: $0) }) { continuation.resume(returning: $0) }
        }.get()
    }
}
