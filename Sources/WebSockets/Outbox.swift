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
        if length >= Self.shareThreshold && header.maskKey == nil { return share(header, payload, thread) }
        if tail == nil { tail = thread.takeBuffer() }
        tail?.writeFrame(header, payload)
        sealIfLong()
    }

    private mutating func share(_ header: FrameHeader, _ payload: ByteBuffer, _ thread: EventThread) {
        var buffer = tail.take() ?? thread.takeBuffer()
        buffer.writeFrame(header, ByteBuffer())
        sealed.append(buffer)
        sealed.append(payload)
    }

    /// Adds a frame that was encoded before.
    mutating func append(encoded frame: ByteBuffer, _ thread: EventThread) {
        byteCount += frame.readableBytes
        if frame.readableBytes >= Self.shareThreshold {
            if let buffer = tail.take() { sealed.append(buffer) }
            sealed.append(frame)
        } else {
            if tail == nil { tail = thread.takeBuffer() }
            tail?.writeImmutableBuffer(frame)
            sealIfLong()
        }
    }

    @inline(__always)
    private mutating func sealIfLong() {
        guard let length = tail?.readableBytes, length >= Self.sealThreshold, let buffer = tail.take() else { return }
        sealed.append(buffer)
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
    /// Writes a frame, its payload masked if the header has a key (RFC 6455 §5.3).
    @inline(__always)
    mutating func writeFrame(_ header: FrameHeader, _ payload: ByteBuffer) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: FrameHeader.maxEncodedLength + payload.readableBytes) { room in
            let start = header.encode(into: room)
            return payload.withUnsafeReadableBytes { bytes in
                let body = UnsafeMutableRawBufferPointer(rebasing: room[start..<start + bytes.count])
                body.copyMemory(from: bytes)
                if let key = header.maskKey { Masking.apply(key: key, offset: 0, to: body) }
                return start + bytes.count
            }
        }
    }
}
