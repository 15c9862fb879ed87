// Who looks at an exhibit: what nobody sees is not made, so that a server without visitors is idle.

import Synchronization

/// Counts the tabs that look at an exhibit, and holds its clock while there are none.
final class Audience: Sendable {
    private let count = Mutex(0)
    private let arrivals: AsyncStream<Void>
    private let arrived: AsyncStream<Void>.Continuation

    init() { (arrivals, arrived) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

    var isEmpty: Bool { count.withLock { $0 == 0 } }

    func enter() {
        count.withLock { $0 += 1 }
        arrived.yield()
    }

    func leave() { count.withLock { $0 -= 1 } }

    /// Sleeps until a time, and from then on until somebody looks; false if the task was cancelled. For one task at a time.
    func sleep(until deadline: ContinuousClock.Instant) async -> Bool {
        guard (try? await Task.sleep(until: deadline)) != nil else { return false }
        var arrivals = arrivals.makeAsyncIterator()
        while isEmpty {
            // An arrival may be one of before, who has left since.
            guard await arrivals.next() != nil else { return false }
        }
        return !Task.isCancelled
    }
}
