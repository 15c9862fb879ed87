// What a thread of a benchmark counts.

import WebSocketCore

/// What a thread of a benchmark counts.
struct LoadTally: Sendable {
    var opened = 0
    /// Connections that ended of themselves, and how the first of them did.
    var lost = 0
    var firstLoss: Closure?
    /// Messages since the load began.
    var sent = 0
    var received = 0
    /// While it was measured: messages that came, or handshakes; messages that were sent.
    var messages = 0
    var sentMeasured = 0
    /// Messages that nobody of this load had sent.
    var foreign = 0
    /// Answers that never came.
    var missing = 0
    /// How often a message that was due had to wait as the server did not read.
    var heldBack = 0
    /// Handshakes that failed, and why the first did.
    var refused = 0
    var firstRefusal: String?
    /// What the server did wrong.
    var failure: String?
    /// From when a message should have been sent to its receipt, and from when it was sent; handshakes are in the first.
    var fromDue = Latencies()
    var fromSent = Latencies()
    /// How much later than due messages were sent.
    var lag = Latencies()
    /// How long was measured, how long the thread worked in it, and how long it had to wait for a processor, in seconds.
    var measuredTime = 0.0
    var cpuTime = 0.0
    var waitTime = 0.0

    /// How much of the time the thread worked, and how much it waited for a processor.
    var load: (busy: Double, waiting: Double) {
        measuredTime > 0 ? (cpuTime / measuredTime, waitTime / measuredTime) : (0, 0)
    }

    mutating func lose(_ closure: Closure) {
        lost += 1
        firstLoss = firstLoss ?? closure
    }

    mutating func refuse(_ error: any Error) {
        refused += 1
        firstRefusal = firstRefusal ?? "\(error)"
    }

    /// Adds what another thread counted in the same time; how it was loaded is not a sum, and left as it was.
    mutating func add(_ other: LoadTally) {
        opened += other.opened
        lost += other.lost
        firstLoss = firstLoss ?? other.firstLoss
        sent += other.sent
        received += other.received
        messages += other.messages
        sentMeasured += other.sentMeasured
        foreign += other.foreign
        missing += other.missing
        heldBack += other.heldBack
        refused += other.refused
        firstRefusal = firstRefusal ?? other.firstRefusal
        failure = failure ?? other.failure
        fromDue.add(other.fromDue)
        fromSent.add(other.fromSent)
        lag.add(other.lag)
        measuredTime = max(measuredTime, other.measuredTime)
    }
}
