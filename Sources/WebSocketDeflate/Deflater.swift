// From messages to compressed messages: RFC 7692 §7.2.1, over zlib's deflate.

import CDuplexZlib
import WebSocketCore

/// A compressor of messages (RFC 7692 §7.2.1); confined to one thread.
public final class Deflater {
    private let stream: UnsafeMutablePointer<z_stream>

    /// §7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end."
    private static let tailLength = 4
    /// What a flush adds to the bound that zlib gives for a message without one.
    private static let flushRoom = 64

    /// Makes a compressor, of 2^(windowBits + 2) + 2^(memoryLevel + 9) bytes and 6 KiB; nil if there is no memory for it.
    ///
    /// - Parameters:
    ///   - level: 1 (fast) to 9; what is outside counts as the nearest of these.
    ///   - windowBits: how far back messages may refer, as a power of two: 8 to 15, likewise.
    ///   - memoryLevel: 1 to 9, likewise.
    public init?(level: Int, windowBits: Int, memoryLevel: Int) {
        let level = Int32(min(max(level, 1), 9))
        let memoryLevel = Int32(min(max(memoryLevel, 1), 9))
        let bits = Int32(min(max(windowBits, 9), 15))
        // zlib has no raw window of 8. What never refers back fits into every window, so a peer that asks for 8 gets Huffman codes only.
        let strategy = windowBits < 9 ? Z_HUFFMAN_ONLY : Z_DEFAULT_STRATEGY
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        guard duplex_deflate_init(stream, level, -bits, memoryLevel, strategy) == Z_OK else {
            stream.deallocate()
            return nil
        }
        self.stream = stream
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// Forgets the messages before.
    public func reset() { deflateReset(stream) }

    /// The most bytes that a message of this length can become; nil if it is too long to be compressed.
    public func bound(_ length: Int) -> Int? {
        // Some 2 GiB, so that the result, too, can be said in 32 bits.
        guard length <= Int(Int32.max) else { return nil }
        return Int(deflateBound(stream, UInt(length))) + Self.flushRoom
    }

    /// Compresses a whole message.
    ///
    /// - Parameter output: at least `bound` bytes.
    /// - Returns: how many bytes were written, without the tail that is not sent; nil if it did not work, and then the compressor is of
    ///   no use until it is reset.
    public func deflate(_ message: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        guard let count = UInt32(exactly: message.count) else { return nil }
        let room = UInt32(clamping: output.count)
        stream.pointee.next_in = UnsafeMutablePointer(mutating: message.bindMemory(to: UInt8.self).baseAddress)
        stream.pointee.avail_in = count
        stream.pointee.next_out = output.bindMemory(to: UInt8.self).baseAddress
        stream.pointee.avail_out = room
        // With room to spare, all is out: it ends with an empty block, whose last four bytes are the tail.
        guard CDuplexZlib.deflate(stream, Z_SYNC_FLUSH) == Z_OK, stream.pointee.avail_in == 0, stream.pointee.avail_out > 0 else {
            return nil
        }
        return Int(room - stream.pointee.avail_out) - Self.tailLength
    }
}
