// What this side asked of a handshake that must not be sent (RFC 6455 §4.1, §4.2.2; RFC 9110 §5.5).
//
// swift-http-types turns CR, LF and NUL in header values into spaces, which would send something other than was asked for.
// So everything that comes from the user is checked here, as it was given, before it is put into a message.

public import HTTPTypes

/// A mistake of this side in a handshake: what the program asked to send must not be sent.
public enum HandshakeUsageError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The path does not begin with a slash or holds a space, a control character, `#` or a byte beyond ASCII.
    case invalidPath
    /// The authority is not `host` or `host:port`.
    case invalidAuthority
    /// A subprotocol is not a token, or is offered twice.
    case invalidSubprotocol
    /// An extension has a name, parameter or value that is not a token.
    case invalidExtension
    /// The server chose a subprotocol that the client did not offer.
    case subprotocolNotOffered(String)
    /// The server chose an extension that the client did not offer, or chose it twice.
    case extensionNotOffered(String)
    /// A header value holds control characters.
    case invalidHeaderValue(HTTPField.Name)
    /// An additional header belongs to the handshake itself, or to the message's framing.
    case reservedHeader(HTTPField.Name)

    /// What was asked for and why it was refused, as a sentence.
    public var description: String {
        switch self {
        case .invalidPath:
            "the path must begin with / and hold only visible ASCII without #; percent-encode the rest"
        case .invalidAuthority:
            "the authority must be host or host:port, with an international name in its ASCII form"
        case .invalidSubprotocol:
            "a subprotocol must be a token (letters, digits and !#$%&'*+-.^_`|~) and be listed once"
        case .invalidExtension:
            "the names and values of an extension must be tokens"
        case .subprotocolNotOffered(let name):
            "the client did not offer the subprotocol \(HandshakeText.quoted(name)); choose from what it offered, or none"
        case .extensionNotOffered(let name):
            "the client did not offer the extension \(HandshakeText.quoted(name)), or it was chosen twice"
        case .invalidHeaderValue(let name):
            "the value of \(name.rawName) holds control characters"
        case .reservedHeader(let name):
            "\(name.rawName) belongs to the handshake and cannot be set as an additional header"
        }
    }
}

/// Checks and wording that both sides of the handshake share.
enum HandshakeText {
    /// Puts text in quotation marks, fit for one line of a log: whatever is not visible ASCII is escaped, and it is cut to 80
    /// characters.
    static func quoted(_ text: String) -> String {
        let scalars = text.unicodeScalars
        let shown = scalars.prefix(80).map { $0.escaped(asASCII: true) }.joined()
        return "\"\(shown)\(scalars.dropFirst(80).isEmpty ? "" : "…")\""
    }

    /// The fields that belong to the handshake or to the message's framing, apart from those of `Sec-WebSocket-`. `Host` is the
    /// request's authority.
    private static let reserved: Set<String> = ["connection", "content-length", "host", "transfer-encoding", "upgrade"]

    /// Refuses additional headers that would change the handshake, its framing, or the shape of the message.
    static func check(additional: HTTPFields) throws(HandshakeUsageError) {
        for field in additional {
            let name = field.name.canonicalName
            guard !reserved.contains(name), !name.hasPrefix("sec-websocket-") else { throw .reservedHeader(field.name) }
            guard field.withUnsafeBytesOfValue({ HTTPField.isValidValue($0) }) else { throw .invalidHeaderValue(field.name) }
        }
    }

    /// Whether the bytes can stand as the target in a request line: visible ASCII from a slash on, without a fragment.
    static func isPath(_ path: String) -> Bool {
        path.utf8.first == UInt8(ascii: "/") && path.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "#") }
    }
}
