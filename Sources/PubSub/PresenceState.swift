// What is known of who is where; see Presence.swift, which has it behind a lock.

/// Who is on which topic, here and with other nodes.
struct PresenceState {
    struct Record {
        var member: PresenceMember
        var connections: Int
    }

    enum News {
        case event(PresenceEvent)
        case cluster(PresenceNews)
    }

    /// The way to the other nodes.
    struct Cluster {
        let shares: @Sendable (String) -> Bool
        let tell: @Sendable (PresenceNews) -> Void
    }

    /// The most members of other nodes that are known: 1,000,000, at some 200 bytes each. More are left out.
    static let maxElsewhere = 1_000_000

    var here: [String: [String: Record]] = [:]
    /// Who is there with other nodes, by node and topic.
    var elsewhere: [UInt64: [String: [String: PresenceMember]]] = [:]
    var elsewhereCount = 0
    /// The number of this node's last change that concerns the others.
    var number: UInt64 = 0
    /// What is to be told, and whether somebody is telling it.
    var news: [News] = []
    var isTelling = false
    var observer: (@Sendable (PresenceEvent) -> Void)?
    var cluster: Cluster?

    func isThere(_ topic: String, _ id: String) -> Bool {
        here[topic]?[id] != nil || elsewhere.values.contains { $0[topic]?[id] != nil }
    }

    mutating func note(_ kind: PresenceEvent.Kind, _ topic: String, _ member: PresenceMember) {
        if observer != nil { news.append(.event(PresenceEvent(kind: kind, topic: topic, member: member))) }
    }

    mutating func tell(_ change: PresenceChange) {
        number += 1
        if cluster != nil { news.append(.cluster(.changed(change, number: number))) }
    }

    mutating func put(_ entry: PresenceEntry, _ node: UInt64) {
        let (topic, id) = (entry.topic, entry.member.id)
        let isNew = !isThere(topic, id)
        if elsewhere[node]?[topic]?[id] == nil {
            guard elsewhereCount < Self.maxElsewhere else { return }
            elsewhereCount += 1
        }
        elsewhere[node, default: [:]][topic, default: [:]][id] = entry.member
        if isNew { note(.joined, topic, entry.member) }
    }

    mutating func take(_ topic: String, _ id: String, _ node: UInt64) {
        guard let member = elsewhere[node]?[topic]?.removeValue(forKey: id) else { return }
        elsewhereCount -= 1
        if elsewhere[node]?[topic]?.isEmpty == true { elsewhere[node]?[topic] = nil }
        if elsewhere[node]?.isEmpty == true { elsewhere[node] = nil }
        if !isThere(topic, id) { note(.left, topic, member) }
    }
}
