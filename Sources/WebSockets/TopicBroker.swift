// The topics of a server: a publication crosses to each thread once, and is framed once for all.

import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import PubSub
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

    /// What it holds while it waits, roughly, with the objects that it consists of.
    var size: Int { payloadLength + prepared.frame.readableBytes + topic.utf8.count + 512 }
}

/// The topics of one server, over all its threads.
final class TopicBroker: Sendable {
    let presence = Presence()
    let interest: Interest?
    /// The most bytes that wait for a thread; see `WebSocketServer.Configuration.maxPublicationBacklog`.
    let maxBacklog: Int
    private let backplane: (any Backplane)?
    private let cluster: TopicCluster?
    private let threads = NIOLockedValueBox<[EventThread]>([])

    init(backplane: (any Backplane)?, heartbeat: Duration = .seconds(5), maxBacklog: Int = 33_554_432) {
        self.backplane = backplane
        cluster = backplane.map { [presence] in
            TopicCluster($0, presence, heartbeat: TimeAmount(heartbeat), on: MultiThreadedEventLoopGroup.singleton.next())
        }
        self.maxBacklog = maxBacklog
        interest = backplane.map { Interest($0) }
    }

    // MARK: A run of the server

    /// Takes the threads whose connections may subscribe.
    func attach(_ threads: [EventThread]) { self.threads.withLockedValue { $0 = threads } }

    /// Begins to hear other nodes.
    func start() async throws {
        try await backplane?.start { [weak self] in self?.receive($0) }
        cluster?.start { [weak self] in await self?.subscribersHere(of: $0) ?? 0 }
    }

    /// Forgets the threads, before they end.
    func detach() { threads.withLockedValue { $0 = [] } }

    func stop() async {
        cluster?.stop()
        await backplane?.stop()
    }

    // MARK: Publish

    /// Delivers a message to the subscribers on this node, and hands it to the others.
    func publish(_ prepared: PreparedMessage, to topic: String, key: String?, except: WebSocket?, isLocal: Bool = false) {
        deliver(Delivery(topic: topic, key: key, prepared: prepared, except: except))
        guard !isLocal, let backplane, !ClusterMessage.isReserved(topic) else { return }
        let message = prepared.message
        backplane.publish(Publication(topic: topic, payload: message.payload, isText: message.kind == .text, key: key))
    }

    /// Another node has published.
    private func receive(_ publication: Publication) {
        if cluster?.take(publication) == true { return }
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

    /// How many connections a message to a topic would go to, on all nodes.
    func subscriberCount(of topic: String) async -> Int {
        async let elsewhere = cluster?.countElsewhere(topic) ?? 0
        let here = await subscribersHere(of: topic)
        return await here + elsewhere
    }

    private func subscribersHere(of topic: String) async -> Int { await ask { $0.subscriberCount(of: topic) } }

    /// Waits until each thread has delivered what was published before.
    func waitUntilDelivered() async {
        _ = await ask { topics in
            topics.wake()
            return 0
        }
    }

    /// Asks each thread, and sums up.
    private func ask(_ question: @escaping @Sendable (ThreadTopics) -> Int) async -> Int {
        await withCheckedContinuation { continuation in
            // Under the lock: a thread is asked before it is told to end, or not at all.
            threads.withLockedValue { threads in
                guard !threads.isEmpty else { return continuation.resume(returning: 0) }
                let answers = NIOLockedValueBox((missing: threads.count, sum: 0))
                for thread in threads {
                    thread.performLater {
                        let answer = thread.topics.map(question) ?? 0
                        let all = answers.withLockedValue { answers in
                            answers.missing -= 1
                            answers.sum += answer
                            return answers
                        }
                        if all.missing == 0 { continuation.resume(returning: all.sum) }
                    }
                }
            }
        }
    }
}
