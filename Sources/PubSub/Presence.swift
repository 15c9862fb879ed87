// Who is on a topic.
//
// A member is there from the first of its connections to the last: three tabs of one user are one member, on whichever nodes they are. State:
// absent → present (n ≥ 1 connections) → absent; joining and leaving are the ends of that.
//
// What happens here is numbered and told to the other nodes in its order; what happens there is told to this one's `Presence` (TopicCluster).

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
    private let state = NIOLockedValueBox(PresenceState())

    /// Makes one with nobody present.
    public init() {}

    /// Who is told of joining and leaving; one at a time and in the order in which it happened, on a thread where
    /// something did.
    public func observe(_ observer: @escaping @Sendable (PresenceEvent) -> Void) { state.withLockedValue { $0.observer = observer } }

    /// Who is on a topic, in no order.
    public func members(of topic: String) -> [PresenceMember] {
        state.withLockedValue { state in
            let here = state.here[topic]
            var members = here?.values.map(\.member) ?? []
            var ids: Set<String> = []
            for there in state.elsewhere.values {
                for (id, member) in there[topic] ?? [:] where here?[id] == nil && ids.insert(id).inserted { members.append(member) }
            }
            return members
        }
    }

    // MARK: This node's connections

    /// A connection of a member has come.
    public func join(_ topic: String, _ member: PresenceMember) {
        let isShared = isShared(topic)
        change { state in
            let before = state.here[topic]?[member.id]
            let isNew = !state.isThere(topic, member.id)
            state.here[topic, default: [:]][member.id] = PresenceState.Record(member: member, connections: (before?.connections ?? 0) + 1)
            if isShared, before?.member != member { state.tell(.came(PresenceEntry(topic: topic, member: member))) }
            if isNew { state.note(.joined, topic, member) }
        }
    }

    /// A connection of a member has gone.
    public func leave(_ topic: String, _ id: String) {
        let isShared = isShared(topic)
        change { state in
            guard var record = state.here[topic]?[id] else { return }
            record.connections -= 1
            guard record.connections == 0 else {
                state.here[topic]?[id] = record
                return
            }
            state.here[topic]?[id] = nil
            if state.here[topic]?.isEmpty == true { state.here[topic] = nil }
            if isShared { state.tell(.went(topic: topic, id: id)) }
            if !state.isThere(topic, id) { state.note(.left, topic, record.member) }
        }
    }

    private func isShared(_ topic: String) -> Bool { state.withLockedValue { $0.cluster }?.shares(topic) ?? false }

    // MARK: Other nodes

    /// Begins to tell other nodes.
    ///
    /// - Parameters:
    ///   - shares: whether a topic concerns them.
    ///   - tell: takes what they are to hear, one at a time, in order.
    func connect(shares: @escaping @Sendable (String) -> Bool, tell: @escaping @Sendable (PresenceNews) -> Void) {
        state.withLockedValue { $0.cluster = PresenceState.Cluster(shares: shares, tell: tell) }
    }

    /// Ends it, and forgets the other nodes without a word.
    func disconnect() {
        state.withLockedValue { state in
            state.cluster = nil
            state.elsewhere = [:]
            state.elsewhereCount = 0
        }
    }

    /// Has a heartbeat told, in its place among the changes.
    func tellBeat(to node: UInt64?) { change { $0.news.append(.cluster(.beat(number: $0.number, to: node))) } }

    /// Has all who are here told, in its place among the changes.
    func tellState(to node: UInt64) {
        change { state in
            let here = state.here
            let shares = state.cluster?.shares
            // A copy is made only if something changes before it is told.
            let entries: @Sendable () -> [PresenceEntry] = {
                here.filter { shares?($0.key) ?? false }
                    .flatMap { topic, records in records.values.map { PresenceEntry(topic: topic, member: $0.member) } }
            }
            state.news.append(.cluster(.state(entries, number: state.number, to: node)))
        }
    }

    /// Something has changed with another node.
    func apply(_ change: PresenceChange, of node: UInt64) {
        self.change { state in
            switch change {
            case .came(let entry): state.put(entry, node)
            case .went(let topic, let id): state.take(topic, id, node)
            }
        }
    }

    /// All who are there with another node.
    func replace(_ entries: [PresenceEntry], of node: UInt64) {
        change { state in
            var new: [String: Set<String>] = [:]
            for entry in entries { new[entry.topic, default: []].insert(entry.member.id) }
            // Who stays is not gone in between.
            for entry in entries { state.put(entry, node) }
            for (topic, members) in state.elsewhere[node] ?? [:] {
                for id in members.keys where new[topic]?.contains(id) != true { state.take(topic, id, node) }
            }
        }
    }

    /// Another node is gone, and all who were there with it.
    func forget(_ node: UInt64) { replace([], of: node) }

    // MARK: Telling

    /// Changes who is there, and tells of it: outside the lock, as the observer may ask who is there; and one thread at a time, so that
    /// nobody hears of a leave before the join.
    private func change(_ body: (inout PresenceState) -> Void) {
        let isMine = state.withLockedValue { state in
            body(&state)
            guard !state.news.isEmpty, !state.isTelling else { return false }
            state.isTelling = true
            return true
        }
        if isMine { tell() }
    }

    private func tell() {
        while let (news, observer, cluster) = nextNews() {
            for each in news {
                switch each {
                case .event(let event): observer?(event)
                case .cluster(let news): cluster?.tell(news)
                }
            }
        }
    }

    private func nextNews() -> ([PresenceState.News], (@Sendable (PresenceEvent) -> Void)?, PresenceState.Cluster?)? {
        state.withLockedValue { state in
            guard !state.news.isEmpty else {
                state.isTelling = false
                return nil
            }
            defer { state.news = [] }
            return (state.news, state.observer, state.cluster)
        }
    }
}
