// What a connection has to say and the transport has not taken yet: whole frames, in order.
//
// Small frames are copied one behind another into one buffer, so that a burst leaves in one write; a large payload that needs no mask is
// passed on as it is. Control frames can go before what waits, as the boundaries between buffers are boundaries between frames.

import NIOCore
import WebSocketCore

struct Outbox {
    /// Payloads from this size on are not copied: below it, a copy costs less than a second entry in a vectored write.
    static let shareThreshold = 32_768
    /// A buffer that is longer than this is sealed: growing it further would copy it.
    private static let sealThreshold = 65_536

    private var sealed = CircularBuffer<ByteBuffer>(initialCapacity: 0)
    private var tail: ByteBuffer?
    /// The bytes that wait.
    private(set) var byteCount = 0

    var isEmpty: Bool { byteCount == 0 }

    /// Adds a frame; the payload of a client is masked on the way.
    @inline(__always)
    mutating func append(_ header: FrameHeader, _ payload: ByteBuffer, _ thread: EventThread) {
        let length = payload.readableBytes
        byteCount += header.encodedLength + length
        var buffer = tail.take() ?? thread.takeBuffer()
        buffer.writeFrameHeader(header)
        if length >= Self.shareThreshold && header.maskKey == nil {
            sealed.append(buffer)
            sealed.append(payload)
            return
        }
        buffer.writeMasked(payload, key: header.maskKey)
        keep(buffer)
    }

    /// Adds a frame that was encoded before.
    mutating func append(encoded frame: ByteBuffer, _ thread: EventThread) {
        byteCount += frame.readableBytes
        if frame.readableBytes >= Self.shareThreshold {
            if let buffer = tail.take() { sealed.append(buffer) }
            sealed.append(frame)
        } else {
            var buffer = tail.take() ?? thread.takeBuffer()
            buffer.writeImmutableBuffer(frame)
            keep(buffer)
        }
    }

    @inline(__always)
    private mutating func keep(_ buffer: ByteBuffer) {
        if buffer.readableBytes < Self.sealThreshold { tail = buffer } else { sealed.append(buffer) }
    }

    /// Takes the next bytes to write.
    @inline(__always)
    mutating func next() -> ByteBuffer? {
        guard let buffer = sealed.popFirst() ?? tail.take() else { return nil }
        byteCount -= buffer.readableBytes
        return buffer
    }

    /// Forgets what waits: the connection fails, or its reader is given up.
    mutating func removeAll() { self = Outbox() }
}

extension ByteBuffer {
    /// Writes a payload, masked if there is a key (RFC 6455 §5.3).
    @inline(__always)
    mutating func writeMasked(_ payload: ByteBuffer, key: UInt32?) {
        let start = readableBytes
        writeImmutableBuffer(payload)
        guard let key else { return }
        withUnsafeMutableReadableBytes { bytes in
            Masking.apply(key: key, offset: 0, to: UnsafeMutableRawBufferPointer(rebasing: bytes[start...]))
        }
    }
}
