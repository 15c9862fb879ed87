// When messages are due at a fixed rate, and why a delay counts from there.
//
// A load that waits for the server before it goes on measures a stall once, however many messages it would have hit: they are simply sent
// later ("coordinated omission"). So the moments are fixed in advance; what cannot be sent in time is sent late, and timed from when
// it was due.

/// The moments at which messages are due, in nanoseconds; nothing that happens moves them.
struct Schedule {
    private let start: UInt64
    private let interval: Double
    private var index = 0

    /// - Parameter interval: nanoseconds from one message to the next.
    init(start: UInt64, interval: Double) {
        self.start = start
        self.interval = interval
    }

    /// One thread's part of a rate that several share: their messages interleave evenly.
    ///
    /// - Parameters:
    ///   - senders: how many connections of this thread send, of how many in `allSenders`.
    ///   - offset: how many of the others' come before them.
    init(start: UInt64, rate: Double, senders: Int, of allSenders: Int, offset: Int) {
        let all = 1e9 / rate
        self.init(start: start + UInt64(all * Double(offset)), interval: all * Double(allSenders) / Double(senders))
    }

    /// When the next message is due.
    var next: UInt64 { start + UInt64(Double(index) * interval) }

    /// The next moment, if it has come; it is still the next one until `advance`.
    func due(at now: UInt64) -> UInt64? {
        let next = next
        return next <= now ? next : nil
    }

    /// The message that was due has been sent.
    mutating func advance() { index += 1 }
}

/// When a message should have been sent and when it was, in nanoseconds.
struct SendTime: Equatable {
    var due: UInt64
    var sent: UInt64
}
