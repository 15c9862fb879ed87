// Who is told of which subscription.
//
// A receiver that leaves goes on being told until Redis has confirmed the end: so what it knows to be active changes only in the order in
// which Redis did it.

import NIOConcurrencyHelpers

final class RedisReceivers: Sendable {
    private struct Place: Sendable {
        weak var receiver: (any RedisReceiver)?
        let id: ObjectIdentifier
        var isLeaving = false
    }

    private struct Entry {
        var places: [Place] = []
        var isActive = false

        var isWanted: Bool { places.contains { !$0.isLeaving } }
    }

    private let entries = NIOLockedValueBox<[RedisTarget: Entry]>([:])

    /// Adds a receiver.
    ///
    /// - Parameter first: called for the first receiver of a target, under the lock.
    /// - Returns: whether it came to what may be active already, and has to be told (`tellLate`).
    func add(_ receiver: any RedisReceiver, to target: RedisTarget, first: () -> Void) -> Bool {
        entries.withLockedValue { entries in
            var entry = entries[target] ?? Entry()
            let isFirst = !entry.isWanted
            let known = entry.places.firstIndex { $0.id == ObjectIdentifier(receiver) }
            if let known {
                entry.places[known].isLeaving = false
            } else {
                entry.places.append(Place(receiver: receiver, id: ObjectIdentifier(receiver)))
            }
            entries[target] = entry
            if isFirst { first() }
            return known == nil && entry.isActive
        }
    }

    /// Tells a receiver of what has become active before it came; called where `tell` is.
    func tellLate(_ receiver: any RedisReceiver, _ target: RedisTarget) {
        if entries.withLockedValue({ $0[target]?.isActive == true }) { receiver.received(.subscribed, of: target) }
    }

    /// Removes a receiver.
    ///
    /// - Parameter last: called for the last receiver of a target, under the lock.
    func remove(_ id: ObjectIdentifier, from target: RedisTarget, last: () -> Void) {
        entries.withLockedValue { entries in
            guard var entry = entries[target], let index = entry.places.firstIndex(where: { $0.id == id && !$0.isLeaving }) else { return }
            if entry.isActive { entry.places[index].isLeaving = true } else { entry.places.remove(at: index) }
            if !entry.isWanted { last() }
            entries[target] = entry.places.isEmpty ? nil : entry
        }
    }

    func tell(_ event: RedisEvent, _ target: RedisTarget) {
        let places = entries.withLockedValue { entries -> [Place] in
            if case .message = event { return entries[target]?.places ?? [] }
            var entry = entries[target] ?? Entry()
            let places = entry.places
            entry.isActive = event == .subscribed
            if !entry.isActive { entry.places.removeAll { $0.isLeaving } }
            entries[target] = entry.places.isEmpty && !entry.isActive ? nil : entry
            return places
        }
        for place in places { place.receiver?.received(event, of: target) }
    }
}
