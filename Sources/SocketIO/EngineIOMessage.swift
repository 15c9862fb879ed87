// What Engine.IO carries for Socket.IO: the payload of one `message` packet (Engine.IO protocol 4, "Message").

public import NIOCore

/// A message of an Engine.IO connection.
public struct EngineIOMessage: Sendable, Hashable {
    /// How a payload travels.
    public enum Kind: Sendable, Hashable {
        /// As UTF-8 text.
        case text
        /// As bytes.
        case binary
    }

    /// Whether the payload is text or bytes.
    public var kind: Kind
    /// The payload; of text, its UTF-8.
    public var payload: ByteBuffer

    /// Makes a message.
    public init(kind: Kind, payload: ByteBuffer) {
        self.kind = kind
        self.payload = payload
    }

    /// Makes a text message.
    public static func text(_ payload: ByteBuffer) -> Self { Self(kind: .text, payload: payload) }
    /// Makes a text message.
    public static func text(_ payload: String) -> Self { Self(kind: .text, payload: ByteBuffer(string: payload)) }
    /// Makes a binary message.
    public static func binary(_ payload: ByteBuffer) -> Self { Self(kind: .binary, payload: payload) }
}
