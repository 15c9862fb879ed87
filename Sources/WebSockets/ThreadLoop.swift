// What drives a thread that owns connections: NIO's event loop, or the reactor.

import CDuplexLinux
import NIOCore
import Synchronization

/// What drives a thread that owns connections.
protocol ThreadLoop: AnyObject, Sendable {
    /// The time; a test's own where a test turns the clock.
    var now: NIODeadline { get }
    /// Whether the caller runs on the thread.
    var isCurrent: Bool { get }
    /// Does something on the thread, later.
    func execute(_ body: @escaping @Sendable () -> Void)
    /// Does something on the thread at a time, unless it is cancelled before; called on the thread.
    func schedule(at deadline: NIODeadline, _ body: @escaping () -> Void) -> LoopTimer
    /// Calls `EventThread.endTurn` once what is ready now has been handled; called on the thread.
    func endTurnLater(_ thread: EventThread)
}

/// Something that is to happen at a time; confined to the thread.
struct LoopTimer {
    let cancel: () -> Void
}

/// NIO's event loop.
///
/// It does all that it is asked to do before it looks at its sockets again, and what it does may ask for more: so a task that only goes on and on
/// would keep it from them for ever. After so many rounds, the next one waits for a moment in which it looks.
///
/// `@unchecked Sendable`: the variables below the mark are touched only on the loop's thread, and once the loop has ended, by whichever does a
/// round in its place, one at a time (`LoopWork`).
final class NIOLoop: ThreadLoop, SucceededLoop, @unchecked Sendable {
    private let eventLoop: any EventLoop
    private let work = LoopWork()
    /// The thread that does a round in the loop's place.
    private let successor = Atomic<UInt>(0)

    // MARK: Touched on the loop's thread only

    /// Whether the thread itself has asked for something since the last round.
    private var hasWork = false
    /// The thread whose turn is under way.
    private var turn: EventThread?
    /// Whether a round is to come.
    private(set) var isAsked = false
    private var isInRound = false
    /// How many rounds, each asked for by the one before, led to the one that is being done or to come.
    private var rounds = 0
    /// When the first of these had ended.
    private var firstEnd = NIODeadline.uptimeNanoseconds(0)
    private var hasEnded = false

    private static let maxRounds = 16
    /// More than a loop needs to find that nothing is due.
    static let pause = TimeAmount.microseconds(50)

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    // MARK: Any thread

    var now: NIODeadline { eventLoop.now }

    var isCurrent: Bool { eventLoop.inEventLoop || successor.load(ordering: .relaxed) == duplex_current_thread() }

    func execute(_ body: @escaping @Sendable () -> Void) {
        // One queue for all, so that nothing is done before what was asked for earlier.
        let count = work.add(body, for: self)
        if isCurrent {
            hasWork = true
            ask()
        } else if count == 1 {
            // One errand for a batch.
            let errand = Errand(self)
            eventLoop.execute { errand.run() }
        }
    }

    /// Has the loop do what waits; or forget it, if the event loop is its owner's, who has ended it: nobody would ever do it.
    private final class Errand: Sendable {
        private let loop: NIOLoop
        private let isDone = Atomic<Bool>(false)

        init(_ loop: NIOLoop) { self.loop = loop }

        deinit { if !isDone.load(ordering: .relaxed) { loop.work.forget() } }

        func run() {
            isDone.store(true, ordering: .relaxed)
            loop.doWork()
        }
    }

    // MARK: On the loop's thread

    func schedule(at deadline: NIODeadline, _ body: @escaping () -> Void) -> LoopTimer {
        guard !hasEnded else { return LoopTimer {} }
        let scheduled = eventLoop.assumeIsolated().scheduleTask(deadline: deadline, body)
        return LoopTimer { scheduled.cancel() }
    }

    func endTurnLater(_ thread: EventThread) {
        turn = thread
        ask()
    }

    /// Has a round come, once the event loop has done what it was asked for before.
    private func ask() {
        guard !isAsked else { return }
        isAsked = true
        guard !isInRound else { return }
        rounds = 1
        eventLoop.assumeIsolated().execute { self.doRound() }
    }

    private func doRound() {
        runRound()
        guard isAsked else { return }
        if rounds == 1 { firstEnd = now }
        rounds += 1
        if rounds <= Self.maxRounds { return eventLoop.assumeIsolated().execute { self.doRound() } }
        rounds = 0
        // What is due before the loop gets to look at its sockets, it does at once. So the pause is as long as a round has taken, too: where all is
        // slow, so is the loop.
        let pause = max(Self.pause, .nanoseconds((now - firstEnd).nanoseconds / Int64(Self.maxRounds)))
        eventLoop.assumeIsolated().scheduleTask(in: pause) { self.doRound() }
    }

    private func runRound() {
        isAsked = false
        isInRound = true
        if hasWork {
            hasWork = false
            doWork()
        }
        turn.take()?.endTurn()
        isInRound = false
    }

    private func doWork() { for body in work.takeAll() { body() } }

    // MARK: The end

    /// The event loop is about to end: what is asked for waits for that, as NIO's event loops do not take it any more from a moment on that they
    /// do not tell of.
    func willEnd() { work.close() }

    /// The event loop has ended, with its thread.
    func didEnd() { work.succeed(self) }

    func doRoundInItsPlace() -> Bool {
        successor.store(duplex_current_thread(), ordering: .relaxed)
        defer { successor.store(0, ordering: .relaxed) }
        hasEnded = true
        isInRound = true
        doWork()
        runRound()
        return isAsked
    }
}
