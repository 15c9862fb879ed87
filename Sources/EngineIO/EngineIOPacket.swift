// One packet, and its form on each transport: Engine.IO protocol 4, "Packet encoding".
//
//   text:    <type digit>[<payload>]      on both transports
//   binary:  the bytes as they are        on WebSocket, where the frame says that they are binary
//            b<base64>                    in a payload of HTTP long-polling, and on WebSocket from clients that can do no better

public import NIOCore
public import WebSocketCore
public import WebSockets

/// A packet (Engine.IO protocol 4, "Protocol").
public struct EngineIOPacket: Sendable, Hashable {
    /// What a packet is for; the raw value is its digit.
    public enum PacketType: UInt8, Sendable, Hashable, CaseIterable {
        /// The handshake.
        case open = 0
        /// The transport can be closed.
        case close = 1
        /// The heartbeat's question, and the probe's.
        case ping = 2
        /// The heartbeat's answer, and the probe's.
        case pong = 3
        /// A message of the program's.
        case message = 4
        /// The upgrade is complete.
        case upgrade = 5
        /// Nothing: it ends a poll that waits.
        case noop = 6

        @inline(__always)
        var digit: UInt8 { UInt8(ascii: "0") + rawValue }

        @inline(__always)
        init?(digit: UInt8) { self.init(rawValue: digit &- UInt8(ascii: "0")) }
    }

    /// What it is for.
    public let type: PacketType
    /// Whether the payload is text or binary; only messages are binary.
    public let kind: MessageKind
    /// The payload, without the type's digit; UTF-8 if it is text.
    public let payload: ByteBuffer

    @inline(__always)
    init(_ type: PacketType, kind: MessageKind, payload: ByteBuffer) {
        self.type = type
        self.kind = kind
        self.payload = payload
    }

    /// A packet of text.
    public init(_ type: PacketType, _ text: String = "") {
        self.init(type, kind: .text, payload: text.isEmpty ? ByteBuffer() : ByteBuffer(string: text))
    }

    /// A packet that carries a message.
    public init(_ message: Message) { self.init(.message, kind: message.kind, payload: message.payload) }

    /// The message that it carries; nil for another type.
    public var message: Message? { type == .message ? Message(kind: kind, payload: payload, compression: .automatic) : nil }

    // MARK: Decoding

    /// Reads a packet from what a WebSocket brought; its payload shares the message's memory.
    ///
    /// - Throws: `EngineIOError` for an empty text, an unknown type, or base64 that is none.
    public init(webSocket message: Message) throws(EngineIOError) {
        guard message.kind == .text else {
            self.init(.message, kind: .binary, payload: message.payload)
            return
        }
        try self.init(utf8: message.payload)
    }

    /// Reads a packet's text form, whose bytes are UTF-8; its payload shares their memory.
    init(utf8 bytes: ByteBuffer) throws(EngineIOError) {
        var rest = bytes
        guard let first = rest.readInteger(as: UInt8.self) else { throw EngineIOError(.emptyPacket) }
        if first == Self.binaryPrefix {
            guard let payload = Base64.decode(rest) else { throw EngineIOError(.invalidBase64) }
            self.init(.message, kind: .binary, payload: payload)
        } else {
            guard let type = PacketType(digit: first) else { throw EngineIOError(.unknownType, "\(Self.shown(first))") }
            self.init(type, kind: .text, payload: rest)
        }
    }

    /// Bytes beyond printable ASCII do not get into the log.
    private static func shown(_ byte: UInt8) -> String {
        (0x21...0x7E).contains(byte) ? "'\(Character(Unicode.Scalar(byte)))'" : "byte \(byte)"
    }

    // MARK: Encoding

    static let binaryPrefix = UInt8(ascii: "b")

    /// The packet as a WebSocket carries it.
    ///
    /// - Parameter supportsBinary: false for a client that asked for base64 (`b64` in its query).
    public func webSocketMessage(supportsBinary: Bool = true) -> Message {
        if kind == .binary && supportsBinary { return .binary(payload) }
        var bytes = ByteBufferAllocator().buffer(capacity: textLength)
        writeText(to: &bytes)
        return Message(kind: .text, payload: bytes, compression: .automatic)
    }

    /// The length of the text form in bytes.
    var textLength: Int { kind == .text ? 1 + payload.readableBytes : 1 + Base64.encodedLength(payload.readableBytes) }

    /// Writes the text form.
    func writeText(to bytes: inout ByteBuffer) {
        if kind == .text {
            bytes.writeInteger(type.digit)
            bytes.writeImmutableBuffer(payload)
        } else {
            // > Binary payloads MUST be base64-encoded and prefixed with a `b` character
            bytes.writeInteger(Self.binaryPrefix)
            Base64.encode(payload, into: &bytes)
        }
    }
}
