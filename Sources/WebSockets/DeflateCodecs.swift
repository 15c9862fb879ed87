// The compressors of a thread, and those of a connection: RFC 7692 §7.2.
//
// What keeps nothing between messages can serve all connections of a thread in turn, since each message is compressed, or decompressed, in
// one go: a message that comes in pieces is collected first, as it came, and costs what its sender sent. One thread's work on a message
// is bounded by `Limits.maxMessageSize`.

import NIOCore
import WebSocketCore
import WebSocketDeflate

/// The compressors, decompressors and memory that all connections of a thread share; confined to it.
final class DeflateCodecs {
    private var codecs: [DeflateAgreement: MessageCodec] = [:]
    private var inflater: Inflater?
    private var deflaters: [DeflaterKey: Deflater] = [:]
    /// Memory to compress and decompress into.
    private var scratch = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    /// What is decompressed at a time, and kept of the memory for compressing.
    private static let keptScratch = 65_536
    /// Agreements differ by what clients ask for, which must not fill the memory.
    private static let maxCodecs = 256
    private static let smallMessage = 4096

    deinit { scratch.deallocate() }

    /// The compressor and decompressor of a connection.
    func codec(_ agreement: DeflateAgreement) -> MessageCodec {
        // What keeps nothing can be the same for all who agreed on the same.
        guard agreement.forgetsSent && agreement.forgetsReceived else { return MessageCodec(agreement, self) }
        if let codec = codecs[agreement] { return codec }
        let codec = MessageCodec(agreement, self)
        if codecs.count < Self.maxCodecs { codecs[agreement] = codec }
        return codec
    }

    /// A decompressor that remembers nothing.
    func freshInflater() -> Inflater? {
        if let inflater {
            inflater.reset()
            return inflater
        }
        inflater = Inflater(windowBits: 15)
        return inflater
    }

    private struct DeflaterKey: Hashable {
        let level: Int
        let windowBits: Int
        let memoryLevel: Int
    }

    /// A compressor that remembers nothing, for a message of this length.
    func freshDeflater(_ length: Int, level: Int, windowBits: Int) -> Deflater? {
        // To forget is to clear a table: 64 KiB of it for long messages, which would take longer than a short message itself.
        let key =
            length <= Self.smallMessage
            ? DeflaterKey(level: level, windowBits: min(windowBits, 12), memoryLevel: 5)
            : DeflaterKey(level: level, windowBits: windowBits, memoryLevel: 8)
        if let deflater = deflaters[key] {
            deflater.reset()
            return deflater
        }
        let deflater = Deflater(level: key.level, windowBits: key.windowBits, memoryLevel: key.memoryLevel)
        deflaters[key] = deflater
        return deflater
    }

    /// Memory of this size at least, for the time of the call.
    func withScratch<R, E: Error>(_ size: Int, _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R) throws(E) -> R {
        if scratch.count < size {
            scratch.deallocate()
            scratch = .allocate(byteCount: max(size, Self.keptScratch), alignment: 16)
        }
        defer {
            if scratch.count > Self.keptScratch {
                scratch.deallocate()
                scratch = UnsafeMutableRawBufferPointer(start: nil, count: 0)
            }
        }
        return try body(scratch)
    }

    /// Decompresses a message.
    func inflate(_ compressed: ByteBuffer, with inflater: Inflater, limit: Int) throws(ProtocolError) -> ByteBuffer {
        var message = ByteBuffer()
        try withScratch(Self.keptScratch) { (scratch) throws(ProtocolError) in
            let failure = compressed.withUnsafeReadableBytes { bytes -> ProtocolError? in
                do throws(ProtocolError) {
                    try inflater.inflate(bytes, limit: limit, scratch: scratch) { message.writeBytes($0) }
                    return nil
                } catch {
                    return error
                }
            }
            if let failure { throw failure }
        }
        return message
    }
}

/// The compressor and decompressor of a connection, or of all connections of a thread that agreed on the same and keep nothing.
final class MessageCodec {
    let agreement: DeflateAgreement
    private unowned let shared: DeflateCodecs
    /// What remembers the messages of this connection, from the first one on.
    private var inflater: Inflater?
    private var deflater: Deflater?

    init(_ agreement: DeflateAgreement, _ shared: DeflateCodecs) {
        self.agreement = agreement
        self.shared = shared
    }

    /// What the bytes of a message depend on that is compressed by itself.
    var key: CompressedFrames.Key { .init(level: agreement.compression.level, windowBits: agreement.sentWindowBits) }

    /// Whether a message is to be compressed.
    func takes(_ message: Message) -> Bool {
        switch message.compression {
        case .automatic: message.payload.readableBytes >= agreement.compression.threshold
        case .always: message.payload.readableBytes > 0
        case .never: false
        }
    }

    /// Decompresses a message that has come whole.
    ///
    /// - Throws: `ProtocolError` for what is too large or can not be decompressed.
    func inflate(_ compressed: ByteBuffer, limit: Int) throws(ProtocolError) -> ByteBuffer {
        let inflater = agreement.forgetsReceived ? shared.freshInflater() : ownInflater()
        // No memory for it: nobody's fault, and the message can not be read.
        guard let inflater else { throw ProtocolError(.invalidDeflate) }
        return try shared.inflate(compressed, with: inflater, limit: limit)
    }

    private func ownInflater() -> Inflater? {
        inflater = inflater ?? Inflater(windowBits: agreement.receivedWindowBits)
        return inflater
    }

    /// Compresses a message, and hands on the bytes; false if it is to leave as it is.
    func deflate(_ message: ByteBuffer, _ body: (UnsafeRawBufferPointer) -> Void) -> Bool {
        let length = message.readableBytes
        guard let deflater = agreement.forgetsSent ? freshDeflater(length) : ownDeflater(), let bound = deflater.bound(length) else {
            return false
        }
        return shared.withScratch(bound) { scratch in
            let count = message.withUnsafeReadableBytes { deflater.deflate($0, into: scratch) }
            guard let count else {
                // A compressor that failed has lost count of what it has said.
                self.deflater?.reset()
                return false
            }
            // What the compressor remembers the peer must have seen; where it forgets, the shorter one leaves.
            guard !agreement.forgetsSent || count < length else { return false }
            body(UnsafeRawBufferPointer(rebasing: scratch[..<count]))
            return true
        }
    }

    private func freshDeflater(_ length: Int) -> Deflater? {
        shared.freshDeflater(length, level: agreement.compression.level, windowBits: agreement.sentWindowBits)
    }

    private func ownDeflater() -> Deflater? {
        deflater =
            deflater
            ?? Deflater(
                level: agreement.compression.level, windowBits: agreement.sentWindowBits, memoryLevel: agreement.compression.memoryLevel)
        return deflater
    }
}
