// What a benchmark has measured, before it is put into figures.

/// What a benchmark has measured.
struct BenchMeasurement: Sendable {
    let plan: BenchPlan
    /// Where the connections went, without credentials.
    let address: String
    let server: ServerProcess?
    /// What all threads counted.
    var tally = LoadTally()
    /// How the busiest thread was loaded: how much of the time it worked, and how much it waited for a processor.
    var busiest = (busy: 0.0, waiting: 0.0)
    /// What this process worked while it was measured, in seconds, and what the server's did.
    var cpuTime = 0.0
    var serverCPUTime: Double?
    /// How many connections were open at the end.
    var held = 0
    /// The server's resident bytes before the first connection and at the end.
    var memoryBefore: Int?
    var memoryAfter: Int?
    var isInterrupted = false

    init(_ plan: BenchPlan, address: String, server: ServerProcess?) {
        self.plan = plan
        self.address = address
        self.server = server
    }

    mutating func add(_ thread: LoadTally) {
        tally.add(thread)
        if thread.load.busy + thread.load.waiting > busiest.busy + busiest.waiting { busiest = thread.load }
    }

    /// How many messages that everyone should have got somebody did not; of an echo, the answers that never came.
    var missing: Int {
        // Whoever has left gets nothing; that is told as a loss.
        guard plan.kind == .broadcast else { return tally.missing }
        return tally.lost > 0 ? 0 : max(0, tally.sent * plan.answersPerMessage - tally.received)
    }

    /// Whether the server tells nobody but the speaker what was said to all.
    var isNoBroadcast: Bool { plan.kind == .broadcast && plan.connections > 1 && tally.lost == 0 && tally.received <= tally.sent }
}

/// Whether the load itself was the bottleneck.
enum Bottleneck {
    /// From which share of its time on a thread counts as busy: what is left is the kernel's and the scheduler's.
    static let busy = 0.9
    /// How late a message in a hundred may leave, in nanoseconds: more than a timer and a loop's turn need.
    static let late: UInt64 = 1_000_000

    /// Of fewer messages, one is more than one in a hundred.
    private static let leastMessages = 200
    /// How long a measurement must have lasted for its shares of time to mean something, in seconds.
    private static let shortest = 0.1

    /// What is to be said of it; nil if the server was it, or nothing.
    static func note(_ measured: BenchMeasurement, cores: Int) -> String? {
        guard measured.tally.measuredTime >= shortest else { return nil }
        let share = measured.cpuTime / max(measured.tally.measuredTime, 1e-9) / Double(cores)
        let (worked, waited) = (max(measured.busiest.busy, share), measured.busiest.waiting)
        if worked > busy {
            let more =
                measured.plan.threads < cores ? "give it more --threads, or measure from another machine" : "measure from another machine"
            return "this end was the bottleneck: its threads worked \(percent(worked)) of the time; \(more)"
        }
        guard worked + waited > busy else { return measured.plan.rate == nil ? nil : lagNote(measured.tally) }
        return "this end was the bottleneck: its threads worked \(percent(worked)) of the time and waited \(percent(waited)) for a "
            + "processor; measure from a machine that does nothing else"
    }

    private static func lagNote(_ tally: LoadTally) -> String? {
        guard let lag = tally.lag.percentiles, lag.p99 > late, tally.heldBack == 0, tally.lag.count >= leastMessages else { return nil }
        // Where the server takes far longer, it is not this end that makes the delays.
        guard let delay = tally.fromDue.percentiles, lag.p99 > delay.p99 / 10 else { return nil }
        return "this end did not keep the rate: one message in a hundred left over \(Figures.time(lag.p99)) late; "
            + "lower --rate, or measure from a machine that does nothing else"
    }

    private static func percent(_ share: Double) -> String { "\(min(100, Int((share * 100).rounded()))) %" }
}
