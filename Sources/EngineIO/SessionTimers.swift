// The timers of all sessions of a server: one wheel, and one timer of one event loop that turns it.

import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import WebSocketCore
import WebSockets

/// Calls sessions when their time has come; any thread may ask.
///
/// One lock for all sessions is enough: each asks once per heartbeat, not once per message.
final class SessionTimers: Sendable {
    private struct Contents {
        var wheel = TimerWheel<EngineIOSession>()
        /// When the loop's timer fires next.
        var scheduled: UInt64?
    }

    // Not `Mutex`: that hands itself over in the kernel, unseen by the thread sanitizer.
    private let contents = NIOLockedValueBox(Contents())
    private let eventLoop: any EventLoop

    init(_ eventLoop: any EventLoop = MultiThreadedEventLoopGroup.singleton.next()) { self.eventLoop = eventLoop }

    /// Has a session's timer fire at a time, and not at the one that was asked for before.
    func arm(_ session: EngineIOSession, at moment: Timestamp) {
        let due = contents.withLockedValue { contents in
            contents.wheel.insert(session, at: moment.nanoseconds, now: EngineIOServer.now.nanoseconds)
            return Self.nextToSchedule(&contents)
        }
        if let due { schedule(due) }
    }

    /// Has a session's timer not fire.
    func disarm(_ session: EngineIOSession) { contents.withLockedValue { $0.wheel.remove(session) } }

    /// When the loop's timer has to fire; nil if it does by then anyway.
    private static func nextToSchedule(_ contents: inout Contents) -> UInt64? {
        guard let next = contents.wheel.next else { return nil }
        if let scheduled = contents.scheduled, scheduled <= next { return nil }
        contents.scheduled = next
        return next
    }

    private func schedule(_ due: UInt64) {
        // A wheel that nobody holds any more turns no more.
        eventLoop.scheduleTask(deadline: .uptimeNanoseconds(due)) { [weak self] in self?.turn(due) }
    }

    private func turn(_ due: UInt64) {
        let (sessions, next) = contents.withLockedValue { contents in
            // An earlier one was asked for after this one.
            if contents.scheduled == due { contents.scheduled = nil }
            return (contents.wheel.advance(to: EngineIOServer.now.nanoseconds), Self.nextToSchedule(&contents))
        }
        if let next { schedule(next) }
        for session in sessions { session.timerFired() }
    }
}
