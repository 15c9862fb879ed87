// From compressed messages to messages: RFC 7692 §7.2.2, over zlib's inflate.
//
// A message's bytes go through inflate, then the four bytes that its sender took off (§7.2.1). What comes out is counted before it is
// handed on, and inflate is never given room for more than one byte over the limit, so that a message costs what the limit says, whatever
// it claims (D1 of the bad inputs).

import CDuplexZlib
public import WebSocketCore

/// A decompressor of messages (RFC 7692 §7.2.2); confined to one thread.
public final class Inflater {
    private let stream: UnsafeMutablePointer<z_stream>

    /// §7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message."
    private static let tail: (UInt8, UInt8, UInt8, UInt8) = (0x00, 0x00, 0xFF, 0xFF)

    /// Makes a decompressor, of 7 KiB and, from the first message on, 2^windowBits bytes; nil if there is no memory for it.
    ///
    /// - Parameter windowBits: how far back messages refer, as a power of two: 8 to 15.
    public init?(windowBits: Int) {
        // zlib's own deflate took 8 for 9 until 1.2.9, and still refuses it; a larger window than agreed on reads both.
        let bits = Int32(min(max(windowBits, 9), 15))
        // Freed in `deinit`, which does not run where an initializer fails.
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        guard duplex_inflate_init(stream, -bits) == Z_OK else {
            stream.deallocate()
            return nil
        }
        self.stream = stream
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    /// Forgets the messages before: none of their bytes can come up again.
    public func reset() { inflateReset(stream) }

    /// Decompresses a whole message.
    ///
    /// - Parameters:
    ///   - compressed: the payloads of its frames, one behind another.
    ///   - limit: the most bytes that may come out.
    ///   - scratch: memory to decompress into, at least one byte.
    ///   - take: gets what comes out, part by part, in `scratch`.
    /// - Throws: `ProtocolError` for more than the limit (1009) and for what is not DEFLATE's (1007); the decompressor is of no use then
    ///   until it is reset.
    public func inflate(
        _ compressed: UnsafeRawBufferPointer, limit: Int, scratch: UnsafeMutableRawBufferPointer,
        _ take: (UnsafeRawBufferPointer) -> Void
    ) throws(ProtocolError) {
        // §7.2.3.6 has a byte for an empty message; some send none.
        if compressed.isEmpty { return }
        var run = Run(limit: limit, left: limit, scratch: scratch)
        try feed(compressed, &run, take)
        // §7.2.3.4: a message may end with a block that says it is the last, and then with the byte that the tail goes with, or without.
        if run.isAtEnd { return }
        let left = run.left
        try withUnsafeBytes(of: Self.tail) { (tail) throws(ProtocolError) in try feed(tail, &run) { _ in } }
        // The tail is an empty block, and zlib says when it stands behind one: there a message must end. Where the tail itself becomes part
        // of the message, that was cut off.
        guard stream.pointee.data_type & 128 != 0, run.left == left else { throw ProtocolError(.invalidDeflate) }
    }

    /// What one message's decompression has come to.
    private struct Run {
        let limit: Int
        /// How much more may come out.
        var left: Int
        let scratch: UnsafeMutableRawBufferPointer
        /// Whether a block that says it is the last has ended, and nothing came behind it.
        var isAtEnd = false

        /// One byte more than may come out is enough to see that it is too much.
        var room: Int { left < scratch.count ? left + 1 : scratch.count }
    }

    private func feed(
        _ input: UnsafeRawBufferPointer, _ run: inout Run, _ take: (UnsafeRawBufferPointer) -> Void
    ) throws(ProtocolError) {
        var input = input
        while !input.isEmpty {
            let part = UnsafeRawBufferPointer(rebasing: input.prefix(Int(UInt32.max)))
            input = UnsafeRawBufferPointer(rebasing: input.dropFirst(part.count))
            stream.pointee.next_in = UnsafeMutablePointer(mutating: part.bindMemory(to: UInt8.self).baseAddress)
            stream.pointee.avail_in = UInt32(part.count)
            try drain(&run, take)
        }
    }

    /// Decompresses until the input at hand is used up and nothing more comes out.
    private func drain(_ run: inout Run, _ take: (UnsafeRawBufferPointer) -> Void) throws(ProtocolError) {
        while true {
            let room = min(run.room, Int(UInt32.max))
            stream.pointee.next_out = run.scratch.bindMemory(to: UInt8.self).baseAddress
            stream.pointee.avail_out = UInt32(room)
            let result = CDuplexZlib.inflate(stream, Z_SYNC_FLUSH)
            let count = room - Int(stream.pointee.avail_out)
            guard count <= run.left else { throw ProtocolError(.messageTooBig, UInt64(run.limit) + 1) }
            run.left -= count
            if count > 0 { take(UnsafeRawBufferPointer(rebasing: run.scratch[..<count])) }
            run.isAtEnd = result == Z_STREAM_END
            switch result {
            // What may follow refers to what came before, as the end of a block does not end the window.
            case Z_STREAM_END: inflateResetKeep(stream)
            case Z_OK: break
            // Nothing could be done: all is used up.
            case Z_BUF_ERROR where stream.pointee.avail_in == 0: return
            default: throw ProtocolError(.invalidDeflate)
            }
            if stream.pointee.avail_in == 0 && (stream.pointee.avail_out > 0 || run.isAtEnd) { return }
        }
    }
}
