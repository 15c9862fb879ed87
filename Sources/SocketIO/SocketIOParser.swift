// How packets become messages of Engine.IO and again packets, so that it can be exchanged: Socket.IO protocol 5, "Packet encoding" ("The
// JavaScript server and client implementations also supports custom parsers").

public import WebSockets

/// Turns packets into messages of Engine.IO, and makes decoders that turn them back.
///
/// Both ends must use the same one. `SocketIOJSONParser` is what every client uses unless told otherwise; `SocketIOMessagePackParser` is
/// that of the package socket.io-msgpack-parser.
public protocol SocketIOParser: Sendable {
    /// Encodes a packet; its messages are sent in their order, with no others between.
    ///
    /// - Throws: `SocketIOUsageError` if the packet can not be written in this format.
    func encode(_ packet: SocketIOPacket) throws(SocketIOUsageError) -> SocketIOMessages

    /// Makes the decoder of one connection.
    func makeDecoder() -> any SocketIOPacketDecoder & ~Copyable
}

/// Collects the messages of one connection to packets.
public protocol SocketIOPacketDecoder: ~Copyable {
    /// Takes the next message.
    ///
    /// - Returns: the packet that the message ends, or nil if more messages belong to it.
    /// - Throws: `SocketIOParseError` if the peer broke the format or a limit; the connection is then to be closed, and the decoder is
    ///   done.
    mutating func add(_ message: Message) throws(SocketIOParseError) -> SocketIOPacket?
}

/// The messages that one packet is sent as: one, and its attachments.
public struct SocketIOMessages: Sendable, Hashable, RandomAccessCollection {
    /// The message that begins the packet.
    public let first: Message
    /// Those that follow it; most packets have none, which costs no array.
    public let attachments: [Message]

    /// Makes the messages of a packet.
    public init(_ first: Message, attachments: [Message] = []) {
        self.first = first
        self.attachments = attachments
    }

    /// The position of the first message.
    public var startIndex: Int { 0 }
    /// The position behind the last message.
    public var endIndex: Int { 1 + attachments.count }
    /// The message at a position.
    public subscript(position: Int) -> Message { position == 0 ? first : attachments[position - 1] }
}

/// The limits on what a packet of a peer may hold.
public struct SocketIOParserLimits: Sendable, Hashable {
    /// The most attachments of one packet: 10, as in the JavaScript parser. They are kept until the last one has come, each as large as
    /// Engine.IO lets a message be.
    public var maxAttachments: Int
    /// How deep arrays and objects may stand in each other: 128, far beyond what events have, and shallow enough that a recursive
    /// `Decodable` type has 4 KB of a small thread's stack (512 KB) for each level. At most 256.
    public var maxDepth: Int
    /// The longest namespace in bytes: 512, as the server keeps it for each client that asks for it.
    public var maxNamespaceLength: Int

    /// The deepest that `maxDepth` can be, and that values to be sent may be: reading, comparing and freeing values takes stack by the
    /// level.
    public static let deepest = 256

    /// Makes limits.
    public init(maxAttachments: Int = 10, maxDepth: Int = 128, maxNamespaceLength: Int = 512) {
        self.maxAttachments = maxAttachments
        self.maxDepth = min(maxDepth, Self.deepest)
        self.maxNamespaceLength = maxNamespaceLength
    }
}

/// Limits that many decoders have in common: an idle one is two words.
final class SharedParserLimits: Sendable {
    let limits: SocketIOParserLimits

    init(_ limits: SocketIOParserLimits) { self.limits = limits }
}
