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

    /// The same for all connections of one thread.
    package var threadID: ObjectIdentifier { ObjectIdentifier(thread) }

    /// Does something in a turn on the connection's thread, at once if called there.
    package func perform(_ body: @escaping @Sendable () -> Void) { thread.perform(body) }

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
