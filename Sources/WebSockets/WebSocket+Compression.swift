// Compressed messages on a connection: RFC 7692 §6 and §7.2.

import NIOConcurrencyHelpers
import NIOCore
import WebSocketCore
import WebSocketDeflate

extension WebSocket {
    /// Decompresses a message that has come whole; throws if that breaks a limit or a rule.
    func inflate(_ kind: MessageKind, _ compressed: ByteBuffer) throws(ProtocolError) -> Message {
        // Without an agreement, the parser lets no compressed frame pass.
        guard let codec else { throw ProtocolError(.reservedBit) }
        let payload = try codec.inflate(compressed, limit: configuration.limits.maxMessageSize)
        if kind == .text {
            // RFC 7692 §6.2 leaves it to RFC 6455 §8.1: what was decompressed must be UTF-8.
            var validator = UTF8Validator()
            let isValid = payload.withUnsafeReadableBytes { validator.validate($0) } && validator.isComplete
            guard isValid else { throw ProtocolError(.invalidUTF8) }
        }
        return Message(kind: kind, payload: payload)
    }

    /// Sends a message compressed; false if it is to leave as it is.
    @inline(never)
    func enqueueCompressed(_ message: Message, _ codec: MessageCodec) -> Bool {
        // Asked before: what the compressor remembers must also leave.
        guard connection.canSend else { return true }
        return codec.deflate(message.payload) { bytes in
            guard let header = try? connection.send(message.kind, length: bytes.count, isCompressed: true, maskKey: nextMaskKey())
            else { return }
            outbox.append(header, bytes, thread)
            count(message.payload.readableBytes)
        }
    }

    /// Sends a message that was framed once for many; compressed once for all who agreed on the same and keep nothing.
    func enqueueCompressed(_ prepared: PreparedMessage, _ codec: MessageCodec) -> Bool {
        guard codec.agreement.forgetsSent else { return enqueueCompressed(prepared.message, codec) }
        guard let frame = prepared.compressedFrame(codec) else { return false }
        outbox.append(encoded: frame, thread)
        count(prepared.message.payload.readableBytes)
        return true
    }
}

/// The frames of one message, compressed for those who agreed on different things; any thread may ask.
final class CompressedFrames: Sendable {
    /// What the compressed bytes depend on.
    struct Key: Hashable {
        let level: Int
        let windowBits: Int
    }

    private let frames = NIOLockedValueBox<[Key: ByteBuffer?]>([:])

    /// How many have been made, or were found not to be shorter.
    var made: Int { frames.withLockedValue { $0.count } }

    /// The frame for a key, made if it is the first time; nil if it would not be shorter.
    func frame(_ key: Key, _ make: () -> ByteBuffer?) -> ByteBuffer? {
        // Under the lock: the other threads wait for the one that makes it, rather than make it, too.
        frames.withLockedValue { frames in
            if let known = frames[key] { return known }
            let frame = make()
            frames[key] = .some(frame)
            return frame
        }
    }
}

extension PreparedMessage {
    /// The compressed frame for all who agreed on the same and keep nothing; nil if the message is to leave as it is.
    func compressedFrame(_ codec: MessageCodec) -> ByteBuffer? {
        compressed.frame(codec.key) {
            var frame: ByteBuffer?
            _ = codec.deflate(message.payload) { bytes in
                let header = FrameHeader(opcode: message.kind.opcode, payloadLength: bytes.count, isCompressed: true)
                frame = ByteBuffer(header, bytes)
            }
            return frame
        }
    }
}
