// Topics, seen from a connection.

import NIOCore
public import PubSub
import Synchronization
public import WebSocketCore

/// What one connection has subscribed to; made with the first subscription.
///
/// `@unchecked Sendable`: `membership`, the backlogs and `shown` are touched only on the connection's thread; the rest is behind a lock.
final class Subscriptions: @unchecked Sendable {
    struct Wish {
        var policy: SlowConsumerPolicy
        var member: PresenceMember?
    }

    /// What the thread has yet to look at.
    enum Changes {
        case filters(Set<TopicFilter>)
        /// More of them than it is worth to tell apart.
        case all
    }

    /// What the connection wants; the thread's table follows.
    let wishes = Mutex<[TopicFilter: Wish]?>([:])
    private let changes = Mutex<Changes>(.filters([]))
    let membership: Membership<WebSocket>
    /// What waits for a slow reader and can still be dropped, by `dropOldest`.
    @exclusivity(unchecked) var oldestFirst = Backlog<PreparedMessage>()
    /// What waits for a slow reader and can still be replaced, by `latest`.
    @exclusivity(unchecked) var latest = Backlog<PreparedMessage>()

    @exclusivity(unchecked) private var isUnsentLimited = false

    /// Who is shown on which topic.
    @exclusivity(unchecked) private(set) var shown: [TopicFilter: String] = [:]

    init(_ socket: WebSocket) { membership = Membership(socket) }

    /// Notes that other threads have changed a wish; false if the thread is to look at it anyway.
    ///
    /// - Parameter limit: how many are told apart. So however often a program changes its mind, what waits for the thread stays little.
    func note(_ filter: TopicFilter, limit: Int) -> Bool {
        changes.withLock { changes in
            guard case .filters(var filters) = changes else { return false }
            changes = .filters([])
            let isNew = filters.insert(filter).inserted
            changes = filters.count > limit ? .all : .filters(filters)
            return isNew
        }
    }

    /// What to look at for a change that was noted: its filter, or all there are and were.
    func takeChange(_ filter: TopicFilter) -> [TopicFilter] {
        let isAll = changes.withLock { changes in
            guard case .filters(var filters) = changes else {
                changes = .filters([])
                return true
            }
            changes = .filters([])
            filters.remove(filter)
            changes = .filters(filters)
            return false
        }
        guard isAll else { return [filter] }
        return Array(Set(membership.filters).union(wishes.withLock { $0.map { Array($0.keys) } } ?? []))
    }

    /// Has what waits for a slow reader wait here, where it can be dropped or replaced, and not with the system.
    func limitUnsent(_ transport: (any Transport)?) {
        guard !isUnsentLimited, let transport else { return }
        isUnsentLimited = true
        transport.limitUnsent()
    }

    /// Shows somebody on a topic, or nobody.
    func show(_ member: PresenceMember?, on filter: TopicFilter, in presence: Presence) {
        let former = shown[filter]
        shown[filter] = member?.id
        // The new one comes before the old one goes: the same member does not leave in between.
        if let member { presence.join(filter.description, member) }
        if let former { presence.leave(filter.description, former) }
    }
}

extension WebSocket {
    // MARK: Any thread

    /// Subscribes to a topic: its messages are sent to this connection's peer from now on. Servers only.
    ///
    /// What is published to several topics and patterns that a connection has subscribed to comes once. Everything ends with the
    /// connection; on one that has ended, nothing happens. A second subscription to the same topic changes the policy and the member.
    ///
    /// - Parameters:
    ///   - topic: any text; `/` separates the levels that patterns see. `+` and `#` are no wildcards here.
    ///   - whenSlow: what becomes of messages when the peer reads too slowly; `ConnectionConfiguration.whenSlow` if nil.
    ///   - member: who is on the topic with this connection, for `WebSocketServer.members(of:)`; nil for nobody.
    /// - Throws: `UsageError` for more than `maxTopics` subscriptions, for a name over `maxTopicLength` bytes or one that begins with U+0000,
    ///   and on a client.
    public func subscribe(_ topic: String, whenSlow: SlowConsumerPolicy? = nil, as member: PresenceMember? = nil) throws(UsageError) {
        guard !TopicFilter.isReserved(topic) else { throw UsageError(.reservedTopic) }
        try subscribe(.topic(topic), Subscriptions.Wish(policy: whenSlow ?? configuration.whenSlow, member: member))
    }

    /// Subscribes to all topics that a pattern takes; see `TopicPattern` and `subscribe(_:whenSlow:as:)`.
    public func subscribe(matching pattern: TopicPattern, whenSlow: SlowConsumerPolicy? = nil) throws(UsageError) {
        try subscribe(.pattern(pattern), Subscriptions.Wish(policy: whenSlow ?? configuration.whenSlow))
    }

    /// Ends a subscription.
    public func unsubscribe(_ topic: String) { unsubscribe(.topic(topic)) }

    /// Ends a subscription.
    public func unsubscribe(matching pattern: TopicPattern) { unsubscribe(.pattern(pattern)) }

    /// The topics and patterns that this connection has subscribed to, in no order.
    public var subscriptions: [TopicFilter] { topics.load()?.wishes.withLock { $0.map { $0.keys.filter { !$0.isGroup } } } ?? [] }

    /// Sends a message to a topic's subscribers, without this connection unless `includingSelf`; see `WebSocketServer.publish`.
    public func publish(_ message: Message, to topic: String, key: String? = nil, includingSelf: Bool = false) {
        thread.topics?.broker.publish(PreparedMessage(message), to: topic, key: key, except: includingSelf ? nil : self)
    }

    private func subscribe(_ filter: TopicFilter, _ wish: Subscriptions.Wish) throws(UsageError) {
        guard thread.topics != nil else { throw UsageError(.topicsOfClient) }
        guard filter.description.utf8.count <= configuration.maxTopicLength else { throw UsageError(.topicTooLong) }
        let topics = topics.load() ?? topics.storeIfNil(Subscriptions(self))
        let limit = configuration.maxTopics
        try topics.wishes.withLock { wishes throws(UsageError) in
            // The connection has ended.
            guard let count = wishes?.count else { return }
            guard count < limit || wishes?[filter] != nil else { throw UsageError(.tooManyTopics) }
            wishes?[filter] = wish
        }
        change(filter)
    }

    /// Joins a group; no limit of topics concerns it, as a group is no client's idea.
    func join(_ group: TopicFilter) {
        let topics = topics.load() ?? topics.storeIfNil(Subscriptions(self))
        topics.wishes.withLock { $0?[group] = Subscriptions.Wish(policy: .close) }
        changeLater(group)
    }

    /// Leaves a group.
    func quit(_ group: TopicFilter) {
        topics.load()?.wishes.withLock { wishes in _ = wishes?.removeValue(forKey: group) }
        changeLater(group)
    }

    private func unsubscribe(_ filter: TopicFilter) {
        guard let topics = topics.load() else { return }
        topics.wishes.withLock { wishes in _ = wishes?.removeValue(forKey: filter) }
        change(filter)
    }

    /// Has the thread's table follow. From elsewhere, by the way that publications take: what is published after this call comes after it.
    private func change(_ filter: TopicFilter) {
        if thread.isCurrent {
            thread.inTurn { reconcile(filter) }
        } else {
            changeLater(filter)
        }
    }

    private func changeLater(_ filter: TopicFilter) {
        guard let topics = topics.load(), topics.note(filter, limit: configuration.maxTopics) else { return }
        thread.topics?.mailbox.post(waking: thread) { for filter in topics.takeChange(filter) { self.reconcile(filter) } }
    }

    // MARK: On the thread

    /// Makes the thread's table what the connection wants. Whatever the order in which wishes from several threads come in, the last look
    /// sees the last of them.
    private func reconcile(_ filter: TopicFilter) {
        guard let topics = topics.load(), let table = thread.topics else { return }
        // The connection has ended, perhaps before its first subscription: nobody would take it out again.
        guard readyState != .closed else { return topics.wishes.withLock { $0 = nil } }
        let wish = topics.wishes.withLock { $0?[filter] }
        if let wish {
            table.add(topics.membership, to: filter, policy: wish.policy)
            if wish.policy != .close { topics.limitUnsent(transport) }
        } else {
            table.remove(topics.membership, from: filter)
        }
        topics.show(wish?.member, on: filter, in: table.broker.presence)
    }

    /// Leaves everything: the connection has ended.
    func leaveTopics() {
        guard let topics = topics.load(), let table = thread.topics else { return }
        topics.wishes.withLock { $0 = nil }
        table.removeAll(topics.membership)
        topics.oldestFirst = Backlog()
        topics.latest = Backlog()
        hasBacklog = false
        for filter in topics.shown.keys { topics.show(nil, on: filter, in: table.broker.presence) }
    }
}
