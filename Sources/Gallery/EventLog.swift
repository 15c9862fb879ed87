// Numbered events, for those who ask what came after one, now or as soon as there is something.

import Synchronization
import WebSockets

/// The latest events, each a JSON text; they are numbered from 0.
final class EventLog: Sendable {
    /// Events, and the number of the last one that there is.
    struct Piece: Equatable { var events: [String], last: Int }

    private struct State {
        var first = 0, hasEnded = false, waits = 0
        var events: [String] = []
        var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
        var last: Int { first + events.count - 1 }
    }

    /// At least so many are kept: what comes in eight seconds at the highest rate.
    private static let kept = 8192
    private let state = Mutex(State())

    /// The number of the last event; -1 before the first.
    var last: Int { state.withLock { $0.last } }

    /// Adds an event that knows its number.
    func append(_ makeEvent: (Int) -> String) -> String {
        let (event, waiting) = state.withLock { state in
            let event = makeEvent(state.last + 1)
            state.events.append(event)
            if state.events.count > 2 * Self.kept {
                state.events.removeFirst(Self.kept)
                state.first += Self.kept
            }
            defer { state.waiting = [:] }
            return (event, Array(state.waiting.values))
        }
        for each in waiting { each.resume() }
        return event
    }

    /// What came after an event and is still there; the last one for nil.
    func piece(after number: Int?) -> Piece {
        state.withLock { state in
            let missing = max(0, state.last - max(number ?? state.last - 1, -1))
            return Piece(events: state.events.suffix(missing), last: state.last)
        }
    }

    /// What comes after an event, or after now, once there is something; nil when there will be nothing more, or the task is cancelled.
    func next(after number: Int?) async -> Piece? {
        let number = number ?? last
        while !Task.isCancelled, !state.withLock({ $0.hasEnded }) {
            let piece = piece(after: number)
            guard piece.events.isEmpty else { return piece }
            await waitForMore(than: number)
        }
        return nil
    }

    private func waitForMore(than number: Int) async {
        let wait = state.withLock { state in
            state.waits += 1
            return state.waits
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.hasEnded || state.last > number || Task.isCancelled { return true }
                    state.waiting[wait] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: wait) }?.resume()
        }
    }

    /// Tells all who wait that there is nothing more.
    func end() {
        let waiting = state.withLock { state in
            state.hasEnded = true
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for each in waiting { each.resume() }
    }
}

extension ServerRequest {
    /// The number of the last event that the page has; nil if it has none.
    var after: Int? { query("after").flatMap(Int.init) }
}
