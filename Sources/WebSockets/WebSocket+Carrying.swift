// What a protocol on top of WebSocket needs of a connection that it uses as its transport.

import NIOCore
import Synchronization
package import WebSocketCore

extension WebSocket {
    /// Whether the caller runs on the connection's thread.
    @inline(__always)
    package var isOnThread: Bool { thread.isCurrent }

    /// The time, as of the thread's present turn; called on the thread.
    package var now: Timestamp { Timestamp(thread.now) }

    /// Does something in a turn on the connection's thread, at once if called there.
    package func perform(_ body: @escaping @Sendable () -> Void) { thread.perform(body) }

    /// Does something on the connection's thread, later, behind all that the caller has said to groups and topics before; it sends so many
    /// bytes.
    ///
    /// - Returns: whether it will; not after a close, nor when more than `maxSendBuffer` bytes wait, which ends the connection.
    package func performInOrder(bytes: Int, _ body: @escaping @Sendable () -> Void) -> Bool {
        guard readyState == .open else { return false }
        guard hasRoom(bytes), !transit.isFull else { return drop() == .sent }
        performInOrder(Transit(bytes: bytes), body)
        return true
    }

    /// Does something on the connection's thread, later, behind all that the caller has said to groups, topics and connections before.
    func performInOrder(_ message: Transit, _ body: @escaping @Sendable () -> Void) {
        let message = message.packed
        inTransit.add(message, ordering: .relaxed)
        let work = { @Sendable in
            self.inTransit.subtract(message, ordering: .relaxed)
            body()
        }
        if let mailbox = thread.mailbox { mailbox.post(work: work, waking: thread) } else { thread.performLater(work) }
    }

    /// Takes what other threads have said before; on the thread. False if that, and what is said now, has to wait for the end of something.
    @inline(__always)
    package func catchUp() -> Bool {
        guard thread.hasMail.load(ordering: .acquiring) else { return true }
        return thread.topics?.emptyMailbox() ?? true
    }

    /// Runs tasks on the connection's thread.
    package var taskExecutor: any TaskExecutor { thread }

    /// Sends a message with a byte before its payload; see `trySend(_:)`. It costs no copy of a long payload.
    @discardableResult
    package func trySend(_ message: Message, after first: UInt8) -> SendResult {
        guard readyState == .open else { return .dropped }
        guard thread.isCurrent, hasRoom(1 + message.payload.readableBytes), connection.role == .server, codec == nil,
            !connection.isSendingPieces
        else { return trySend(message.preceded(by: first)) }
        enqueue(message, after: first)
        return result
    }

    @inline(__always)
    private func enqueue(_ message: Message, after first: UInt8) {
        if thread.hasBurst { letBurstPass() }
        let length = 1 + message.payload.readableBytes
        guard let header = try? connection.send(message.kind, length: length, maskKey: nil) else { return }
        outbox.append(header, first, message.payload, thread)
        count(length)
    }
}

extension Message {
    /// The message with a byte before its payload.
    fileprivate func preceded(by first: UInt8) -> Message {
        var bytes = ByteBufferAllocator().buffer(capacity: 1 + payload.readableBytes)
        bytes.writeInteger(first)
        bytes.writeImmutableBuffer(payload)
        return Message(kind: kind, payload: bytes, compression: compression)
    }
}
