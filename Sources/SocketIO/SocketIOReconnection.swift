// When to connect again: the official client's backoff. Randomness is an argument.
//
//   delay × factor^attempts, more or less by up to `jitter` of it, `maxDelay` at most

/// How often and how soon a client connects again.
public struct SocketIOReconnection: Sendable, Hashable {
    /// The wait before the first attempt: 1 s.
    public var delay: Duration
    /// The longest wait: 5 s.
    public var maxDelay: Duration
    /// By what each wait is longer than the one before: 2.
    public var factor: Double
    /// By how much of itself a wait may be longer or shorter, 0 to 1: 0.5, so that the clients of a server that was lost do not come back all
    /// at once.
    public var jitter: Double
    /// After how many attempts to give up; nil for never.
    public var maxAttempts: Int?

    /// Makes settings.
    public init(
        delay: Duration = .seconds(1), maxDelay: Duration = .seconds(5), factor: Double = 2, jitter: Double = 0.5, maxAttempts: Int? = nil
    ) {
        self.delay = delay
        self.maxDelay = maxDelay
        self.factor = factor
        self.jitter = jitter
        self.maxAttempts = maxAttempts
    }
}

/// The attempts so far.
struct ReconnectionBackoff: Sendable {
    let settings: SocketIOReconnection
    private(set) var attempts = 0

    init(_ settings: SocketIOReconnection) { self.settings = settings }

    /// How long to wait before the next attempt; nil to give up.
    ///
    /// - Parameter random: from 0 to 1.
    mutating func next(random: Double) -> Duration? {
        if let limit = settings.maxAttempts, attempts >= limit { return nil }
        let ceiling = settings.maxDelay.inSeconds
        var seconds = settings.delay.inSeconds
        // No power of the factor: that leaves the range of numbers in a day, and of durations sooner.
        for _ in 0..<attempts where seconds < ceiling { seconds *= max(1, settings.factor) }
        attempts += 1
        let jitter = min(max(settings.jitter, 0), 1)
        seconds = min(seconds, ceiling * 2) * (1 + jitter * (2 * min(max(random, 0), 1) - 1))
        // What is no number comes of settings that are none.
        return .seconds(seconds.isNaN ? ceiling : min(seconds, ceiling))
    }

    mutating func reset() { attempts = 0 }
}

extension Duration {
    fileprivate var inSeconds: Double { max(0, Double(components.seconds) + Double(components.attoseconds) / 1e18) }
}
