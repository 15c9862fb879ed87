// The subscribers of one thread, and what is said to them.
//
// A turn's messages to one topic are collected into one piece of memory, the burst, and leave to each subscriber in one write from there:
// a message costs a copy a thread, not a copy a subscriber. A burst ends with the turn, and before anything that must not overtake it: a
// message to another topic, a message to one of its subscribers alone, a change of who they are.

import CDuplexLinux
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
    /// Whether a burst is being written, or mail gone through: what comes meanwhile waits in the mailbox.
    @exclusivity(unchecked) private var isBusy = false

    /// From this size on, a burst leaves before the turn's end: more would not fit the processor's caches.
    private static let maxBurstBytes = 65_536

    init(broker: TopicBroker, mailbox: Mailbox, thread: EventThread) {
        self.broker = broker
        self.thread = thread
        self.mailbox = mailbox
    }

    // MARK: Subscribers

    func add(_ membership: Membership<WebSocket>, to filter: TopicFilter, policy: SlowConsumerPolicy) {
        distribute()
        let change = table.add(membership, to: filter, policy: policy)
        if change != .none { mailbox.subscriptions.add(1, ordering: .relaxed) }
        if change == .channel && !filter.isGroup { broker.interest?.add(filter) }
    }

    func remove(_ membership: Membership<WebSocket>, from filter: TopicFilter) {
        distribute()
        let change = table.remove(membership, from: filter)
        if change != .none { mailbox.subscriptions.subtract(1, ordering: .relaxed) }
        if change == .channel && !filter.isGroup { broker.interest?.remove(filter) }
    }

    func removeAll(_ membership: Membership<WebSocket>) {
        mailbox.subscriptions.subtract(membership.count, ordering: .relaxed)
        for filter in table.removeAll(membership) where !filter.isGroup { broker.interest?.remove(filter) }
    }

    func subscriberCount(of topic: String) -> Int {
        switch table.channels(of: topic) {
        case .none: 0
        case .one(let list): list.places.count
        case .many(let lists): Set(lists.flatMap { $0.places.map { ObjectIdentifier($0.member) } }).count
        }
    }

    // MARK: Publications

    /// Looks into the mailbox, where no handler is running: what comes together is written as it adds up.
    func wake() {
        emptyMailbox(writing: true)
    }

    /// Takes what other threads have published, changed and sent; false if that has to wait, as this thread is in the middle of doing so.
    @discardableResult
    func emptyMailbox(writing: Bool = false) -> Bool {
        guard !isBusy else { return false }
        guard thread.hasMail.load(ordering: .acquiring) else { return true }
        isBusy = true
        if let content = mailbox.takeAll(of: thread) {
            if !content.missed.isEmpty { tell(content.missed) }
            for entry in content.entries {
                take(entry)
                if writing, mustWrite { thread.writeNow() }
            }
        }
        isBusy = false
        return true
    }

    /// Whether so much has come together that it is written before the turn's end.
    private var mustWrite: Bool {
        thread.pendingBytes >= Self.maxBurstBytes || (burst?.bytes.readableBytes ?? 0) >= Self.maxBurstBytes / 2
    }

    private func take(_ entry: Mailbox.Entry) {
        switch entry {
        case .delivery(let delivery): deliver(delivery)
        case .work(let work): thread.inTurn(work)
        }
    }

    /// Tells the subscribers of what they will not get.
    @inline(never)
    private func tell(_ missed: MissedDeliveries) {
        distribute()
        for (name, topic) in missed.topics { tell(topic, name) }
        // Nobody knows any more who has missed something: whoever must not miss anything unknowingly is told.
        if missed.others > 0 { for socket in thread.openSockets where socket.mustMissNothing { socket.miss(1, .close) } }
    }

    private func tell(_ missed: MissedDeliveries.Topic, _ name: String) {
        let lists: [SubscriberList<WebSocket>] =
            switch table.channels(of: name) {
            case .none: []
            case .one(let list): [list]
            case .many(let lists): lists
            }
        publications += 1
        for list in lists {
            for place in list.places where place.membership.lastPublication != publications && place.member !== missed.except {
                place.membership.lastPublication = publications
                place.member.miss(missed.count, place.policy)
            }
        }
    }

    /// Takes what was published on this thread; after what others have published before, as their publisher may be this one's task, which
    /// has come over since.
    func publish(_ delivery: Delivery) {
        // Somebody who was told that a connection has ended, as a write to it failed, says something: the others are still to get the burst.
        if emptyMailbox() { deliver(delivery) } else { mailbox.post(delivery, waking: thread) }
    }

    private func deliver(_ delivery: Delivery) {
        thread.beginTurn()
        switch table.channels(of: delivery.topic) {
        case .none: break
        case .one(let list): collect(delivery, list)
        case .many(let lists):
            distribute()
            deliverOnce(delivery, lists)
        }
    }

    /// Delivers to the subscribers of several lists, once to each.
    private func deliverOnce(_ delivery: Delivery, _ lists: [SubscriberList<WebSocket>]) {
        publications += 1
        for list in lists {
            for place in list.places where place.membership.lastPublication != publications && place.member !== delivery.except {
                place.membership.lastPublication = publications
                place.member.take(delivery, place.policy)
            }
        }
    }

    private func collect(_ delivery: Delivery, _ list: SubscriberList<WebSocket>) {
        if let burst, burst.list !== list { distribute() }
        if burst == nil {
            burst = Burst(list, memory: thread.takeWriteBuffer(capacity: delivery.prepared.frame.readableBytes))
            thread.hasBurst = true
        }
        burst?.append(delivery)
        delivery.except?.isLeftOut(true, on: thread)
        if let burst, burst.bytes.readableBytes >= Self.maxBurstBytes { distribute() }
    }

    // MARK: The burst

    /// Has what was collected wait for each subscriber, before something else that is said to it.
    func distribute() {
        guard let burst = takeBurst() else { return }
        for place in burst.list.places { burst.hand(to: place) }
        end(burst)
    }

    /// Writes what was collected to each subscriber that waits for nothing else; at the turn's end.
    func write() {
        guard var burst = takeBurst() else { return }
        let wasBusy = isBusy
        isBusy = true
        // The list is a value of its own: who is told that a connection has ended may have others subscribe.
        let places = burst.list.places
        for index in places.indices {
            // A thousand members fill the caches, and each write evicts some more: the next ones' memory is asked for in time.
            if index + 6 < places.count { duplex_prefetch_object(Unmanaged.passUnretained(places[index + 6].member).toOpaque()) }
            // The list keeps them: to retain and release each is a fiftieth of what it takes to write to it.
            let isWritten = Unmanaged.passUnretained(places[index].member)._withUnsafeGuaranteedRef { $0.write(&burst) }
            if !isWritten { burst.hand(to: places[index]) }
        }
        isBusy = wasBusy
        end(burst)
    }

    private func end(_ burst: Burst) {
        for delivery in burst.deliveries { delivery.except?.isLeftOut(false, on: thread) }
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
    let list: SubscriberList<WebSocket>
    private(set) var deliveries: [Delivery] = []
    /// Their frames.
    private(set) var bytes: ByteBuffer
    /// Their payloads' length together.
    private(set) var payloadBytes = 0
    /// The frames for those who take some of them compressed.
    private var compressed: [(key: CompressedFrames.Key, threshold: Int, bytes: ByteBuffer)] = []

    init(_ list: SubscriberList<WebSocket>, memory: ByteBuffer) {
        self.list = list
        bytes = memory
    }

    mutating func append(_ delivery: Delivery) {
        deliveries.append(delivery)
        bytes.writeImmutableBuffer(delivery.prepared.frame)
        payloadBytes += delivery.payloadLength
    }

    /// Hands the messages to one subscriber, each by itself.
    func hand(to place: SubscriberList<WebSocket>.Place) {
        for delivery in deliveries where delivery.except !== place.member { place.member.take(delivery, place.policy) }
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
