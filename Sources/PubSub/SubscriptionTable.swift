// Who has subscribed to what: names in a dictionary, patterns in a trie, one level a step.
//
// Members of a channel lie in one array, as saying something to all of them is what happens most; each membership knows its places in those
// arrays, so that leaving costs the same however many others there are. Confined to one thread.

/// The subscribers of one topic or pattern.
public final class SubscriberList<Member: AnyObject> {
    /// A subscriber's place in a channel.
    public struct Place {
        /// The subscriber.
        public let member: Member
        /// What tells this subscriber's publications apart.
        public let membership: Membership<Member>
        /// What to do when the subscriber is slow.
        public let policy: SlowConsumerPolicy
        /// Which of the membership's entries leads here.
        fileprivate var entry: Int
    }

    /// The topic or the pattern.
    public let filter: TopicFilter
    /// The subscribers, in no order.
    public fileprivate(set) var places: ContiguousArray<Place> = []

    fileprivate init(_ filter: TopicFilter) { self.filter = filter }
}

/// The channels that one subscriber is in.
public final class Membership<Member: AnyObject> {
    fileprivate struct Entry {
        let channel: SubscriberList<Member>
        var place: Int
    }

    fileprivate unowned let member: Member
    fileprivate var entries: [Entry] = []
    /// The last publication that was given to the subscriber by several channels.
    public var lastPublication = 0

    /// Makes the membership of a subscriber, which holds it.
    public init(_ member: Member) { self.member = member }

    /// How many channels there are.
    public var count: Int { entries.count }

    /// Their topics and patterns, in no order.
    public var filters: [TopicFilter] { entries.map { $0.channel.filter } }
}

/// The topics and patterns of a thread, and their subscribers.
public struct SubscriptionTable<Member: AnyObject> {
    private var topics: [String: SubscriberList<Member>] = [:]
    private var patterns = PatternNode<Member>()
    private var patternCount = 0

    /// Makes a table without subscribers.
    public init() {}

    /// How many topics and patterns have subscribers.
    public var count: Int { topics.count + patternCount }

    // MARK: Subscribers

    /// What came of a change.
    public enum Change: Sendable, Hashable {
        /// There was nothing to change.
        case none
        /// A subscriber came to others, or left others behind.
        case member
        /// The first one came, or the last one left.
        case channel
    }

    /// Adds a subscriber to a topic or pattern; one that is there already gets the new policy.
    @discardableResult
    public mutating func add(_ membership: Membership<Member>, to filter: TopicFilter, policy: SlowConsumerPolicy) -> Change {
        let (channel, isNew) = openChannel(filter)
        if let entry = membership.entries.first(where: { $0.channel === channel }) {
            let old = channel.places[entry.place]
            channel.places[entry.place] = .init(member: old.member, membership: membership, policy: policy, entry: old.entry)
            return .none
        }
        channel.places.append(.init(member: membership.member, membership: membership, policy: policy, entry: membership.entries.count))
        membership.entries.append(.init(channel: channel, place: channel.places.count - 1))
        return isNew ? .channel : .member
    }

    /// Takes a subscriber from a topic or pattern.
    @discardableResult
    public mutating func remove(_ membership: Membership<Member>, from filter: TopicFilter) -> Change {
        guard let channel = channel(filter), let index = membership.entries.firstIndex(where: { $0.channel === channel }) else {
            return .none
        }
        let entry = membership.entries[index]
        leave(entry)
        // The last entry takes the free place, and its own place in its channel must know.
        let last = membership.entries.removeLast()
        if index < membership.entries.count {
            membership.entries[index] = last
            last.channel.places[last.place].entry = index
        }
        return closeIfEmpty(channel) ? .channel : .member
    }

    /// Takes a subscriber from everything; returns what has no subscribers any more.
    public mutating func removeAll(_ membership: Membership<Member>) -> [TopicFilter] {
        let entries = membership.entries
        membership.entries = []
        var closed: [TopicFilter] = []
        for entry in entries {
            leave(entry)
            if closeIfEmpty(entry.channel) { closed.append(entry.channel.filter) }
        }
        return closed
    }

    /// Gives up a place; the last one in the channel takes it.
    private func leave(_ entry: Membership<Member>.Entry) {
        let channel = entry.channel
        let last = channel.places.removeLast()
        guard entry.place < channel.places.count else { return }
        channel.places[entry.place] = last
        last.membership.entries[last.entry].place = entry.place
    }

    // MARK: Channels

    /// The channels that a topic's messages go to.
    @inline(__always)
    public func channels(of topic: String) -> Matches<Member> {
        let exact = topics[topic]
        guard patternCount > 0, !TopicFilter.isReserved(topic) else { return exact.map { .one($0) } ?? .none }
        return withPatterns(topic, exact)
    }

    private func withPatterns(_ topic: String, _ exact: SubscriberList<Member>?) -> Matches<Member> {
        var found = exact.map { [$0] } ?? []
        patterns.collect(TopicPattern.levels(topic)[...], into: &found)
        return found.count > 1 ? .many(found) : found.first.map { .one($0) } ?? .none
    }

    /// The channel of a topic or pattern that somebody has subscribed to.
    public func channel(_ filter: TopicFilter) -> SubscriberList<Member>? {
        switch filter {
        case .topic(let name): topics[name]
        case .pattern(let pattern): patterns.channel(pattern.levels[...])
        }
    }

    private mutating func openChannel(_ filter: TopicFilter) -> (SubscriberList<Member>, isNew: Bool) {
        if let channel = channel(filter) { return (channel, false) }
        let channel = SubscriberList<Member>(filter)
        switch filter {
        case .topic(let name): topics[name] = channel
        case .pattern(let pattern):
            patternCount += 1
            patterns.insert(channel, at: pattern.levels[...])
        }
        return (channel, true)
    }

    private mutating func closeIfEmpty(_ channel: SubscriberList<Member>) -> Bool {
        guard channel.places.isEmpty else { return false }
        switch channel.filter {
        case .topic(let name): topics[name] = nil
        case .pattern(let pattern):
            patternCount -= 1
            patterns.remove(at: pattern.levels[...])
        }
        return true
    }
}

/// The channels that a topic's messages go to; most often there is one, which costs no array.
public enum Matches<Member: AnyObject> {
    /// Nobody listens.
    case none
    /// One channel.
    case one(SubscriberList<Member>)
    /// Several, whose subscribers may be the same.
    case many([SubscriberList<Member>])
}

/// A level of the patterns.
private final class PatternNode<Member: AnyObject> {
    /// The channel of the pattern that ends here.
    private var channel: SubscriberList<Member>?
    private var children: [Substring: PatternNode] = [:]

    private var isEmpty: Bool { channel == nil && children.isEmpty }

    func channel(_ levels: ArraySlice<Substring>) -> SubscriberList<Member>? {
        guard let level = levels.first else { return channel }
        return children[level]?.channel(levels.dropFirst())
    }

    func insert(_ channel: SubscriberList<Member>, at levels: ArraySlice<Substring>) {
        guard let level = levels.first else {
            self.channel = channel
            return
        }
        let child = children[level] ?? PatternNode()
        children[level] = child
        child.insert(channel, at: levels.dropFirst())
    }

    func remove(at levels: ArraySlice<Substring>) {
        guard let level = levels.first else {
            channel = nil
            return
        }
        guard let child = children[level] else { return }
        child.remove(at: levels.dropFirst())
        if child.isEmpty { children[level] = nil }
    }

    func collect(_ levels: ArraySlice<Substring>, into found: inout [SubscriberList<Member>]) {
        if let all = children["#"]?.channel { found.append(all) }
        guard let level = levels.first else {
            if let channel { found.append(channel) }
            return
        }
        let rest = levels.dropFirst()
        children["+"]?.collect(rest, into: &found)
        // A level that a topic's name has from somebody else's hand may look like a wildcard, and is none.
        if level != "+" && level != "#" { children[level]?.collect(rest, into: &found) }
    }
}
