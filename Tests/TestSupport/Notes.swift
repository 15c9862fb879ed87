// What happened, in order, as text; a test waits for it.

import NIOConcurrencyHelpers

/// What happened, in order, as text.
package final class Notes: Sendable {
    private struct Waiter {
        let id: Int
        let count: Int
        let continuation: CheckedContinuation<Void, Never>
    }

    private struct Contents {
        var lines: [String] = []
        var waiters: [Waiter] = []
        var lastID = 0
    }

    private let contents = NIOLockedValueBox(Contents())

    package init() {}

    package var lines: [String] { contents.withLockedValue { $0.lines } }

    package func add(_ line: String) {
        let woken = contents.withLockedValue { contents in
            contents.lines.append(line)
            let woken = contents.waiters.filter { $0.count <= contents.lines.count }
            contents.waiters.removeAll { $0.count <= contents.lines.count }
            return woken
        }
        for waiter in woken { waiter.continuation.resume() }
    }

    /// Waits until so many lines are there, and gives them.
    ///
    /// When the test's time is over, which cancels it, "(cancelled)" stands for each that is missing: the test fails and ends, instead of
    /// waiting on.
    @discardableResult
    package func wait(_ count: Int) async -> [String] {
        let id = contents.withLockedValue { contents in
            contents.lastID += 1
            return contents.lastID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDone = contents.withLockedValue { contents in
                    if contents.lines.count >= count || Task.isCancelled { return true }
                    contents.waiters.append(Waiter(id: id, count: count, continuation: continuation))
                    return false
                }
                if isDone { continuation.resume() }
            }
        } onCancel: {
            let waiter = contents.withLockedValue { contents in
                contents.waiters.firstIndex { $0.id == id }.map { contents.waiters.remove(at: $0) }
            }
            waiter?.continuation.resume()
        }
        let lines = lines
        return lines + Array(repeating: "(cancelled)", count: max(0, count - lines.count))
    }
}
