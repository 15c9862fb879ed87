// How often each user may do something: a bucket of tokens for each, which fills with time.

import Synchronization

/// How often one may do something: so many times at once, and so often a second in the long run.
struct RateLimit {
    let perSecond: Double
    let burst: Double
    private var tokens: Double
    private var last: ContinuousClock.Instant?

    init(perSecond: Double, burst: Double) {
        self.perSecond = perSecond
        self.burst = burst
        tokens = burst
    }

    /// Takes one of what is left; false if nothing is.
    mutating func allows(at now: ContinuousClock.Instant) -> Bool {
        refill(at: now)
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }

    /// Whether nothing was taken for so long that it is as new.
    mutating func isFull(at now: ContinuousClock.Instant) -> Bool {
        refill(at: now)
        return tokens >= burst
    }

    private mutating func refill(at now: ContinuousClock.Instant) {
        defer { last = max(last ?? now, now) }
        guard let last, now > last else { return }
        tokens = min(burst, tokens + (now - last) / .seconds(1) * perSecond)
    }
}

/// A limit for each user, whichever of the user's tabs speaks.
final class RateLimits: Sendable {
    /// The most users that are remembered: beyond, those go who could start anew anyway, and if there are none, a new user has to wait.
    static let maxUsers = 20_000

    let perSecond: Double
    private let burst: Double
    private let users = Mutex<(limits: [String: RateLimit], sweptAt: ContinuousClock.Instant?)>(([:], nil))

    init(perSecond: Double, burst: Double) {
        self.perSecond = perSecond
        self.burst = burst
    }

    /// Takes one of what a user has left; false if nothing is.
    func allows(_ user: String, at now: ContinuousClock.Instant) -> Bool {
        users.withLock { users in
            if users.limits[user] == nil, users.limits.count >= Self.maxUsers {
                // A look at everyone, once a second at most.
                if users.sweptAt.map({ now - $0 >= .seconds(1) }) ?? true {
                    users.sweptAt = now
                    users.limits = users.limits.compactMapValues { limit in
                        var limit = limit
                        return limit.isFull(at: now) ? nil : limit
                    }
                }
                guard users.limits.count < Self.maxUsers else { return false }
            }
            return users.limits[user, default: RateLimit(perSecond: perSecond, burst: burst)].allows(at: now)
        }
    }
}
