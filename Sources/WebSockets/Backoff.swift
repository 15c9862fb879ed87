// When to try again: exponential backoff with full jitter. Randomness and time are arguments.
//
// All the clients of a server lose it in the same moment. Waiting for a random part of the whole time, from nothing on, spreads their
// return evenly; each failure doubles the time, up to a maximum.
//
//   tries = 0 ── failed, or ended soon ──► tries + 1, up to the limit
//   tries = n ── a session that lasted ──► 0

/// How often and how soon to connect again.
public struct Backoff: Sendable, Hashable {
    /// The longest wait after the first failure: 500 ms, so that a short break is hardly noticed.
    public var initial: Duration
    /// The longest wait ever: 30 s, so that a server that comes back has its clients within half a minute.
    public var maximum: Duration
    /// How long a session must last for the failures before it to be forgotten: 10 s. One that ends sooner counts as a failure, so that a
    /// server which accepts and drops is not hammered.
    public var resetAfter: Duration
    /// After how many failures in a row to give up; nil for never.
    public var maxFailures: Int?

    /// Makes a backoff.
    public init(
        initial: Duration = .milliseconds(500), maximum: Duration = .seconds(30), resetAfter: Duration = .seconds(10),
        maxFailures: Int? = nil
    ) {
        self.initial = initial
        self.maximum = maximum
        self.resetAfter = resetAfter
        self.maxFailures = maxFailures
    }

    /// The longest wait after so many failures in a row.
    func ceiling(failures: Int) -> Duration {
        // 2^20 times anything that makes sense is over any maximum that makes sense, and overflows nothing.
        min(maximum, initial * (1 << min(max(failures - 1, 0), 20)))
    }
}

/// The failures so far.
struct BackoffState: Sendable {
    private let backoff: Backoff
    /// How many failures there were in a row.
    private(set) var failures = 0

    init(_ backoff: Backoff) { self.backoff = backoff }

    /// A try failed; says how long to wait, or nil to give up.
    ///
    /// - Parameters:
    ///   - random: from 0 to 1.
    ///   - atLeast: what the server asks for, if it does; honoured up to five minutes, as the server may be mistaken.
    mutating func failed(random: Double, atLeast: Duration = .zero) -> Duration? {
        failures += 1
        if let limit = backoff.maxFailures, failures >= limit { return nil }
        return max(wait(random), min(atLeast, .seconds(300)))
    }

    /// A session ended after so long; says how long to wait, or nil to give up.
    mutating func ended(after lasted: Duration, random: Double) -> Duration? {
        guard lasted >= backoff.resetAfter else { return failed(random: random) }
        failures = 0
        return wait(random)
    }

    private func wait(_ random: Double) -> Duration { backoff.ceiling(failures: failures) * min(max(random, 0), 1) }
}
