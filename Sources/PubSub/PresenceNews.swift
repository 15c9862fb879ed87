// Who is on which topic, as nodes tell each other.

/// A member, and where.
package struct PresenceEntry: Hashable, Sendable {
    package let topic: String
    package let member: PresenceMember

    package init(topic: String, member: PresenceMember) {
        self.topic = topic
        self.member = member
    }
}

/// What has changed on one node.
package enum PresenceChange: Hashable, Sendable {
    /// A member's first connection there has come, or what the others are to know of it has changed.
    case came(PresenceEntry)
    /// A member's last connection there has gone.
    case went(topic: String, id: String)
}

/// What the other nodes are to hear of this one.
enum PresenceNews: Sendable {
    case changed(PresenceChange, number: UInt64)
    case beat(number: UInt64, to: UInt64?)
    case state(@Sendable () -> [PresenceEntry], number: UInt64, to: UInt64)
}
