// Who is told of which subscription.

import NIOConcurrencyHelpers

final class RedisReceivers: Sendable {
    private struct Place: Sendable {
        weak var receiver: (any RedisReceiver)?
        let id: ObjectIdentifier
    }

    private struct Entry {
        var places: [Place] = []
        /// Whether Redis has confirmed it, and nothing else since.
        var isActive = false
    }

    private let entries = NIOLockedValueBox<[RedisTarget: Entry]>([:])

    /// Adds a receiver.
    ///
    /// - Parameter first: called for the first receiver of a target, under the lock.
    /// - Returns: whether it came to what may be active already, and has to be told (`tellLate`).
    func add(_ receiver: any RedisReceiver, to target: RedisTarget, first: () -> Void) -> Bool {
        entries.withLockedValue { entries in
            var entry = entries[target] ?? Entry()
            guard !entry.places.contains(where: { $0.id == ObjectIdentifier(receiver) }) else { return false }
            if entry.places.isEmpty { first() }
            entry.places.append(Place(receiver: receiver, id: ObjectIdentifier(receiver)))
            entries[target] = entry
            return entry.isActive
        }
    }

    /// Whether Redis has confirmed a subscription, and nothing else since.
    func isActive(_ target: RedisTarget) -> Bool { entries.withLockedValue { $0[target]?.isActive == true } }

    /// Tells a receiver of what has become active before it came; called where `tell` is.
    func tellLate(_ receiver: any RedisReceiver, _ target: RedisTarget) {
        if isActive(target) { receiver.received(.subscribed, of: target) }
    }

    /// Removes a receiver.
    ///
    /// - Parameter last: called for the last receiver of a target, under the lock.
    func remove(_ id: ObjectIdentifier, from target: RedisTarget, last: () -> Void) {
        entries.withLockedValue { entries in
            guard var entry = entries[target], let index = entry.places.firstIndex(where: { $0.id == id }) else { return }
            entry.places.remove(at: index)
            if entry.places.isEmpty { last() }
            entries[target] = entry.places.isEmpty && !entry.isActive ? nil : entry
        }
    }

    func tell(_ event: RedisEvent, _ target: RedisTarget) {
        let places = entries.withLockedValue { entries -> [Place] in
            if case .message = event { return entries[target]?.places ?? [] }
            var entry = entries[target] ?? Entry()
            let places = entry.places
            entry.isActive = event == .subscribed
            entries[target] = entry.places.isEmpty && !entry.isActive ? nil : entry
            return places
        }
        for place in places { place.receiver?.received(event, of: target) }
    }
}
