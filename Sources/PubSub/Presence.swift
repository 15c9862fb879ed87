// Who is on a topic.
//
// A member is there from the first of its connections to the last: three tabs of one user are one member. State: absent → present (n ≥ 1
// connections) → absent; joining and leaving are the ends of that.

import NIOConcurrencyHelpers

/// Somebody on a topic.
public struct PresenceMember: Sendable, Hashable {
    /// Who it is, whichever connection speaks: a user's id.
    public let id: String
    /// What the others are to know, such as a name, or JSON.
    public let info: String

    /// Makes a member.
    public init(id: String, info: String = "") {
        self.id = id
        self.info = info
    }
}

/// Somebody has come or gone.
public struct PresenceEvent: Sendable, Hashable {
    /// What happened.
    public enum Kind: Sendable, Hashable {
        /// The member's first connection has come.
        case joined
        /// The member's last connection has gone.
        case left
    }

    /// What happened.
    public let kind: Kind
    /// Where.
    public let topic: String
    /// To whom.
    public let member: PresenceMember
}

/// Who is on which topic; any thread may ask.
public final class Presence: Sendable {
    private struct Record {
        var member: PresenceMember
        var connections: Int
    }

    private struct State {
        var topics: [String: [String: Record]] = [:]
        /// What is to be told, and whether somebody is telling it.
        var events: [PresenceEvent] = []
        var isTelling = false
        var observer: (@Sendable (PresenceEvent) -> Void)?
    }

    private let state = NIOLockedValueBox(State())

    /// Makes one with nobody present.
    public init() {}

    /// Who is told of joining and leaving; one at a time and in the order in which it happened, on a thread where
    /// something did.
    public func observe(_ observer: @escaping @Sendable (PresenceEvent) -> Void) { state.withLockedValue { $0.observer = observer } }

    /// Who is on a topic, in no order.
    public func members(of topic: String) -> [PresenceMember] {
        state.withLockedValue { $0.topics[topic]?.values.map(\.member) ?? [] }
    }

    /// A connection of a member has come.
    public func join(_ topic: String, _ member: PresenceMember) {
        change { state in
            let before = state.topics[topic]?[member.id]?.connections ?? 0
            state.topics[topic, default: [:]][member.id] = Record(member: member, connections: before + 1)
            return before == 0 ? PresenceEvent(kind: .joined, topic: topic, member: member) : nil
        }
    }

    /// A connection of a member has gone.
    public func leave(_ topic: String, _ id: String) {
        change { state in
            guard var record = state.topics[topic]?[id] else { return nil }
            record.connections -= 1
            guard record.connections == 0 else {
                state.topics[topic]?[id] = record
                return nil
            }
            state.topics[topic]?[id] = nil
            if state.topics[topic]?.isEmpty == true { state.topics[topic] = nil }
            return PresenceEvent(kind: .left, topic: topic, member: record.member)
        }
    }

    /// Changes who is there, and tells of it: outside the lock, as the observer may ask who is there; and one thread at a time, so that
    /// nobody hears of a leave before the join.
    private func change(_ body: (inout State) -> PresenceEvent?) {
        let isMine = state.withLockedValue { state in
            guard let event = body(&state), state.observer != nil else { return false }
            state.events.append(event)
            guard !state.isTelling else { return false }
            state.isTelling = true
            return true
        }
        if isMine { tell() }
    }

    private func tell() {
        while let (events, observer) = nextEvents() {
            for event in events { observer?(event) }
        }
    }

    private func nextEvents() -> ([PresenceEvent], (@Sendable (PresenceEvent) -> Void)?)? {
        state.withLockedValue { state in
            guard !state.events.isEmpty else {
                state.isTelling = false
                return nil
            }
            defer { state.events = [] }
            return (state.events, state.observer)
        }
    }
}
