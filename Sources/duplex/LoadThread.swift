// One thread of a benchmark's load: its connections, when they send, and what it counts.
//
// Everything of a thread is touched on its event loop alone, without a lock and without a task for a message: a message that comes is a
// callback, and what is sent in answer leaves with the others of its turn. The main task starts and stops the threads and collects what
// they counted.

import NIOCore
import Synchronization
import WebSocketCore
import WebSockets

/// One thread of the load.
///
/// `@unchecked Sendable`: every stored variable is touched only on `loop` (`assertInEventLoop` in all ways in); the rest is constant or
/// atomic. `@exclusivity(unchecked)`: no access to one of these runs foreign code.
final class LoadThread: NIOScheduledCallbackHandler, @unchecked Sendable {
    let loop: any EventLoop
    let plan: BenchPlan
    let number: Int
    let configuration: WebSocketClient.Configuration
    /// What all connections send.
    let payload: Payload
    /// Whether messages are sent at a fixed rate, and not when an answer has come.
    let isPaced: Bool

    /// For whoever watches: messages or handshakes so far, connections open now, and whether something is so wrong that all must end.
    let total = Atomic<Int>(0)
    let open = Atomic<Int>(0)
    let hasFailed = Atomic<Bool>(false)
    /// How many connections were begun.
    private let begun = Atomic<Int>(0)

    // MARK: Touched on `loop` only

    @exclusivity(unchecked) private(set) var tally = LoadTally()
    @exclusivity(unchecked) private var connections: [ObjectIdentifier: LoadConnection] = [:]
    @exclusivity(unchecked) private var senders: [LoadConnection] = []
    @exclusivity(unchecked) private var schedule: Schedule?
    @exclusivity(unchecked) private var nextSender = 0
    @exclusivity(unchecked) private var isSending = false
    @exclusivity(unchecked) private var isMeasuring = false
    @exclusivity(unchecked) private var isClosing = false
    /// Which messages are measured: those that were due between these.
    @exclusivity(unchecked) private var windowStart = UInt64.max
    @exclusivity(unchecked) private var windowEnd = UInt64.max
    private var cpuStart = 0.0
    private var waitStart: Double?
    private var allClosed: EventLoopPromise<Void>?

    init(_ plan: BenchPlan, number: Int, loop: any EventLoop, payload: Payload) {
        self.plan = plan
        self.number = number
        self.loop = loop
        self.payload = payload
        isPaced = plan.rate != nil
        configuration = plan.configuration(on: loop)
    }

    /// The number of the next connection to open, of all threads' together; nil if this thread has begun all of its own.
    func nextConnection() -> Int? {
        let index = begun.add(1, ordering: .relaxed).oldValue * plan.threads + number
        return index < plan.connections ? index : nil
    }

    // MARK: Phases

    /// Begins to send.
    ///
    /// - Parameters:
    ///   - start: when the first message of all threads is due.
    ///   - offset: how many senders the threads before this one have.
    /// - Returns: how many this one has.
    func start(at start: UInt64, offset: Int) -> Int {
        loop.assertInEventLoop()
        isSending = true
        if let rate = plan.rate { keep(rate, from: start, offset) } else { startAll() }
        return senders.count
    }

    private func keep(_ rate: Double, from start: UInt64, _ offset: Int) {
        guard !senders.isEmpty else { return }
        let schedule = Schedule(start: start, rate: rate, senders: senders.count, of: plan.senders, offset: offset)
        self.schedule = schedule
        wake(at: schedule.next)
    }

    private func startAll() {
        let now = monotonicTime()
        for sender in senders {
            for _ in 0..<plan.depth { sender.send(SendTime(due: now, sent: now)) }
        }
    }

    /// From now on, what happens counts.
    func beginMeasuring() {
        loop.assertInEventLoop()
        cpuStart = CPU.ofThread
        waitStart = CPU.waitOfThread
        windowStart = monotonicTime()
        isMeasuring = true
    }

    /// What happens counts no longer, nothing more is sent; answers to what was sent are awaited.
    func endMeasuring() {
        loop.assertInEventLoop()
        guard isMeasuring else { return }
        isMeasuring = false
        isSending = false
        windowEnd = monotonicTime()
        tally.measuredTime = Double(windowEnd - windowStart) / 1e9
        tally.cpuTime = CPU.ofThread - cpuStart
        if let waitStart, let now = CPU.waitOfThread { tally.waitTime = now - waitStart }
    }

    /// Closes all connections.
    func close() -> EventLoopFuture<Void> {
        loop.assertInEventLoop()
        isClosing = true
        isSending = false
        let promise = loop.makePromise(of: Void.self)
        allClosed = promise
        if connections.isEmpty { promise.succeed() } else { for connection in connections.values { connection.close() } }
        return promise.futureResult
    }

    /// How many messages were sent, and how many have come.
    var underWay: (sent: Int, received: Int) {
        loop.assertInEventLoop()
        return (tally.sent, tally.received)
    }

    /// What was counted, answers that are still missing included.
    var result: LoadTally {
        loop.assertInEventLoop()
        var tally = tally
        for connection in connections.values { connection.countMissing(in: &tally) }
        return tally
    }

    // MARK: From the connections

    func opened(_ connection: LoadConnection, begunAt start: UInt64) {
        let now = monotonicTime()
        open.add(1, ordering: .relaxed)
        tally.opened += 1
        connections[ObjectIdentifier(connection)] = connection
        if connection.isSender { senders.append(connection) }
        guard plan.senders == 0, isMeasuring else { return }
        tally.messages += 1
        tally.fromDue.record(from: start, to: now)
        total.store(tally.messages, ordering: .relaxed)
    }

    func closed(_ connection: LoadConnection, _ closure: Closure, isExpected: Bool) {
        open.subtract(1, ordering: .relaxed)
        connections[ObjectIdentifier(connection)] = nil
        if connection.isSender && !isClosing { senders.removeAll { $0 === connection } }
        if !isClosing && !isExpected { tally.lose(closure) }
        if isClosing && connections.isEmpty { allClosed?.succeed() }
    }

    /// A message has come; says whether the next is to be sent.
    @inline(__always)
    func received(_ times: SendTime, at now: UInt64) -> Bool {
        tally.received += 1
        total.store(tally.received, ordering: .relaxed)
        if isMeasuring { tally.messages += 1 }
        if times.due >= windowStart && times.due < windowEnd {
            tally.fromDue.record(from: times.due, to: now)
            if isPaced { tally.fromSent.record(from: times.sent, to: now) }
        }
        return isSending && !isPaced
    }

    @inline(__always)
    func sent() {
        tally.sent += 1
        if isMeasuring { tally.sentMeasured += 1 }
    }

    /// A message that was not part of the load.
    func receivedForeign() { tally.foreign += 1 }

    /// The server does what no server for this load does.
    func fail(_ what: String) {
        if tally.failure == nil { tally.failure = what }
        hasFailed.store(true, ordering: .relaxed)
    }

    /// A handshake has failed.
    func refused(_ error: any Error) { tally.refuse(error) }

    // MARK: A fixed rate

    func handleScheduledCallback(eventLoop: some EventLoop) {
        guard isSending, !senders.isEmpty, var schedule else { return }
        let now = monotonicTime()
        var next: UInt64?
        while let due = schedule.due(at: now) {
            guard let sender = nextSenderWithRoom() else {
                tally.heldBack += 1
                next = now + Self.patience
                break
            }
            schedule.advance()
            if isMeasuring { tally.lag.record(from: due, to: now) }
            sender.send(SendTime(due: due, sent: now))
        }
        self.schedule = schedule
        // Never at once: NIO does all that is due before it reads.
        wake(at: max(next ?? schedule.next, monotonicTime() + Self.pause))
    }

    /// How long to wait for a server that reads too slowly before trying again.
    private static let patience: UInt64 = 1_000_000
    /// How long the thread reads at least between what it sends.
    private static let pause: UInt64 = 50_000

    private func wake(at moment: UInt64) {
        _ = try? loop.scheduleCallback(at: .uptimeNanoseconds(moment), handler: self)
    }

    /// The senders take turns; nil if none has room.
    private func nextSenderWithRoom() -> LoadConnection? {
        for _ in senders.indices {
            nextSender = nextSender + 1 < senders.count ? nextSender + 1 : 0
            if senders[nextSender].hasRoom { return senders[nextSender] }
        }
        return nil
    }
}
