// Memory that frames are collected in before they leave: RFC 6455 §5.2.

import NIOCore
import WebSocketCore

/// Memory that frames are written into, one behind another; confined to the thread that lends it.
///
/// It is not a `ByteBuffer`, as each write to one costs more than a small frame does. `@exclusivity(unchecked)`: no foreign code runs in
/// here.
final class FrameBuffer {
    @exclusivity(unchecked) private var memory: UnsafeMutableRawBufferPointer
    /// The bytes that were written.
    @exclusivity(unchecked) private(set) var count = 0

    init(capacity: Int) { memory = .allocate(byteCount: capacity, alignment: 16) }

    deinit { memory.deallocate() }

    var capacity: Int { memory.count }

    /// What was written; valid until the next write.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }

    func clear() { count = 0 }

    /// Writes a frame; the payload is masked if the header has a key (§5.3).
    @inline(__always)
    func append(_ header: FrameHeader, _ payload: ByteBuffer) {
        payload.withUnsafeReadableBytes { append(header, $0) }
    }

    @inline(__always)
    func append(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer) {
        reserve(FrameHeader.maxEncodedLength + payload.count)
        let room = UnsafeMutableRawBufferPointer(rebasing: memory[count...])
        // Most headers are of two bytes; the call that writes any other costs as much as all else here.
        if let short = header.shortForm {
            room.storeBytes(of: short, as: UInt16.self)
            UnsafeMutableRawBufferPointer(rebasing: room[2...]).copyMemory(from: payload)
            count &+= 2 &+ payload.count
            return
        }
        let start = header.encode(into: room)
        let body = UnsafeMutableRawBufferPointer(rebasing: room[start..<start + payload.count])
        body.copyMemory(from: payload)
        if let key = header.maskKey { Masking.apply(key: key, offset: 0, to: body) }
        count += start + payload.count
    }

    /// Writes a frame that is not masked, whose payload is a byte and what follows it.
    @inline(__always)
    func append(_ header: FrameHeader, _ first: UInt8, _ rest: UnsafeRawBufferPointer) {
        reserve(FrameHeader.maxEncodedLength + 1 + rest.count)
        let room = UnsafeMutableRawBufferPointer(rebasing: memory[count...])
        let start = header.encode(into: room)
        room[start] = first
        UnsafeMutableRawBufferPointer(rebasing: room[(start + 1)..<(start + 1 + rest.count)]).copyMemory(from: rest)
        count += start + 1 + rest.count
    }

    /// Writes bytes as they are.
    func append(_ encoded: ByteBuffer) {
        encoded.withUnsafeReadableBytes { bytes in
            reserve(bytes.count)
            UnsafeMutableRawBufferPointer(rebasing: memory[count...]).copyMemory(from: bytes)
            count += bytes.count
        }
    }

    @inline(__always)
    private func reserve(_ length: Int) {
        if memory.count - count < length { grow(length) }
    }

    private func grow(_ length: Int) {
        let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: max(2 * memory.count, count + length), alignment: 16)
        larger.copyMemory(from: bytes)
        memory.deallocate()
        memory = larger
    }
}
