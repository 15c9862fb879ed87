// When to close after the end of piped input, so that `echo hello | duplex connect …` prints the answer.
//
// Once a close frame is sent, whatever arrives is dropped (RFC 6455 §1.4: "discards any further data received"), so the answers must be
// there before. A ping sent behind the last message is the measure: its pong proves that the server has read them all, however far away
// it is and however much there was to send. Many servers answer pings ahead of messages, so a silence has to follow it.

/// Decides when to close after the end of piped input. Times are given, not taken.
struct Farewell {
    typealias Instant = ContinuousClock.Instant

    /// What to do next.
    enum Step: Equatable {
        /// Look again then, or earlier.
        case wait(until: Instant)
        case close
    }

    /// How long the server must have said nothing.
    let silence: Duration
    /// How long nothing at all may move before the pong: a server that does not answer pings must not keep us.
    static let patience = Duration.seconds(5)
    /// How many silences to wait in all after the pong: a server that never falls silent must not keep us either.
    static let silences = 6

    private var lastMove: Instant
    private var pongAt: Instant?
    /// Whether a message has been received and is not printed yet.
    private var isPrinting = false
    private var unsentBytes = 0

    init(silence: Duration, at now: Instant) {
        self.silence = silence
        lastMove = now
    }

    /// The input has ended, and a ping was sent.
    mutating func begin(at now: Instant, unsentBytes: Int) {
        lastMove = now
        self.unsentBytes = unsentBytes
    }

    /// A message has come and is being printed, or has been.
    mutating func received(isPrinting: Bool, at now: Instant) {
        self.isPrinting = isPrinting
        lastMove = now
    }

    /// The server has answered the ping.
    mutating func pong(at now: Instant) {
        pongAt = now
        lastMove = now
    }

    /// What to do now.
    ///
    /// - Parameter unsentBytes: what still waits to be sent; while it shrinks, the server is at work.
    mutating func step(at now: Instant, unsentBytes: Int) -> Step {
        if unsentBytes < self.unsentBytes { lastMove = now }
        self.unsentBytes = unsentBytes
        if isPrinting { return .wait(until: now + Self.glance) }
        guard let pongAt else { return close(after: Self.patience, now) }
        return now - pongAt >= silence * Self.silences ? .close : close(after: silence, now)
    }

    private func close(after duration: Duration, _ now: Instant) -> Step {
        let moment = lastMove + duration
        return now >= moment ? .close : .wait(until: min(moment, now + Self.glance))
    }

    /// How often to look.
    static let glance = Duration.milliseconds(50)
}
