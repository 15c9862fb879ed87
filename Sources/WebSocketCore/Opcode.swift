// What a frame is: RFC 6455 §5.2, §11.8.

/// The kind of a frame, the low four bits of its first byte (RFC 6455 §5.2).
///
/// The reserved values 3–7 and 11–15 have no case: a frame that bears one is a protocol error.
public enum Opcode: UInt8, Sendable, Hashable {
    /// A further piece of a fragmented message.
    case continuation = 0x0
    /// A text message, or its first piece; the message is UTF-8.
    case text = 0x1
    /// A binary message, or its first piece.
    case binary = 0x2
    /// The close of the connection, with an optional code and reason.
    case close = 0x8
    /// A ping, to be answered with a pong of the same payload.
    case ping = 0x9
    /// The answer to a ping, or an unsolicited sign of life.
    case pong = 0xA

    /// Whether this is close, ping or pong (RFC 6455 §5.5).
    @inlinable public var isControl: Bool { rawValue & 0x8 != 0 }
}

/// Which end of the connection this is: it decides who masks (RFC 6455 §5.1) and who closes TCP first (§7.1.1).
public enum Role: Sendable, Hashable {
    /// The end that accepted the connection; it sends unmasked frames and receives masked ones.
    case server
    /// The end that opened the connection; it masks what it sends and receives unmasked frames.
    case client
}

/// Whether a data message is text or binary.
public enum MessageKind: UInt8, Sendable, Hashable {
    /// UTF-8 text.
    case text = 0x1
    /// Bytes.
    case binary = 0x2

    /// The opcode of the message's first frame.
    @inlinable public var opcode: Opcode { self == .text ? .text : .binary }
}
