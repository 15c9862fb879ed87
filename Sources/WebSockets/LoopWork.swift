// What a loop is asked to do; and who does it once the loop has ended.

import NIOConcurrencyHelpers

/// What a loop is asked to do, in order.
///
/// A loop ends with its server, and its connections may outlive it in the hands of tasks that still ask them for something, or prefer their
/// thread. None of these may be left waiting. So once the loop has ended, its rounds are done by the runtime's threads: one at a time, so that
/// what is confined to the loop's thread still has but one owner, and only where something is asked for.
struct LoopWork: Sendable {
    typealias Body = @Sendable () -> Void

    private enum Stage {
        case running
        /// Nobody wakes the loop any more; what is asked for waits for its end.
        case ending
        /// Rounds are done in the loop's place.
        case succeeded
    }

    private struct State {
        var bodies: [Body] = []
        var stage = Stage.running
        /// Whether somebody does a round in the loop's place, or will.
        var isBusy = false
    }

    // `Mutex` hands itself over in the kernel, unseen by the thread sanitizer; this lock it knows.
    private let state = NIOLockedValueBox(State())

    /// Adds something, and says how much waits for the loop, which is to be woken for it; 0 if it is ending or has ended.
    func add(_ body: @escaping Body, for loop: some SucceededLoop) -> Int {
        let (count, begins) = state.withLockedValue { state in
            state.bodies.append(body)
            switch state.stage {
            case .running: return (state.bodies.count, false)
            case .ending: return (0, false)
            case .succeeded:
                defer { state.isBusy = true }
                return (0, !state.isBusy)
            }
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

    /// Forgets what waits, unless the loop's end is being seen to.
    func forget() {
        let forgotten = state.withLockedValue { state -> [Body] in
            guard state.stage == .running else { return [] }
            defer { state.bodies = [] }
            return state.bodies
        }
        // What these held goes here, where the lock is free.
        withExtendedLifetime(forgotten) {}
    }

    /// Has all wait that is asked for from here on.
    func close() { state.withLockedValue { if $0.stage == .running { $0.stage = .ending } } }

    /// Does what waits, and has the rest done as it comes; after `close`, and the end of the loop and of its thread's part in it.
    func succeed(_ loop: some SucceededLoop) {
        let isFirst = state.withLockedValue { state in
            guard state.stage == .ending else { return false }
            state.stage = .succeeded
            state.isBusy = true
            return true
        }
        if isFirst { doRounds(of: loop) }
    }

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
