// The timers of all sessions of a server: one wheel, and one timer of one event loop that turns it.

import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import WebSocketCore
package import WebSockets

/// Calls sessions when their time has come; any thread may ask.
///
/// One lock for all sessions is enough: each asks once per heartbeat, not once per message.
package final class WheelTimers<Element: TimerWheelElement & Sendable>: Sendable {
    private struct Contents {
        var wheel = TimerWheel<Element>()
        /// When the loop's timer fires next.
        var scheduled: UInt64?
    }

    // Not `Mutex`: that hands itself over in the kernel, unseen by the thread sanitizer.
    private let contents = NIOLockedValueBox(Contents())
    private let eventLoop: any EventLoop

    package init() { eventLoop = MultiThreadedEventLoopGroup.singleton.next() }

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// Has a session's timer fire at a time, and not at the one that was asked for before.
    func arm(_ element: Element, at moment: Timestamp) {
        let due = contents.withLockedValue { contents in
            contents.wheel.insert(element, at: moment.nanoseconds, now: EngineIOServer.now.nanoseconds)
            return Self.nextToSchedule(&contents)
        }
        if let due { schedule(due) }
    }

    /// Has a session's timer not fire.
    package func disarm(_ element: Element) { contents.withLockedValue { $0.wheel.remove(element) } }

    /// Has an element's timer fire after a while.
    package func arm(_ element: Element, after time: Duration) { arm(element, at: EngineIOServer.now.advanced(by: time)) }

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
        let (elements, next) = contents.withLockedValue { contents in
            // An earlier one was asked for after this one.
            if contents.scheduled == due { contents.scheduled = nil }
            return (contents.wheel.advance(to: EngineIOServer.now.nanoseconds), Self.nextToSchedule(&contents))
        }
        if let next { schedule(next) }
        for element in elements { element.timerFired() }
    }
}
