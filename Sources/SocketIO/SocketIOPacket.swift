// A packet of Socket.IO: Socket.IO protocol 5, "Exchange protocol".
//
// BINARY_EVENT and BINARY_ACK are no packets of their own here: they are how the default parser writes an EVENT and an ACK that hold bytes,
// and are gone once it has put the attachments in their places.

/// One packet between a client and a namespace of the server.
public struct SocketIOPacket: Sendable, Hashable {
    /// What a packet says, with what belongs to it.
    public enum Content: Sendable, Hashable {
        /// CONNECT: a client asks to be let in, with an object of its own (`auth`) or none; the server lets it in, with the socket's id.
        case connect(SocketIOObject?)
        /// DISCONNECT: one side leaves the namespace.
        case disconnect
        /// EVENT: the event's name, a string or a number, then its arguments; with an id if an acknowledgement is asked for.
        case event([SocketIOValue], id: Int?)
        /// ACK: what the event of this id is answered with.
        case ack([SocketIOValue], id: Int)
        /// CONNECT_ERROR: the server lets a client not in; an object with a `message`, or a string.
        case connectError(SocketIOValue)
    }

    /// The namespace; `/` is the main one.
    public var namespace: String
    /// What the packet says.
    public var content: Content

    /// Makes a packet.
    public init(namespace: String = "/", content: Content) {
        self.namespace = namespace
        self.content = content
    }

    /// Makes an EVENT.
    ///
    /// - Parameters:
    ///   - name: the event's name; see `reservedEventNames`.
    ///   - arguments: what goes with it.
    ///   - namespace: the namespace.
    ///   - id: tells the acknowledgement that is asked for from others; 0 to `maxID`.
    public static func event(_ name: String, _ arguments: [SocketIOValue] = [], namespace: String = "/", id: Int? = nil) -> Self {
        Self(namespace: namespace, content: .event([.string(name)] + arguments, id: id))
    }

    /// The largest id: JavaScript counts no further without leaving numbers out (2⁵³ − 1).
    public static let maxID = (1 << 53) - 1

    /// The names that no event may have, as they mean something to the libraries themselves.
    public static let reservedEventNames: Set<String> = [
        "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
    ]

    /// Whether no event may have this name.
    public static func isReserved(_ name: String) -> Bool {
        // All of them begin with one of four letters, and most names do not.
        switch name.utf8.first {
        case UInt8(ascii: "c"), UInt8(ascii: "d"), UInt8(ascii: "n"), UInt8(ascii: "r"): reservedEventNames.contains(name)
        default: false
        }
    }
}

extension SocketIOValue {
    /// The name of the event that this value names: a string's text, or a number as JavaScript writes it; nil for anything else.
    public var eventName: String? {
        switch self {
        case .string(let name): name
        case .int(let number): String(number)
        case .double(let number): JSONWriter.text(of: number)
        default: nil
        }
    }
}
