// Lines of the log that strangers can cause are said once a second at the most: who can write to Redis could fill the disk otherwise.

import NIOConcurrencyHelpers
package import NIOCore

/// Says whether a line may be logged, and how many were left out before it.
package final class LogLimiter: Sendable {
    private struct State {
        var next = NIODeadline.uptimeNanoseconds(0)
        var leftOut = 0
    }

    private let state = NIOLockedValueBox(State())
    private let interval = TimeAmount.seconds(1)

    package init() {}

    /// - Returns: how many lines were left out since the last one; nil if this one is to be left out.
    package func admit(now: NIODeadline = .now()) -> Int? {
        state.withLockedValue { state in
            guard now >= state.next else {
                state.leftOut += 1
                return nil
            }
            defer { state = State(next: now + interval, leftOut: 0) }
            return state.leftOut
        }
    }
}
