// Tasks that wait for room to send, first come, first served; confined to the connection's thread.

import Synchronization

/// One task's wait. The flag is set before the news of a cancellation is sent to the thread, so that whichever of the wait and its
/// cancellation gets there first, the second one sees it.
final class Wait: Sendable {
    private let flag = Atomic<Bool>(false)
    var isCancelled: Bool { flag.load(ordering: .acquiring) }
    func cancel() { flag.store(true, ordering: .releasing) }
}

struct Waiters {
    private var waiting: [(wait: Wait, continuation: CheckedContinuation<Void, any Error>)] = []

    var isEmpty: Bool { waiting.isEmpty }

    mutating func add(_ continuation: CheckedContinuation<Void, any Error>, _ wait: Wait) {
        if wait.isCancelled {
            continuation.resume(throwing: CancellationError())
        } else {
            waiting.append((wait, continuation))
        }
    }

    mutating func cancel(_ wait: Wait) {
        guard let index = waiting.firstIndex(where: { $0.wait === wait }) else { return }
        waiting.remove(at: index).continuation.resume(throwing: CancellationError())
    }

    mutating func resumeAll() {
        let all = waiting
        waiting = []
        for waiter in all { waiter.continuation.resume() }
    }
}
