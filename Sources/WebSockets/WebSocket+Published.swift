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
        guard !isDirty, outbox.isEmpty, transportBytes == 0, isTransportWritable, !hasBacklog, heldPong == nil,
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
        bytesWritten += bytes.readableBytes
        transport.writeAndFlush(bytes)
        isTransportWritable = transport.isWritable
        if transport.bufferedBytes > 0 { updateQueuedBytes() }
    }

    /// Takes a topic's message, as the subscription's policy has it.
    func take(_ delivery: Delivery, _ policy: SlowConsumerPolicy) {
        guard readyState == .open else { return }
        let size = delivery.prepared.frame.readableBytes
        let waiting = waitingBytes + deferredBytes
        switch policy {
        case .close:
            if waiting == 0 || waiting + size <= configuration.maxSendBuffer { return enqueue(delivery.prepared) }
            thread.tally.sendsDropped += 1
            cutOffSlowReader()
        // Behind what waits already, even if there is room again: a topic's messages keep their order.
        case .dropNewest where waiting <= configuration.sendHighWaterMark,
            .dropOldest where waiting <= configuration.sendHighWaterMark && !hasBacklog,
            .latest where waiting <= configuration.sendHighWaterMark && !hasBacklog:
            enqueue(delivery.prepared)
        case .dropNewest: thread.tally.newestDropped += 1
        case .dropOldest: keep(delivery, size, key: nil, limit: configuration.sendHighWaterMark)
        // As many as there are keys, and the peer may have a say in those.
        case .latest: keep(delivery, size, key: delivery.uniqueKey, limit: configuration.maxSendBuffer)
        }
    }

    /// Has what was published before take its place before what this connection alone is sent now.
    @inline(never)
    func letBurstPass() {
        if topics.load() != nil { thread.topics?.distribute() }
    }

    /// Keeps a message until the peer has taken what waits before it, or until it is dropped.
    private func keep(_ delivery: Delivery, _ size: Int, key: String?, limit: Int) {
        guard let topics = topics.load() else { return }
        hasBacklog = true
        if let key {
            if topics.backlog.replace(delivery, size: size, key: key) { thread.tally.latestReplaced += 1 }
        } else {
            topics.backlog.append(delivery, size: size)
        }
        while topics.backlog.bytes > limit, topics.backlog.count > 1, topics.backlog.popFirst() != nil {
            thread.tally.oldestDropped += 1
        }
    }

    /// Sends what was kept, as far as there is room.
    func sendBacklog() {
        guard let topics = topics.load(), readyState == .open else { return }
        while waitingBytes + deferredBytes <= lowWaterMark, let delivery = topics.backlog.popFirst() { enqueue(delivery.prepared) }
        hasBacklog = !topics.backlog.isEmpty
    }
}

extension Delivery {
    /// What it replaces: a key means something within its topic.
    fileprivate var uniqueKey: String { key.map { "\(topic)\0\($0)" } ?? topic }
}
