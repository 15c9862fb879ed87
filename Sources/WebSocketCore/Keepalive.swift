// Is the peer still there? RFC 6455 §5.5.2: "A Ping frame may serve either as a keepalive or as a means to verify that the remote
// endpoint is still responsive."
//
// States: idle (something was heard lately) → awaiting (a ping is out) → idle (anything was heard) or dead (nothing was, in time).
// Anything that arrives counts as a sign of life, not only the pong: a peer that sends a long message cannot put a pong inside a frame.

/// A moment on a clock that only goes forward, in nanoseconds from an arbitrary start.
public struct Timestamp: Sendable, Hashable, Comparable {
    /// Nanoseconds since the clock's start.
    public var nanoseconds: UInt64

    /// A moment.
    @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// Whether one moment comes before another.
    @inlinable public static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

    /// A moment later by a duration; a negative duration counts as none.
    public func advanced(by duration: Duration) -> Self { Self(nanoseconds: nanoseconds &+ duration.wholeNanoseconds) }

    /// How long ago another moment was; zero if it is yet to come.
    public func since(_ earlier: Self) -> Duration {
        .nanoseconds(nanoseconds > earlier.nanoseconds ? Int64(clamping: nanoseconds - earlier.nanoseconds) : 0)
    }
}

extension Duration {
    /// The duration in nanoseconds: none if negative, a century at most, so that sums stay in range.
    var wholeNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        return UInt64(min(seconds, 3_155_760_000)) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
    }
}

/// Decides when to ping and when to give a silent peer up (RFC 6455 §5.5.2).
public struct Keepalive: Sendable {
    /// What to do now.
    public enum Action: Sendable, Hashable {
        /// Nothing, and look again at this moment.
        case wait(until: Timestamp)
        /// Send a ping, and look again at this moment.
        case ping(next: Timestamp)
        /// The peer did not answer in time: give it up.
        case dead
    }

    /// What all connections of a server or a client have in common, in nanoseconds.
    package struct Terms: Sendable {
        fileprivate let interval: UInt64
        fileprivate let timeout: UInt64

        /// Terms to ping after `interval` of silence and to give up `timeout` later.
        package init(interval: Duration, timeout: Duration) {
            self.interval = max(1, interval.wholeNanoseconds)
            self.timeout = max(1, timeout.wholeNanoseconds)
        }
    }

    /// What each connection has of its own: a server holds many of these.
    package struct State: Sendable {
        private var lastHeard: Timestamp
        /// When the ping was sent that is not answered; `never` for none.
        private var pingSentAt = Self.never
        private static let never = Timestamp(nanoseconds: .max)

        /// Nothing was heard before this moment.
        package init(now: Timestamp) { lastHeard = now }

        /// Notes that bytes arrived.
        @inline(__always)
        package mutating func heard(at now: Timestamp) {
            lastHeard = now
            pingSentAt = Self.never
        }

        /// Says what to do now; see `Keepalive.check`.
        package mutating func check(at now: Timestamp, _ terms: Terms, isReadingPaused: Bool) -> Action {
            if isReadingPaused { heard(at: now) }
            if pingSentAt != Self.never {
                let deadline = Timestamp(nanoseconds: pingSentAt.nanoseconds &+ terms.timeout)
                return now >= deadline ? .dead : .wait(until: deadline)
            }
            let due = Timestamp(nanoseconds: lastHeard.nanoseconds &+ terms.interval)
            guard now >= due else { return .wait(until: due) }
            pingSentAt = now
            return .ping(next: Timestamp(nanoseconds: now.nanoseconds &+ terms.timeout))
        }
    }

    private let terms: Terms
    private var state: State

    /// Makes a keepalive that pings after `interval` of silence and gives up `timeout` later.
    public init(interval: Duration, timeout: Duration, now: Timestamp) {
        terms = Terms(interval: interval, timeout: timeout)
        state = State(now: now)
    }

    /// Notes that bytes arrived.
    @inline(__always)
    public mutating func heard(at now: Timestamp) { state.heard(at: now) }

    /// Says what to do now.
    ///
    /// - Parameter isReadingPaused: whether this end itself keeps from reading (back-pressure); then silence is not the peer's
    ///   fault, and counts from the moment when reading goes on.
    public mutating func check(at now: Timestamp, isReadingPaused: Bool = false) -> Action {
        state.check(at: now, terms, isReadingPaused: isReadingPaused)
    }
}
