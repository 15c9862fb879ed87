// A message, as the handler gets it and as `send` takes it: RFC 6455 §5.6.

public import NIOCore
public import WebSocketCore

/// A text or binary message (RFC 6455 §5.6).
///
/// The payload is held as bytes whichever the kind is, so that text that is only passed on costs no `String`. The bytes of a message
/// that arrived are a slice of what was read from the network: whoever keeps small messages for long copies them
/// (`ByteBuffer(bytes: message.payload.readableBytesView)`), or else keeps the whole read alive.
public struct Message: Sendable, Hashable {
    /// Whether it is text or binary.
    public let kind: MessageKind
    /// The payload; UTF-8 if the kind is text.
    public let payload: ByteBuffer

    /// Whether it leaves compressed, where the peer takes that; what has arrived is `automatic`.
    public let compression: MessageCompression

    @inline(__always)
    package init(kind: MessageKind, payload: ByteBuffer, compression: MessageCompression = .automatic) {
        self.kind = kind
        self.payload = payload
        self.compression = compression
    }

    /// The same message, to be sent compressed or not.
    public func compressed(_ compression: MessageCompression) -> Message {
        Message(kind: kind, payload: payload, compression: compression)
    }

    /// Whether two messages say the same; how they are sent does not count.
    public static func == (first: Message, second: Message) -> Bool { first.kind == second.kind && first.payload == second.payload }

    /// Hashes what the message says.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(kind)
        hasher.combine(payload)
    }

    /// A text message.
    public static func text(_ text: some StringProtocol) -> Message {
        Message(kind: .text, payload: ByteBuffer(substring: Substring(text)))
    }

    /// A text message of bytes that are UTF-8 already, such as JSON from an encoder.
    ///
    /// - Throws: `UsageError.Rule.invalidUTF8` if they are not.
    public static func text(utf8 payload: ByteBuffer) throws(UsageError) -> Message {
        var validator = UTF8Validator()
        guard payload.withUnsafeReadableBytes({ validator.validate($0) }), validator.isComplete else {
            throw UsageError(.invalidUTF8)
        }
        return Message(kind: .text, payload: payload)
    }

    /// A binary message.
    public static func binary(_ payload: ByteBuffer) -> Message { Message(kind: .binary, payload: payload) }

    /// A binary message.
    public static func binary(_ payload: some Sequence<UInt8>) -> Message {
        Message(kind: .binary, payload: ByteBuffer(bytes: payload))
    }

    /// The text, or nil if the message is binary.
    public var text: String? { kind == .text ? String(buffer: payload) : nil }

    /// The bytes, or nil if the message is text.
    public var binary: ByteBuffer? { kind == .binary ? payload : nil }

    /// The message taken apart by its kind, for a `switch`.
    public enum Content: Sendable, Hashable {
        /// Text.
        case text(String)
        /// Bytes.
        case binary(ByteBuffer)
    }

    /// The message taken apart by its kind, for a `switch`.
    public var content: Content { kind == .text ? .text(String(buffer: payload)) : .binary(payload) }
}

/// Whether a message is compressed, where the peer takes that (RFC 7692).
public enum MessageCompression: Sendable, Hashable {
    /// From `Compression.threshold` on, unless it would become longer.
    case automatic
    /// However short it is; for what repeats earlier messages on a connection with `.dedicated` compression.
    case always
    /// Never: what is compressed already, such as images, and what holds a secret beside what an attacker can choose (the length
    /// tells of both: the CRIME and BREACH attacks).
    case never
}

/// A message that was framed once, to be sent to many (servers only: a client's frames are masked one by one).
///
/// It is compressed once for all connections that agreed on the same and keep nothing between messages, as with `Compression.shared`.
public struct PreparedMessage: Sendable {
    let message: Message
    /// The message's payload.
    package var payload: ByteBuffer { message.payload }
    /// The unmasked frame.
    let frame: ByteBuffer
    /// The frames for those who take it compressed.
    let compressed = CompressedFrames()

    /// Frames a message.
    public init(_ message: Message) {
        let header = FrameHeader(opcode: message.kind.opcode, payloadLength: message.payload.readableBytes)
        self.message = message
        frame = ByteBuffer(header, message.payload)
    }
}

extension ByteBuffer {
    /// A frame of its own; the payload is masked if the header has a key (RFC 6455 §5.3).
    init(_ header: FrameHeader, _ payload: ByteBuffer) {
        self = payload.withUnsafeReadableBytes { ByteBuffer(header, $0) }
    }

    /// A frame of its own; the payload is masked if the header has a key (RFC 6455 §5.3).
    init(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer) {
        let frames = FrameBuffer(capacity: FrameHeader.maxEncodedLength + payload.count)
        frames.append(header, payload)
        self.init(bytes: frames.bytes)
    }
}
