// What one reader of a client's events has not read yet: bounded by count and bytes, where the standard library's streams count only.

import DequeModule
import NIOConcurrencyHelpers

/// A sequence of events that somebody reads.
final class EventFeed: Sendable {
    private typealias Reader = CheckedContinuation<SocketIOEvent?, any Error>

    private struct State {
        var events = Deque<(event: SocketIOEvent, size: Int)>()
        var bytes = 0
        /// Readers that found nothing; more than one only if tasks share the sequence.
        var readers: [(number: Int, reader: Reader)] = []
        var lastReader = 0
        /// How it ends, once what is there has been read.
        var end: Result<Void, any Error>?
    }

    /// Nil for every event.
    private let name: String?
    private let maxCount: Int
    private let maxBytes: Int
    private let state = NIOLockedValueBox(State())

    init(_ name: String?, maxCount: Int, maxBytes: Int) {
        self.name = name
        self.maxCount = maxCount
        self.maxBytes = maxBytes
    }

    /// How many tasks wait.
    var readerCount: Int { state.withLockedValue { $0.readers.count } }

    func takes(_ name: String) -> Bool { self.name == nil || self.name == name }

    /// Adds an event; over a limit, it is the end.
    func add(_ event: SocketIOEvent, size: Int) {
        let reader = state.withLockedValue { state -> Reader? in
            guard state.end == nil else { return nil }
            if !state.readers.isEmpty { return state.readers.removeFirst().reader }
            if state.events.count >= maxCount {
                state.end = .failure(SocketIOSequenceOverflow(limit: maxCount, unit: .events))
            } else if state.bytes + size > maxBytes {
                state.end = .failure(SocketIOSequenceOverflow(limit: maxBytes, unit: .bytes))
            } else {
                state.events.append((event, size))
                state.bytes += size
            }
            return nil
        }
        reader?.resume(returning: event)
    }

    /// Ends the sequence, behind what is there.
    func finish() {
        let readers = state.withLockedValue { state in
            if state.end == nil { state.end = .success(()) }
            defer { state.readers = [] }
            return state.readers
        }
        for (_, reader) in readers { reader.resume(returning: nil) }
    }

    /// The next event; nil at the end, and when the task is cancelled.
    func next() async throws -> SocketIOEvent? {
        let number = state.withLockedValue { state in
            state.lastReader += 1
            return state.lastReader
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { reader in
                if let result = read(number, reader) { reader.resume(with: result) }
            }
        } onCancel: {
            let reader = state.withLockedValue { state in
                state.readers.firstIndex { $0.number == number }.map { state.readers.remove(at: $0).reader }
            }
            reader?.resume(returning: nil)
        }
    }

    /// What the reader gets at once; nil if it has to wait.
    private func read(_ number: Int, _ reader: Reader) -> Result<SocketIOEvent?, any Error>? {
        state.withLockedValue { state in
            if let (event, size) = state.events.popFirst() {
                state.bytes -= size
                return .success(event)
            }
            if let end = state.end { return end.map { nil } }
            // Under the lock: who is cancelled later finds the reader there.
            if Task.isCancelled { return .success(nil) }
            state.readers.append((number, reader))
            return nil
        }
    }
}

/// A sequence of events was read too slowly: more would have had to be left out.
public struct SocketIOSequenceOverflow: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is limited; more may be added.
    public struct Unit: RawRepresentable, Sendable, Hashable {
        /// A short and stable label.
        public let rawValue: String
        /// Makes a unit from its label.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// `SocketIOClientConfiguration.maxPendingEvents`.
        public static let events = Self(rawValue: "events")
        /// `SocketIOClientConfiguration.maxPendingBytes`.
        public static let bytes = Self(rawValue: "bytes")
    }

    /// How much may wait.
    public let limit: Int
    /// What was counted.
    public let unit: Unit

    /// What happened, and which limit it was.
    public var description: String {
        let name = unit == .bytes ? "maxPendingBytes" : "maxPendingEvents"
        return "over \(limit) \(unit.rawValue) waited to be read from a sequence (limit \(name))"
    }
}
