// What arrives behind a handshake while the HTTP handlers leave the pipeline: the WebSocket's first bytes (RFC 6455 §4.2.2).
//
// NIO's parser stops behind a message that it takes for an upgrade, and this library judges for itself what is one. Where the two disagree
// (the parser does not see an `upgrade` with a tab behind it), it goes on to read HTTP, and what comes up the pipeline is no bytes; to take
// it for some would trap.

import NIOCore

/// The bytes behind a handshake, in order.
struct LeftOver {
    private var buffers = CircularBuffer<ByteBuffer>(initialCapacity: 0)

    /// Keeps what a channel passes on; false if it is not bytes.
    mutating func append(_ data: NIOAny) -> Bool {
        guard let bytes = Unwrapper.bytes(data) else { return false }
        buffers.append(bytes)
        return true
    }

    /// Takes the next bytes.
    mutating func next() -> ByteBuffer? { buffers.popFirst() }
}

extension ChannelInboundHandler {
    /// Unwraps what the channel passes on; nil if it is of another type, on which `unwrapInboundIn` traps.
    ///
    /// Every handler behind one that can leave the pipeline uses this: what such a handler holds back is of another type than what it passes
    /// on while it is there.
    static func part(of data: NIOAny) -> InboundIn? { Unwrapper.value(data) as? InboundIn }
}

/// Looks into what a channel passes on without knowing its type.
private final class Unwrapper: ChannelInboundHandler {
    typealias InboundIn = Any

    static func value(_ data: NIOAny) -> Any { unwrapInboundIn(data) }

    static func bytes(_ data: NIOAny) -> ByteBuffer? {
        guard case .byteBuffer(let bytes) = value(data) as? IOData else { return nil }
        return bytes
    }
}
