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
/// round in its place, one at a time (`DistantWork`).
final class NIOLoop: ThreadLoop, SucceededLoop, @unchecked Sendable {
    private let eventLoop: any EventLoop
    private let distant = DistantWork()
    /// The thread that does a round in the loop's place.
    private let successor = Atomic<UInt>(0)

    // MARK: Touched on the loop's thread only

    private var work: [() -> Void] = []
    /// The thread whose turn is under way.
    private var turn: EventThread?
    /// Whether a round is to come.
    private(set) var isAsked = false
    private var isInRound = false
    /// How many rounds, each asked for by the one before, led to the one that is being done or to come.
    private var rounds = 0
    private var hasEnded = false

    private static let maxRounds = 16
    /// More than a loop needs to find that nothing is due.
    static let pause = TimeAmount.microseconds(50)

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    // MARK: Any thread

    var now: NIODeadline { eventLoop.now }

    var isCurrent: Bool { eventLoop.inEventLoop || successor.load(ordering: .relaxed) == duplex_current_thread() }

    func execute(_ body: @escaping @Sendable () -> Void) {
        if isCurrent {
            work.append(body)
            ask()
        } else if distant.add(body, for: self) == 1 {
            // One for a batch.
            eventLoop.execute { self.doDistant() }
        }
    }

    private func doDistant() { for body in distant.takeAll() { body() } }

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
        guard !isAsked, !hasEnded else { return }
        isAsked = true
        rounds = isInRound ? rounds + 1 : 1
        let eventLoop = eventLoop.assumeIsolated()
        if rounds <= Self.maxRounds { return eventLoop.execute { self.doRound() } }
        rounds = 0
        eventLoop.scheduleTask(in: Self.pause) { self.doRound() }
    }

    private func doRound() {
        isAsked = false
        isInRound = true
        defer { isInRound = false }
        for body in work.take() { body() }
        turn.take()?.endTurn()
    }

    // MARK: The end

    /// The event loop is about to end: what other threads ask for waits.
    func willEnd() { distant.close() }

    /// The event loop has ended, with its thread.
    func didEnd() { distant.succeed(self) }

    func doRoundInItsPlace() -> Bool {
        successor.store(duplex_current_thread(), ordering: .relaxed)
        defer { successor.store(0, ordering: .relaxed) }
        hasEnded = true
        doDistant()
        doRound()
        return !work.isEmpty || turn != nil
    }
}

extension Array {
    /// Empties it, and gives what was in it.
    fileprivate mutating func take() -> Self {
        defer { self = [] }
        return self
    }
}
