// Who handles which event: the closures that programs give to `on`, whatever their parameters, in one form.

import Synchronization

/// What handles an event of a server's sockets, or of a client's.
enum EventHandler<Socket: AnyObject & Sendable>: Sendable {
    /// Runs where the event arrives.
    case sync(@Sendable (Socket, SocketIOEvent) throws -> Void)
    /// Runs in a task of the socket's.
    case async(@Sendable (Socket, SocketIOEvent) async throws -> Void)
}

/// One handler of a socket, by which it can be removed: `off(id:)`.
public struct SocketIOHandlerID: Sendable, Hashable {
    private static let last = Atomic<UInt32>(0)
    // Small, as each client's handlers on a server have one; it comes round after four billion, of which a socket has a few.
    private let number: UInt32

    init() { number = Self.last.wrappingAdd(1, ordering: .relaxed).newValue }
}

/// Handlers by the events' names, in the order in which they were added, those of every event first; programs have few, and most sockets the
/// same.
struct EventHandlers<Socket: AnyObject & Sendable>: Sendable {
    private struct Entry: Sendable {
        /// Nil for every event.
        let name: String?
        let handler: EventHandler<Socket>
        let isOnce: Bool
        let id: SocketIOHandlerID
    }

    private var entries: [Entry] = []

    var isEmpty: Bool { entries.isEmpty }

    mutating func add(_ name: String?, _ handler: EventHandler<Socket>, once: Bool = false, id: SocketIOHandlerID = SocketIOHandlerID()) {
        // What sees every event sees it before the rest, whenever it was added.
        let place = name == nil ? entries.firstIndex { $0.name != nil } : nil
        entries.insert(Entry(name: name, handler: handler, isOnce: once, id: id), at: place ?? entries.endIndex)
    }

    /// Removes the handlers of an event.
    mutating func remove(_ name: String?) {
        entries.removeAll { $0.name == name }
    }

    /// Removes one handler.
    mutating func remove(_ id: SocketIOHandlerID) {
        entries.removeAll { $0.id == id }
    }

    /// Adds to what handles an event.
    ///
    /// - Returns: whether one of those was to be called once.
    func collect(_ name: String, into matches: inout Matches) -> Bool {
        var found = false
        for entry in entries where entry.name == nil || entry.name == name {
            matches.append(entry.handler)
            found = found || entry.isOnce
        }
        return found
    }

    /// Removes those that were to be called once, now that this event has come.
    mutating func removeOnce(_ name: String) {
        entries.removeAll { $0.isOnce && ($0.name == nil || $0.name == name) }
    }

    /// Some handlers; most events have one, which costs no array.
    struct Matches {
        private(set) var first: EventHandler<Socket>?
        private(set) var others: [EventHandler<Socket>] = []

        mutating func append(_ handler: EventHandler<Socket>) {
            if first == nil { first = handler } else { others.append(handler) }
        }

        /// Whether all of them run where the event arrives.
        var areSync: Bool {
            if case .async? = first { return false }
            return others.allSatisfy { if case .sync = $0 { true } else { false } }
        }
    }
}
