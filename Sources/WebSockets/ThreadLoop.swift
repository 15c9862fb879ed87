// What drives a thread that owns connections: NIO's event loop, or the reactor.

import NIOCore

/// What drives a thread that owns connections.
protocol ThreadLoop: AnyObject, Sendable {
    /// Whether the caller runs on the thread.
    var isCurrent: Bool { get }
    /// The time, from a clock that only goes forward.
    var now: NIODeadline { get }
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
final class NIOLoop: ThreadLoop {
    private let eventLoop: any EventLoop

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    var isCurrent: Bool { eventLoop.inEventLoop }

    var now: NIODeadline { eventLoop.now }

    func execute(_ body: @escaping @Sendable () -> Void) { eventLoop.execute(body) }

    func schedule(at deadline: NIODeadline, _ body: @escaping () -> Void) -> LoopTimer {
        let scheduled = eventLoop.assumeIsolated().scheduleTask(deadline: deadline, body)
        return LoopTimer { scheduled.cancel() }
    }

    func endTurnLater(_ thread: EventThread) { eventLoop.execute { thread.endTurn() } }
}
