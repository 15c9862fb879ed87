// When to try again: exponential backoff with full jitter, so that the nodes of a cluster do not come back in one moment.

import NIOCore

struct RedisBackoff {
    private let initial: TimeAmount
    private let maximum: TimeAmount
    private var failures = 0

    init(initial: TimeAmount, maximum: TimeAmount) {
        self.initial = initial
        self.maximum = maximum
    }

    /// The next wait: a random part of a time that doubles, and a hundredth of it at least.
    ///
    /// - Parameter random: from 0 to 1.
    mutating func next(random: Double) -> TimeAmount {
        let doublings = min(failures, 20)
        failures += 1
        let ceiling = min(maximum.nanoseconds, initial.nanoseconds << doublings)
        return .nanoseconds(Int64(Double(ceiling) * max(0.01, min(random, 1))))
    }

    /// A connection has lasted.
    mutating func reset() { failures = 0 }
}
