// The topics of a server: a publication crosses to each thread once, and is framed once for all.

import NIOConcurrencyHelpers
import NIOCore
import PubSub
import Synchronization
import WebSocketCore

/// One publication on its way through the threads of a node.
final class Delivery: Sendable {
    let topic: String
    /// What it replaces for subscribers that keep only the latest.
    let key: String?
    let prepared: PreparedMessage
    /// The one connection that does not get it.
    let except: WebSocket?

    init(topic: String, key: String?, prepared: PreparedMessage, except: WebSocket?) {
        self.topic = topic
        self.key = key
        self.prepared = prepared
        self.except = except
    }

    var payloadLength: Int { prepared.message.payload.readableBytes }
}

/// The topics of one server, over all its threads.
final class TopicBroker: Sendable {
    let presence = Presence()
    let interest: Interest?
    private let backplane: (any Backplane)?
    private let threads = NIOLockedValueBox<[EventThread]>([])

    init(backplane: (any Backplane)?) {
        self.backplane = backplane
        interest = backplane.map { Interest($0) }
    }

    // MARK: A run of the server

    /// Takes the threads whose connections may subscribe.
    func attach(_ threads: [EventThread]) { self.threads.withLockedValue { $0 = threads } }

    /// Begins to hear other nodes.
    func start() async throws { try await backplane?.start { [weak self] in self?.receive($0) } }

    /// Forgets the threads, before they end: what is asked of one that has ended is never answered.
    func detach() { threads.withLockedValue { $0 = [] } }

    func stop() async { await backplane?.stop() }

    // MARK: Publish

    /// Delivers a message to the subscribers on this node, and hands it to the others.
    func publish(_ prepared: PreparedMessage, to topic: String, key: String?, except: WebSocket?) {
        deliver(Delivery(topic: topic, key: key, prepared: prepared, except: except))
        guard let backplane else { return }
        let message = prepared.message
        backplane.publish(Publication(topic: topic, payload: message.payload, isText: message.kind == .text, key: key))
    }

    /// Another node has published.
    private func receive(_ publication: Publication) {
        let message = Message(kind: publication.isText ? .text : .binary, payload: publication.payload)
        deliver(Delivery(topic: publication.topic, key: publication.key, prepared: PreparedMessage(message), except: nil))
    }

    /// Delivers to the subscribers on this node.
    func deliver(_ delivery: Delivery) {
        var here: ThreadTopics?
        for thread in threads.withLockedValue({ $0 }) {
            guard let topics = thread.topics else { continue }
            if thread.isCurrent { here = topics } else { topics.mailbox.post(delivery, waking: thread) }
        }
        // Last: the other threads are awake by the time that this one has gone through its own subscribers.
        here?.publish(delivery)
    }

    // MARK: Questions

    /// How many connections a message to a topic would go to.
    func subscriberCount(of topic: String) async -> Int {
        var sum = 0
        for thread in threads.withLockedValue({ $0 }) {
            sum += await withCheckedContinuation { continuation in
                thread.performLater { continuation.resume(returning: thread.topics?.subscriberCount(of: topic) ?? 0) }
            }
        }
        return sum
    }
}

/// What other threads have published, changed and sent, and this one has not yet looked at; in one order.
final class Mailbox: Sendable {
    enum Entry: Sendable {
        case delivery(Delivery)
        /// A change of who has subscribed to what, or something that is sent to one connection.
        case work(@Sendable () -> Void)
    }

    private let entries = NIOLockedValueBox<[Entry]>([])
    /// Whether there is anything in it. Whoever has posted something finds that there is, on whichever thread it goes on.
    let hasMail = Atomic<Bool>(false)
    /// How many subscriptions the thread has, those included that are on their way: to one that has none, nothing is sent.
    let subscriptions = Atomic<Int>(0)

    // The mailbox does not know its thread: with a weak reference to it, each retain of the thread, of which a message takes several, would go
    // by a side table.

    /// - Parameter thread: the mailbox's own.
    func post(_ delivery: Delivery, waking thread: EventThread) {
        if subscriptions.load(ordering: .relaxed) > 0 { post(.delivery(delivery), thread) }
    }

    /// Has a change made; what is posted after it finds it made.
    func post(waking thread: EventThread, _ change: @escaping @Sendable () -> Void) {
        subscriptions.add(1, ordering: .relaxed)
        post(
            .work {
                change()
                self.subscriptions.subtract(1, ordering: .relaxed)
            }, thread)
    }

    /// Has something done in its turn.
    func post(work: @escaping @Sendable () -> Void, waking thread: EventThread) { post(.work(work), thread) }

    private func post(_ entry: Entry, _ thread: EventThread) {
        let isFirst = entries.withLockedValue { entries in
            entries.append(entry)
            hasMail.store(true, ordering: .releasing)
            return entries.count == 1
        }
        // One wake-up for a batch.
        if isFirst { thread.performLater { thread.topics?.wake() } }
    }

    func takeAll() -> [Entry] {
        entries.withLockedValue { entries in
            defer { entries = [] }
            hasMail.store(false, ordering: .relaxed)
            return entries
        }
    }
}
