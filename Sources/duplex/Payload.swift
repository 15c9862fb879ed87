// What a benchmark sends, and whether what comes is it.

import NIOCore
import WebSocketCore
import WebSockets

/// What a benchmark sends: one message, made once.
struct Payload: Sendable {
    let message: Message
    let size: Int
    /// The first bytes, as far as there are eight.
    private let start: UInt64
    /// Marks the messages of this run: others may be talking to the same server.
    let mark: UInt32

    init(size: Int, mark: UInt32) {
        var bytes = ByteBufferAllocator().buffer(capacity: size)
        bytes.writeInteger(mark)
        while bytes.readableBytes < size { bytes.writeInteger(UInt8(ascii: "a") + UInt8(bytes.readableBytes % 26)) }
        bytes.moveWriterIndex(to: size)
        message = .binary(bytes)
        self.size = size
        self.mark = mark
        start = Self.start(bytes)
    }

    @inline(__always)
    private static func start(_ bytes: ByteBuffer) -> UInt64 { bytes.getInteger(at: bytes.readerIndex) ?? 0 }

    /// Whether a message is what was sent: its kind, its length and its first bytes.
    @inline(__always)
    func isEcho(_ other: Message) -> Bool {
        other.kind == .binary && other.payload.readableBytes == size && Self.start(other.payload) == start
    }

    /// How a message differs, in words.
    func difference(_ other: Message) -> String {
        let kind = other.kind == .binary ? "binary" : "text"
        let length = other.payload.readableBytes
        if isEcho(other) { return "\(length) bytes came back twice" }
        if length == size && other.kind == .binary { return "\(length) bytes came back changed" }
        return "\(size) bytes went out binary, \(length) came back \(kind)"
    }
}

/// What is said to everyone: the run's mark, who says it, and when it was due.
enum Broadcasts {
    static let minSize = 16

    static func message(_ payload: Payload, publisher: Int, due: UInt64) -> Message {
        var bytes = payload.message.payload
        bytes.setInteger(UInt32(truncatingIfNeeded: publisher), at: bytes.readerIndex + 4)
        bytes.setInteger(due, at: bytes.readerIndex + 8)
        return .binary(bytes)
    }

    /// Nil for what nobody of this run has said.
    @inline(__always)
    static func parse(_ message: Message, _ payload: Payload) -> (publisher: Int, due: UInt64)? {
        let bytes = message.payload
        let start = bytes.readerIndex
        guard bytes.readableBytes == payload.size, bytes.getInteger(at: start) == payload.mark,
            let publisher = bytes.getInteger(at: start + 4, as: UInt32.self), let due = bytes.getInteger(at: start + 8, as: UInt64.self)
        else { return nil }
        return (Int(publisher), due)
    }
}
