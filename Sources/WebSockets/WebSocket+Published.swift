// A topic's messages on their way to one subscriber.

import NIOCore
import PubSub
import Synchronization
import WebSocketCore

extension WebSocket {
    /// Writes a topic's messages at once; false if they have to wait behind something, or be judged one by one.
    @inline(__always)
    func write(_ burst: inout Burst) -> Bool {
        guard readyState == .open, let transport else { return true }
        guard !isDirty, outbox.isEmpty, transportBytes == 0, isTransportWritable, !hasBacklog, !isLeftOut, heldPong == nil,
            !connection.isSendingPieces
        else { return false }
        if let codec {
            guard let bytes = burst.bytes(for: codec) else { return false }
            write(bytes, transport)
        } else {
            write(burst.bytes, transport)
        }
        thread.tally.messagesSent += burst.deliveries.count
        thread.tally.bytesSent += burst.payloadBytes
        return true
    }

    @inline(__always)
    private func write(_ bytes: ByteBuffer, _ transport: any Transport) {
        countWritten(bytes.readableBytes)
        transport.writeAndFlush(bytes)
        isTransportWritable = transport.isWritable
        if transport.bufferedBytes > 0 { updateQueuedBytes() }
    }

    /// Takes a topic's message, as the subscription's policy has it.
    func take(_ delivery: Delivery, _ policy: SlowConsumerPolicy) {
        guard readyState == .open else { return }
        let size = delivery.prepared.frame.readableBytes
        if waitingBytes + deferredBytes > configuration.sendHighWaterMark { offer() }
        let waiting = waitingBytes + deferredBytes
        let isSlow = waiting > configuration.sendHighWaterMark
        switch policy {
        case .close:
            if waiting == 0 || waiting + size <= configuration.maxSendBuffer { return enqueue(delivery.prepared) }
            thread.tally.sendsDropped += 1
            cutOffSlowReader()
        case .dropNewest:
            if !isSlow { return enqueue(delivery.prepared) }
            thread.tally.newestDropped += 1
        case .dropOldest:
            // Behind what waits already, even if there is room again: a topic's messages keep their order.
            if !isSlow && topics.load()?.oldestFirst.isEmpty != false { return enqueue(delivery.prepared) }
            keepNewest(delivery.prepared, size + Self.backlogOverhead)
        case .latest:
            if !isSlow && topics.load()?.latest.isEmpty != false { return enqueue(delivery.prepared) }
            keepLatest(delivery.prepared, size + Self.backlogOverhead, key: delivery.uniqueKey)
        }
    }

    /// Does without so many messages of a topic, which the thread did not come to.
    func miss(_ count: Int, _ policy: SlowConsumerPolicy) {
        guard readyState == .open else { return }
        switch policy {
        case .close:
            thread.tally.sendsDropped += count
            cutOffFromBacklog(limit: thread.topics?.broker.maxBacklog ?? 0)
        case .dropNewest: thread.tally.newestDropped += count
        case .dropOldest: thread.tally.oldestDropped += count
        case .latest: thread.tally.latestReplaced += count
        }
        thread.beginTurn()
    }

    /// Whether it is to be closed rather than miss something.
    var mustMissNothing: Bool {
        topics.load()?.wishes.withLock { $0?.values.contains { $0.policy == .close } } == true
    }

    /// Notes, on its own thread, whether it gets all of the burst that is being collected.
    func isLeftOut(_ isLeftOut: Bool, on thread: EventThread) {
        if self.thread === thread { self.isLeftOut = isLeftOut }
    }

    /// What a message that is kept costs beside its bytes, roughly.
    private static var backlogOverhead: Int { 64 }

    /// Gives the transport what this turn has brought: a peer is slow if it does not take it, not before it was asked. On the reactor only,
    /// as NIO may call anybody from within a write.
    private func offer() {
        #if os(Linux)
        if isDirty && isTransportWritable && thread.reactor != nil { flush() }
        #endif
    }

    private func keepNewest(_ message: PreparedMessage, _ size: Int) {
        guard let topics = topics.load() else { return }
        hasBacklog = true
        topics.oldestFirst.append(message, size: size)
        while topics.oldestFirst.bytes > configuration.sendHighWaterMark, topics.oldestFirst.count > 1 {
            _ = topics.oldestFirst.popFirst()
            thread.tally.oldestDropped += 1
        }
    }

    private func keepLatest(_ message: PreparedMessage, _ size: Int, key: String) {
        guard let topics = topics.load() else { return }
        hasBacklog = true
        if topics.latest.replace(message, size: size + key.utf8.count, key: key) { thread.tally.latestReplaced += 1 }
        // There are as many as there are keys, and the peer may have a say in those.
        while topics.latest.bytes > configuration.maxSendBuffer, topics.latest.count > 1 {
            _ = topics.latest.popFirst()
            thread.tally.latestReplaced += 1
        }
    }

    /// Sends what was kept, as far as there is room.
    func sendBacklog() {
        guard let topics = topics.load() else { return }
        while readyState == .open, waitingBytes + deferredBytes <= lowWaterMark,
            let message = topics.oldestFirst.popFirst() ?? topics.latest.popFirst()
        {
            enqueue(message)
        }
        hasBacklog = !topics.oldestFirst.isEmpty || !topics.latest.isEmpty
    }

    /// Has what was published before take its place before what this connection alone is sent now.
    @inline(never)
    func letBurstPass() {
        if topics.load() != nil { thread.topics?.distribute() }
    }
}

extension Delivery {
    /// What it replaces: a key means something within its topic.
    fileprivate var uniqueKey: String { key.map { "\(topic)\0\($0)" } ?? topic }
}
