// What drives a thread that owns connections: NIO's event loop, or the reactor.

import NIOCore

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
/// would keep it from them for ever. After so many steps, the next one waits for a moment in which it looks.
///
/// `@unchecked Sendable`: the variables are touched only on the loop's thread.
final class NIOLoop: ThreadLoop, @unchecked Sendable {
    private let eventLoop: any EventLoop
    /// How many steps, each asked for by the one before, led to what is being done; 0 for what a socket or another thread has brought.
    private var steps = 0
    /// What waits until the loop has looked at its sockets.
    private var waiting: [() -> Void] = []
    /// Whether anything waits for that; a timer is set then.
    var isWaiting: Bool { !waiting.isEmpty }

    private static let maxSteps = 16
    /// More than a loop needs to find that nothing is due.
    static let pause = TimeAmount.microseconds(50)

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    var now: NIODeadline { eventLoop.now }

    var isCurrent: Bool { eventLoop.inEventLoop }

    func execute(_ body: @escaping @Sendable () -> Void) {
        if eventLoop.inEventLoop { step(body) } else { eventLoop.execute(body) }
    }

    func schedule(at deadline: NIODeadline, _ body: @escaping () -> Void) -> LoopTimer {
        let scheduled = eventLoop.assumeIsolated().scheduleTask(deadline: deadline, body)
        return LoopTimer { scheduled.cancel() }
    }

    func endTurnLater(_ thread: EventThread) { step { thread.endTurn() } }

    /// Does something after what was asked for before.
    private func step(_ body: @escaping () -> Void) {
        let number = steps + 1
        // Also what comes behind those that wait, as it must not go before them.
        guard number <= Self.maxSteps, !isWaiting else { return wait(body) }
        eventLoop.assumeIsolated().execute { self.take(number, body) }
    }

    private func take(_ number: Int, _ body: () -> Void) {
        steps = number
        body()
        steps = 0
    }

    private func wait(_ body: @escaping () -> Void) {
        defer { waiting.append(body) }
        guard !isWaiting else { return }
        eventLoop.assumeIsolated().scheduleTask(in: Self.pause) {
            let bodies = self.waiting
            self.waiting = []
            for body in bodies { self.take(1, body) }
        }
    }
}
