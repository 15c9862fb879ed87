// What is to happen after a while: acknowledgements that do not come, clients that do not join. All of a server's are on one wheel.

import EngineIO
import NIOConcurrencyHelpers
import WebSockets

/// Something that happens after a while, unless it is cancelled before.
///
/// `@unchecked Sendable`: `timer` is touched only under the wheel's lock; the rest is constant.
final class Timeout: TimerWheelElement, @unchecked Sendable {
    var timer = TimerWheelPlace.none
    private let body: NIOLockedValueBox<(@Sendable () -> Void)?>
    private let wheel: WheelTimers<Timeout>

    init(_ wheel: WheelTimers<Timeout>, _ body: @escaping @Sendable () -> Void) {
        self.wheel = wheel
        self.body = NIOLockedValueBox(body)
    }

    func timerFired() { body.withLockedValue { $0.take() }?() }

    func cancel() {
        if body.withLockedValue({ $0.take() }) != nil { wheel.disarm(self) }
    }
}

extension WheelTimers where Element == Timeout {
    /// Has something happen after a while.
    func call(after time: Duration, _ body: @escaping @Sendable () -> Void) -> Timeout {
        let timeout = Timeout(self, body)
        arm(timeout, after: time)
        return timeout
    }
}

/// Holds something that is put by one thread and taken once by another, whichever comes first.
final class OneShot<Value: Sendable>: Sendable {
    private enum State: Sendable { case empty, full(Value), taken }
    private let state = NIOLockedValueBox(State.empty)

    /// Puts it there; it is given back if it was asked for before.
    func put(_ value: Value) where Value == Timeout {
        let isLate = state.withLockedValue { state in
            if case .taken = state { return true }
            state = .full(value)
            return false
        }
        if isLate { value.cancel() }
    }

    func take() -> Value? {
        state.withLockedValue { state in
            defer { state = .taken }
            if case .full(let value) = state { return value }
            return nil
        }
    }
}
