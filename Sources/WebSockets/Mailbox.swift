// What other threads have published and a thread has not looked at yet, and what becomes of it when that is too much.
//
// Nobody waits for room in it: a thread that waited for another one could wait for ever, as that one may be waiting for it. What is over the
// limit is dropped, and the thread hears of it: it knows its subscribers and their policies. What is kept is what these can still use: the
// latest of each topic and key, and of the others the newest.

import NIOConcurrencyHelpers
import NIOCore
import Synchronization

/// What other threads have published, changed and sent, and this one has not yet looked at; in one order.
final class Mailbox: Sendable {
    enum Entry: Sendable {
        case delivery(Delivery)
        /// A change of who has subscribed to what, or something that is sent to one connection.
        case work(@Sendable () -> Void)
    }

    /// What has come since the thread last looked.
    struct Content: Sendable {
        fileprivate(set) var missed = MissedDeliveries()
        fileprivate(set) var entries: [Entry] = []
        /// What the deliveries among them hold.
        fileprivate(set) var bytes = 0
    }

    private let content = NIOLockedValueBox(Content())
    private let limit: Int
    /// How many subscriptions the thread has, those included that are on their way: to one that has none, nothing is sent.
    let subscriptions = Atomic<Int>(0)

    /// - Parameter limit: the most bytes that wait; a message that is longer may wait alone.
    init(limit: Int) { self.limit = limit }

    // The mailbox does not know its thread: with a weak reference to it, each retain of the thread, of which a message takes several, would go
    // by a side table.

    /// - Parameter thread: the mailbox's own.
    func post(_ delivery: Delivery, waking thread: EventThread) {
        guard subscriptions.load(ordering: .relaxed) > 0 else { return }
        post(thread) { content in
            content.entries.append(.delivery(delivery))
            content.bytes += delivery.size
            if content.bytes > limit { content.shrink(to: limit / 2) }
        }
    }

    /// Has a change made; what is posted after it finds it made.
    func post(waking thread: EventThread, _ change: @escaping @Sendable () -> Void) {
        subscriptions.add(1, ordering: .relaxed)
        post(thread) { content in
            content.entries.append(
                .work {
                    change()
                    self.subscriptions.subtract(1, ordering: .relaxed)
                })
        }
    }

    /// Has something done in its turn; whoever posts it sees to it that it has a limit.
    func post(work: @escaping @Sendable () -> Void, waking thread: EventThread) { post(thread) { $0.entries.append(.work(work)) } }

    private func post(_ thread: EventThread, _ add: (inout Content) -> Void) {
        let isFirst = content.withLockedValue { content in
            defer {
                add(&content)
                thread.hasMail.store(true, ordering: .releasing)
            }
            return content.entries.isEmpty
        }
        // One wake-up for a batch.
        if isFirst { thread.performLater { thread.topics?.wake() } }
    }

    /// Takes all there is; nil if there is nothing.
    ///
    /// - Parameter thread: the mailbox's own.
    func takeAll(of thread: EventThread) -> Content? {
        content.withLockedValue { content in
            guard !content.entries.isEmpty else { return nil }
            defer { content = Content() }
            thread.hasMail.store(false, ordering: .relaxed)
            return content
        }
    }
}

extension Mailbox.Content {
    /// Drops deliveries until the rest fits, or only one is left. As half of what there may be goes at a time, a message costs no more for it.
    fileprivate mutating func shrink(to target: Int) {
        var keeps = entries.map { $0.delivery == nil }
        var left = target
        // The latest message of a topic and key is never said again; who keeps only the latest needs no other.
        var keys: Set<DeliveryKey> = []
        for (index, entry) in entries.enumerated().reversed() {
            guard let delivery = entry.delivery, keys.insert(DeliveryKey(delivery)).inserted else { continue }
            guard delivery.size <= left || left == target else { break }
            keeps[index] = true
            left -= delivery.size
        }
        for (index, entry) in entries.enumerated().reversed() where !keeps[index] {
            guard let delivery = entry.delivery, delivery.size <= left else { break }
            keeps[index] = true
            left -= delivery.size
        }
        for (index, entry) in entries.enumerated() where !keeps[index] { if let delivery = entry.delivery { missed.add(delivery) } }
        entries = zip(entries, keeps).filter(\.1).map(\.0)
        bytes = target - left
    }
}

extension Mailbox.Entry {
    fileprivate var delivery: Delivery? { if case .delivery(let delivery) = self { delivery } else { nil } }
}

private struct DeliveryKey: Hashable {
    let topic: String
    let key: String?

    init(_ delivery: Delivery) { (topic, key) = (delivery.topic, delivery.key) }
}

/// What was published to the subscribers of a thread and dropped before it saw it.
struct MissedDeliveries: Sendable {
    struct Topic: Sendable {
        /// How many messages.
        var count = 0
        /// The one connection that was to get none of them.
        var except: WebSocket?
    }

    private(set) var topics: [String: Topic] = [:]
    /// How many messages of other topics there were than those that were counted.
    private(set) var others = 0

    /// How many topics are told apart: 1,000. Names may be anybody's, and are counted only where somebody is behind.
    private static let maxTopics = 1000

    var isEmpty: Bool { topics.isEmpty && others == 0 }

    fileprivate mutating func add(_ delivery: Delivery) {
        guard var topic = topics[delivery.topic] ?? (topics.count < Self.maxTopics ? Topic(except: delivery.except) : nil) else {
            others += 1
            return
        }
        topic.count += 1
        if topic.except !== delivery.except { topic.except = nil }
        topics[delivery.topic] = topic
    }
}
