// What other threads ask a loop to do; and who does it once the loop has ended.

import NIOConcurrencyHelpers

/// What other threads ask a loop to do.
///
/// A loop ends with its server, and its connections may outlive it in the hands of tasks that still ask them for something, or prefer their
/// thread. None of these may be left waiting. So once the loop has ended, its rounds are done by the runtime's threads: one at a time, so that
/// what is confined to the loop's thread still has but one owner, and only where something is asked for.
struct DistantWork: Sendable {
    typealias Body = @Sendable () -> Void

    private struct State {
        var bodies: [Body] = []
        /// Whether nobody is to wake the loop any more.
        var isClosed = false
        /// Whether somebody does a round in the loop's place, or will.
        var isBusy = false
    }

    // `Mutex` hands itself over in the kernel, unseen by the thread sanitizer; this lock it knows.
    private let state = NIOLockedValueBox(State())

    /// Adds something, and says how much waits for the loop, which is to be woken for it; 0 if it has ended.
    func add(_ body: @escaping Body, for loop: some SucceededLoop) -> Int {
        let (count, begins) = state.withLockedValue { state in
            state.bodies.append(body)
            guard state.isClosed else { return (state.bodies.count, false) }
            defer { state.isBusy = true }
            return (0, !state.isBusy)
        }
        if begins { Task.detached { self.doRounds(of: loop) } }
        return count
    }

    func takeAll() -> [Body] {
        state.withLockedValue { state in
            defer { state.bodies = [] }
            return state.bodies
        }
    }

    /// Has everything wait that is asked for from here on: the loop is ending.
    func close() {
        state.withLockedValue { state in
            state.isClosed = true
            state.isBusy = true
        }
    }

    /// Does what waits, and has the rest done as it comes; after `close` and the loop's end.
    func succeed(_ loop: some SucceededLoop) { doRounds(of: loop) }

    private func doRounds(of loop: some SucceededLoop) {
        let isMore = loop.doRoundInItsPlace()
        let goesOn = state.withLockedValue { state in
            state.isBusy = isMore || !state.bodies.isEmpty
            return state.isBusy
        }
        // Each in its own turn: a task that goes on and on shall not keep one of the runtime's threads to itself.
        if goesOn { Task.detached { self.doRounds(of: loop) } }
    }
}

/// A loop whose rounds others do once it has ended.
protocol SucceededLoop: AnyObject, Sendable {
    /// Does what was asked for, as the loop's thread; says whether more is to be done.
    func doRoundInItsPlace() -> Bool
}
