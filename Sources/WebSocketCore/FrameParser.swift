// From bytes to frames, over any split of the bytes: RFC 6455 §5.2.
//
// States: header (collecting its 2 to 14 bytes) → payload (counting down its length) → header.
// A payload is handed out where it lies, unmasked in place, as far as the bytes at hand reach; nothing is kept of it here. A header
// is checked as soon as the byte that decides is there, so that a bad one is refused before a payload is waited for.

/// A piece of a frame: its header and as much of its payload as is there.
public struct FrameChunk: Sendable, Hashable {
    /// The frame's header.
    public let header: FrameHeader
    /// Where the payload lies in the bytes that were passed in, already unmasked; empty when none has come yet.
    public let payload: Range<Int>
    /// Whether this is the first piece of the frame.
    public let isFirst: Bool
    /// Whether the frame ends here.
    public let isLast: Bool
}

/// The incremental parser of frames (RFC 6455 §5.2).
public struct FrameParser: ~Copyable, Sendable {
    private var header = FrameHeader(opcode: .continuation, payloadLength: 0)
    private var consumed = 0
    /// The first bytes of a header that a read cut in two; 14 at most.
    private var partial: (UInt64, UInt64) = (0, 0)
    private var partialCount: UInt8 = 0
    private var isInPayload = false
    private let role: Role
    /// Whether an extension has given RSV1 a meaning (RFC 7692 §6).
    private let allowsCompression: Bool

    /// Makes a parser for the frames that arrive at this role.
    public init(role: Role, allowsCompression: Bool = false) {
        self.role = role
        self.allowsCompression = allowsCompression
    }

    /// Takes the next frame, or the next piece of one, out of the bytes.
    ///
    /// - Parameters:
    ///   - bytes: what arrived; payloads in it are unmasked in place.
    ///   - offset: where to go on; moved behind what was taken.
    /// - Returns: a piece, or nil when all bytes are taken and more are needed.
    /// - Throws: `ProtocolError` at the first byte that breaks a rule.
    @inline(__always)
    mutating func next(_ bytes: UnsafeMutableRawBufferPointer, at offset: inout Int) throws(ProtocolError) -> FrameChunk? {
        let isFirst = !isInPayload
        if isFirst {
            guard try readHeader(bytes, at: &offset) else { return nil }
        } else if offset == bytes.count {
            return nil
        }
        let start = offset
        let end = start + min(bytes.count - start, header.payloadLength - consumed)
        if let maskKey = header.maskKey {
            Masking.apply(key: maskKey, offset: consumed, to: UnsafeMutableRawBufferPointer(rebasing: bytes[start..<end]))
        }
        consumed += end - start
        offset = end
        isInPayload = consumed < header.payloadLength
        return FrameChunk(header: header, payload: start..<end, isFirst: isFirst, isLast: !isInPayload)
    }

    /// Takes a whole short message of a client out of the bytes: what most traffic is made of, in one step.
    ///
    /// Its frame is final, data, of under 126 bytes, and wholly there. Anything else is left, untouched, to `next`, and what is taken here
    /// is what `next` would have taken.
    ///
    /// - Returns: whether it is text, and where its payload lies, unmasked; nil if it is anything else.
    @inline(__always)
    mutating func nextShortMessage(
        _ bytes: UnsafeMutableRawBufferPointer, at offset: inout Int, under limit: Int
    ) -> (isText: Bool, payload: Range<Int>)? {
        let start = offset &+ 6
        guard role == .server, !isInPayload, partialCount == 0, start <= bytes.count else { return nil }
        // FIN, no reserved bits, text or binary; then the mask's bit.
        let (first, length) = (bytes[offset], Int(bytes[offset &+ 1]) &- 0x80)
        guard first == 0x81 || first == 0x82, length >= 0, length < 126, length < limit, length <= bytes.count &- start else { return nil }
        let payload = start..<start &+ length
        Masking.apply(
            key: bytes.loadUnaligned(fromByteOffset: offset &+ 2, as: UInt32.self), offset: 0,
            to: UnsafeMutableRawBufferPointer(rebasing: bytes[payload]))
        offset = payload.upperBound
        return (first == 0x81, payload)
    }

    /// The bytes of the payload that are still to come.
    var missingBytes: Int { isInPayload ? header.payloadLength - consumed : 0 }

    // MARK: The header

    @inline(__always)
    private mutating func readHeader(_ bytes: UnsafeMutableRawBufferPointer, at offset: inout Int) throws(ProtocolError) -> Bool {
        let available = bytes.count - offset
        guard partialCount == 0, available >= FrameHeader.maxEncodedLength || isWhole(bytes, at: offset, available) else {
            return try readPartialHeader(bytes, at: &offset)
        }
        begin(try decode(UnsafeRawBufferPointer(rebasing: bytes[offset...])))
        offset += Self.length(ofHeaderWithSecondByte: bytes[offset + 1])
        return true
    }

    @inline(__always)
    private func isWhole(_ bytes: UnsafeMutableRawBufferPointer, at offset: Int, _ available: Int) -> Bool {
        available >= 2 && available >= Self.length(ofHeaderWithSecondByte: bytes[offset + 1])
    }

    /// Collects a header byte by byte, so that each byte is judged when it comes; a read rarely ends inside a header.
    private mutating func readPartialHeader(
        _ bytes: UnsafeMutableRawBufferPointer, at offset: inout Int
    ) throws(ProtocolError) -> Bool {
        while offset < bytes.count {
            append(bytes[offset])
            offset += 1
            if try decodePartial() { return true }
        }
        return false
    }

    private mutating func append(_ byte: UInt8) {
        withUnsafeMutableBytes(of: &partial) { $0[Int(partialCount)] = byte }
        partialCount += 1
    }

    private mutating func decodePartial() throws(ProtocolError) -> Bool {
        // The first `partialCount` bytes count; the rest are zeros.
        let bytes = partial
        let count = Int(partialCount)
        let decoded = try withUnsafeBytes(of: bytes) { (bytes) throws(ProtocolError) in
            try decode(firstBytes: bytes, count)
        }
        guard let decoded else { return false }
        begin(decoded)
        partialCount = 0
        partial = (0, 0)
        return true
    }

    /// Judges what is there of a header; nil while some of it is missing.
    private func decode(firstBytes bytes: UnsafeRawBufferPointer, _ count: Int) throws(ProtocolError) -> FrameHeader? {
        let opcode = try checkFirstByte(bytes[0])
        guard count >= 2 else { return nil }
        try checkSecondByte(bytes[1], opcode, bytes[0])
        let whole = Self.length(ofHeaderWithSecondByte: bytes[1])
        guard count >= whole - (bytes[1] & 0x80 == 0 ? 0 : 4) else { return nil }
        _ = try Self.payloadLength(bytes, bytes[1])
        return count == whole ? try decode(bytes) : nil
    }

    @inline(__always)
    private static func length(ofHeaderWithSecondByte second: UInt8) -> Int {
        let length = second & 0x7F
        return 2 + (length < 126 ? 0 : length == 126 ? 2 : 8) + (second & 0x80 == 0 ? 0 : 4)
    }

    /// Decodes a header that is wholly there.
    @inline(__always)
    private func decode(_ bytes: UnsafeRawBufferPointer) throws(ProtocolError) -> FrameHeader {
        let (first, second) = (bytes[0], bytes[1])
        let opcode = try checkFirstByte(first)
        try checkSecondByte(second, opcode, first)
        let length = try Self.payloadLength(bytes, second)
        let maskOffset = Self.length(ofHeaderWithSecondByte: second) - 4
        return FrameHeader(
            opcode: opcode, payloadLength: length, isFinal: first & 0x80 != 0, isCompressed: first & 0x40 != 0,
            maskKey: second & 0x80 == 0 ? nil : bytes.loadUnaligned(fromByteOffset: maskOffset, as: UInt32.self))
    }

    @inline(__always)
    private mutating func begin(_ header: FrameHeader) {
        self.header = header
        consumed = 0
    }

    @inline(__always)
    private func checkFirstByte(_ first: UInt8) throws(ProtocolError) -> Opcode {
        guard let opcode = Opcode(rawValue: first & 0x0F) else {
            // §5.2: "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_."
            throw ProtocolError(.reservedOpcode, UInt64(first & 0x0F))
        }
        if first & 0x70 != 0 { try checkReservedBits(first, opcode) }
        return opcode
    }

    private func checkReservedBits(_ first: UInt8, _ opcode: Opcode) throws(ProtocolError) {
        // §5.2: "If a nonzero value is received and none of the negotiated extensions defines the meaning of such a nonzero value,
        // the receiving endpoint MUST _Fail the WebSocket Connection_." RFC 7692 §6.1 sets RSV1 on a message's first frame only.
        let isMeant = first & 0x70 == 0x40 && allowsCompression && (opcode == .text || opcode == .binary)
        if !isMeant { throw ProtocolError(.reservedBit, UInt64(first & 0x70) >> 4) }
    }

    @inline(__always)
    private func checkSecondByte(_ second: UInt8, _ opcode: Opcode, _ first: UInt8) throws(ProtocolError) {
        // §5.1: "The server MUST close the connection upon receiving a frame that is not masked." and
        // "A client MUST close a connection if it detects a masked frame."
        if (second & 0x80 != 0) != (role == .server) {
            throw ProtocolError(role == .server ? .unmaskedFrame : .maskedFrame)
        }
        // §5.5: "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented."
        if opcode.isControl {
            if first & 0x80 == 0 { throw ProtocolError(.controlFragmented) }
            if second & 0x7F > 125 { throw ProtocolError(.controlTooLong) }
        }
    }

    @inline(__always)
    private static func payloadLength(_ bytes: UnsafeRawBufferPointer, _ second: UInt8) throws(ProtocolError) -> Int {
        let short = second & 0x7F
        if short < 126 { return Int(short) }
        return try short == 126 ? mediumLength(bytes) : longLength(bytes)
    }

    @inline(__always)
    private static func mediumLength(_ bytes: UnsafeRawBufferPointer) throws(ProtocolError) -> Int {
        let length = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
        // §5.2: "in all cases, the minimal number of bytes MUST be used to encode the length".
        if length < 126 { throw ProtocolError(.nonMinimalLength, UInt64(length)) }
        return Int(length)
    }

    private static func longLength(_ bytes: UnsafeRawBufferPointer) throws(ProtocolError) -> Int {
        let length = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt64.self))
        // §5.2: "the most significant bit MUST be 0".
        guard let length = Int(exactly: length) else { throw ProtocolError(.negativeLength) }
        if length < 65536 { throw ProtocolError(.nonMinimalLength, UInt64(length)) }
        return length
    }
}
