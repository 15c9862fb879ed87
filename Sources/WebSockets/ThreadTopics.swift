// The subscribers of one thread, and what is said to them.
//
// A turn's messages to one topic are collected into one piece of memory, the burst, and leave to each subscriber in one write from there:
// a message costs a copy a thread, not a copy a subscriber. A burst ends with the turn, and before anything that must not overtake it: a
// message to another topic, a message to one of its subscribers alone, a change of who they are.

import NIOCore
import PubSub
import Synchronization
import WebSocketCore
import WebSocketDeflate

/// The subscribers of one thread; confined to it but for the mailbox.
///
/// `@exclusivity(unchecked)`: no foreign code runs while one of these variables is being changed.
final class ThreadTopics {
    let broker: TopicBroker
    let mailbox: Mailbox
    private unowned let thread: EventThread
    @exclusivity(unchecked) private var table = SubscriptionTable<WebSocket>()
    @exclusivity(unchecked) private var burst: Burst?
    /// The last publication that several channels shared.
    @exclusivity(unchecked) private var publications = 0

    /// From this size on, a burst leaves before the turn's end: more would not fit the processor's caches.
    private static let maxBurstBytes = 65_536

    init(broker: TopicBroker, thread: EventThread) {
        self.broker = broker
        self.thread = thread
        mailbox = Mailbox { [weak thread] in
            guard let thread else { return }
            thread.performLater { thread.topics?.emptyMailbox() }
        }
    }

    // MARK: Subscribers

    func add(_ membership: Membership<WebSocket>, to filter: TopicFilter, policy: SlowConsumerPolicy) {
        distribute()
        let change = table.add(membership, to: filter, policy: policy)
        if change != .none { mailbox.subscriptions.add(1, ordering: .relaxed) }
        if change == .channel { broker.interest?.add(filter) }
    }

    func remove(_ membership: Membership<WebSocket>, from filter: TopicFilter) {
        distribute()
        let change = table.remove(membership, from: filter)
        if change != .none { mailbox.subscriptions.subtract(1, ordering: .relaxed) }
        if change == .channel { broker.interest?.remove(filter) }
    }

    func removeAll(_ membership: Membership<WebSocket>) {
        mailbox.subscriptions.subtract(membership.count, ordering: .relaxed)
        for filter in table.removeAll(membership) { broker.interest?.remove(filter) }
    }

    func subscriberCount(of topic: String) -> Int {
        switch table.channels(of: topic) {
        case .none: 0
        case .one(let channel): channel.places.count
        case .many(let channels): Set(channels.flatMap { $0.places.map { ObjectIdentifier($0.member) } }).count
        }
    }

    // MARK: Publications

    /// Takes what other threads have published.
    private func emptyMailbox() {
        for delivery in mailbox.takeAll() { deliver(delivery) }
    }

    /// Takes what was published on this thread; after what others have published before, as their publisher may be this one's task, which
    /// has come over since.
    func publish(_ delivery: Delivery) {
        emptyMailbox()
        deliver(delivery)
    }

    private func deliver(_ delivery: Delivery) {
        thread.beginTurn()
        switch table.channels(of: delivery.topic) {
        case .none: break
        case .one(let channel):
            if delivery.except == nil { return collect(delivery, channel) }
            distribute()
            for place in channel.places where place.member !== delivery.except { place.member.take(delivery, place.policy) }
        case .many(let channels):
            distribute()
            deliverOnce(delivery, channels)
        }
    }

    /// Delivers to the subscribers of several channels, once to each.
    private func deliverOnce(_ delivery: Delivery, _ channels: [SubscriberList<WebSocket>]) {
        publications += 1
        for channel in channels {
            for place in channel.places where place.membership.lastPublication != publications && place.member !== delivery.except {
                place.membership.lastPublication = publications
                place.member.take(delivery, place.policy)
            }
        }
    }

    private func collect(_ delivery: Delivery, _ channel: SubscriberList<WebSocket>) {
        if let burst, burst.channel !== channel { distribute() }
        if burst == nil {
            burst = Burst(channel, memory: thread.takeWriteBuffer(capacity: delivery.prepared.frame.readableBytes))
            thread.hasBurst = true
        }
        burst?.append(delivery)
        if let burst, burst.bytes.readableBytes >= Self.maxBurstBytes { distribute() }
    }

    // MARK: The burst

    /// Has what was collected wait for each subscriber, before something else that is said to it.
    func distribute() {
        guard let burst = takeBurst() else { return }
        for place in burst.channel.places {
            for delivery in burst.deliveries { place.member.take(delivery, place.policy) }
        }
    }

    /// Writes what was collected to each subscriber that waits for nothing else; at the turn's end.
    func write() {
        guard var burst = takeBurst() else { return }
        // A value of its own: who is told that a connection has ended may have others subscribe.
        for place in burst.channel.places where !place.member.write(&burst) {
            for delivery in burst.deliveries { place.member.take(delivery, place.policy) }
        }
        thread.giveBackWriteBuffer(burst.bytes)
    }

    private func takeBurst() -> Burst? {
        guard thread.hasBurst else { return nil }
        thread.hasBurst = false
        return burst.take()
    }
}

/// The messages that a turn has brought to one topic.
struct Burst {
    let channel: SubscriberList<WebSocket>
    private(set) var deliveries: [Delivery] = []
    /// Their frames.
    private(set) var bytes: ByteBuffer
    /// Their payloads' length together.
    private(set) var payloadBytes = 0
    /// The frames for those who take some of them compressed.
    private var compressed: [(key: CompressedFrames.Key, threshold: Int, bytes: ByteBuffer)] = []

    init(_ channel: SubscriberList<WebSocket>, memory: ByteBuffer) {
        self.channel = channel
        bytes = memory
    }

    mutating func append(_ delivery: Delivery) {
        deliveries.append(delivery)
        bytes.writeImmutableBuffer(delivery.prepared.frame)
        payloadBytes += delivery.payloadLength
    }

    /// The frames for a connection; nil if they are for it alone, as its compressor remembers what it has sent.
    mutating func bytes(for codec: MessageCodec) -> ByteBuffer? {
        guard deliveries.contains(where: { codec.takes($0.prepared.message) }) else { return bytes }
        guard codec.agreement.forgetsSent else { return nil }
        let (key, threshold) = (codec.key, codec.agreement.compression.threshold)
        if let known = compressed.first(where: { $0.key == key && $0.threshold == threshold }) { return known.bytes }
        var frames = ByteBuffer()
        for delivery in deliveries {
            let prepared = delivery.prepared
            let frame = codec.takes(prepared.message) ? prepared.compressedFrame(codec) : nil
            frames.writeImmutableBuffer(frame ?? prepared.frame)
        }
        compressed.append((key, threshold, frames))
        return frames
    }
}
