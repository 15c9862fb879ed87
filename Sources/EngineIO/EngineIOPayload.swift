// Several packets in the body of one request or response: Engine.IO protocol 4, "Packet encoding", "HTTP long-polling".
//
//   payload = packet *( %x1E packet )
//
// A text payload must not hold the separator itself: the protocol has no escape for it ("this assumes the record separator is not used
// in the data"). JSON never does.

public import NIOCore
import WebSocketCore

/// Payloads of HTTP long-polling.
public enum EngineIOPayload {
    /// The record separator.
    static let separator: UInt8 = 0x1E

    /// Joins packets.
    public static func encode(_ packets: some Collection<EngineIOPacket>) -> ByteBuffer {
        var bytes = ByteBufferAllocator().buffer(capacity: packets.reduce(0) { $0 + $1.textLength + 1 })
        for (index, packet) in packets.enumerated() {
            if index > 0 { bytes.writeInteger(separator) }
            packet.writeText(to: &bytes)
        }
        return bytes
    }

    /// Takes a payload apart, strictly; the texts share its memory.
    ///
    /// - Parameters:
    ///   - maxBytes: the most bytes that it may have.
    ///   - maxPackets: the most packets that it may have.
    /// - Throws: `EngineIOError`, for the first packet that is none; those before it are lost.
    public static func decode(_ payload: ByteBuffer, maxBytes: Int, maxPackets: Int) throws(EngineIOError) -> [EngineIOPacket] {
        var decoder = try EngineIOPayloadDecoder(payload, maxBytes: maxBytes, maxPackets: maxPackets)
        var packets: [EngineIOPacket] = []
        while let packet = try decoder.next() { packets.append(packet) }
        return packets
    }
}

/// Takes a payload apart, packet by packet, so that many tiny ones cost no memory of their own.
public struct EngineIOPayloadDecoder: Sendable {
    private var rest: ByteBuffer?
    private var packetsLeft: Int
    private let maxPackets: Int

    /// Begins to take a payload apart.
    ///
    /// - Throws: `EngineIOError` if it has over `maxBytes` bytes, or is not UTF-8.
    public init(_ payload: ByteBuffer, maxBytes: Int, maxPackets: Int) throws(EngineIOError) {
        guard payload.readableBytes <= maxBytes else { throw EngineIOError(.payloadTooLarge, "\(maxBytes)") }
        // > The character encoding is UTF-8 for plain text and for base64-encoded binary payloads.
        var validator = UTF8Validator()
        let isValid = payload.withUnsafeReadableBytes { validator.validate($0) } && validator.isComplete
        guard isValid else { throw EngineIOError(.invalidUTF8) }
        rest = payload
        packetsLeft = maxPackets
        self.maxPackets = maxPackets
    }

    /// The next packet; nil at the end.
    ///
    /// - Throws: `EngineIOError` for what is no packet, and for one more than `maxPackets`.
    public mutating func next() throws(EngineIOError) -> EngineIOPacket? {
        guard let bytes = takeRecord() else { return nil }
        guard packetsLeft > 0 else { throw EngineIOError(.tooManyPackets, "\(maxPackets)") }
        packetsLeft -= 1
        return try EngineIOPacket(utf8: bytes)
    }

    /// The bytes up to the next separator, or to the end.
    private mutating func takeRecord() -> ByteBuffer? {
        guard var bytes = rest else { return nil }
        guard let end = bytes.readableBytesView.firstIndex(of: EngineIOPayload.separator),
            let record = bytes.readSlice(length: end - bytes.readerIndex)
        else {
            rest = nil
            return bytes
        }
        bytes.moveReaderIndex(forwardBy: 1)
        rest = bytes
        return record
    }
}
