// Web origins, and whether a page may open a connection to this server (RFC 6454 §4 to §6, RFC 6455 §10.2).
//
// A browser sends its cookies to any server that any page names, so that without this check every page could speak for its
// visitor: cross-site WebSocket hijacking. Origins are compared by scheme, host and port, all three and exactly, never by
// prefix or suffix: `https://good.evil` begins like a good origin.

/// A web origin: scheme, host and port (RFC 6454 §4).
///
/// There is no value for an opaque origin, which browsers send as `null`: it equals nothing, not even itself.
public struct Origin: Hashable, Sendable, CustomStringConvertible {
    /// The scheme in lower case, such as `https`.
    public let scheme: String
    /// The host in lower case; an IPv6 address with its brackets.
    public let host: String
    /// The port, the scheme's own where none was written; nil if the scheme has none.
    public let port: UInt16?

    /// Parses `scheme://host[:port]`.
    ///
    /// Nil for `null` and for anything else that is not an origin: a path, a slash at the end, a user name, spaces, bytes
    /// beyond ASCII (browsers write international names in their ASCII form).
    public init?(_ text: String) {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")), text[colon...].utf8.starts(with: "://".utf8) else { return nil }
        let scheme = text[..<colon].utf8
        guard Self.isScheme(scheme), let authority = Authority(text[colon...].utf8.dropFirst(3)) else { return nil }
        self.scheme = String(decoding: scheme.map(HeaderTokens.lowercase), as: UTF8.self)
        host = authority.host
        port = authority.port ?? Self.defaultPort(of: self.scheme)
    }

    /// The origin as a browser writes it: the port only where it is not the scheme's own.
    public var description: String {
        let suffix = port == Self.defaultPort(of: scheme) ? "" : port.map { ":\($0)" } ?? ""
        return "\(scheme)://\(host)\(suffix)"
    }

    /// Whether a page of this origin is of the same origin as the server it connects to.
    ///
    /// The host must be the one the request was sent to, and the port too. The scheme needs thought, because a server behind
    /// a proxy that ends TLS sees a plaintext connection from a page that was loaded over `https`:
    ///
    /// - `https` on TLS, `http` on plaintext: the ordinary cases.
    /// - `http` on TLS: never. Whoever sits on the network can write such a page.
    /// - `https` on plaintext: accepted, for the proxy's sake, unless `strictly`. The browser connected to the proxy under the
    ///   port in `Host`, and left it out if it was 443; so a `Host` without a port is read as the *origin's* default port,
    ///   not as 80. Without a proxy this opens nothing: browsers refuse plaintext connections from `https` pages, except
    ///   to the machine itself, and the page is of the same host in any case.
    ///
    /// - Parameters:
    ///   - origin: The value of the `Origin` field.
    ///   - host: The value of `Host`, or `:authority`.
    ///   - isSecure: Whether this server's own connection is TLS.
    ///   - strictly: Whether `https` on plaintext is refused. For servers that no proxy stands in front of.
    public static func isSameOrigin(origin: String, host: String, isSecure: Bool, strictly: Bool = false) -> Bool {
        guard let origin = Origin(origin), let authority = Authority(host.utf8) else { return false }
        switch origin.scheme {
        case "https": guard isSecure || !strictly else { return false }
        case "http": guard !isSecure else { return false }
        default: return false
        }
        return origin.host == authority.host && origin.port == authority.port ?? defaultPort(of: origin.scheme)
    }

    private static func defaultPort(of scheme: String) -> UInt16? {
        switch scheme {
        case "http", "ws": 80
        case "https", "wss": 443
        default: nil
        }
    }

    /// > RFC 3986 §3.1: scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )
    private static func isScheme(_ bytes: some Collection<UInt8>) -> Bool {
        guard let first = bytes.first, Authority.isLetter(first) else { return false }
        return bytes.allSatisfy { Authority.isLetter($0) || Authority.isDigit($0) || "+-.".utf8.contains($0) }
    }
}

/// The host and port of a `Host` field or an origin (RFC 3986 §3.2), without user information.
///
/// Of the characters a host may have by RFC 3986, only those are allowed that name a host on a network: no percent encoding and
/// none of the separators that software disagrees about.
struct Authority: Hashable, Sendable {
    /// The host in lower case; an IPv6 address with its brackets.
    let host: String
    /// The port, if one is written. `host:` has none.
    let port: UInt16?

    init?(_ bytes: some BidirectionalCollection<UInt8>) {
        let bytes = bytes.map(HeaderTokens.lowercase)
        let end: Int
        if bytes.first == UInt8(ascii: "[") {
            guard let bracket = bytes.firstIndex(of: UInt8(ascii: "]")), Self.isAddress(bytes[1..<bracket]) else { return nil }
            end = bracket + 1
        } else {
            end = bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.count
            guard end > 0, bytes[..<end].allSatisfy(Self.isHostByte) else { return nil }
        }
        host = String(decoding: bytes[..<end], as: UTF8.self)
        switch Self.port(bytes[end...]) {
        case .none: return nil
        case .some(let port): self.port = port
        }
    }

    /// The port behind the host: nil if it is malformed, `.some(nil)` if there is none.
    private static func port(_ bytes: ArraySlice<UInt8>) -> UInt16?? {
        guard let colon = bytes.first else { return .some(nil) }
        let digits = bytes.dropFirst()
        guard colon == UInt8(ascii: ":"), digits.allSatisfy(isDigit), digits.count <= 5 else { return nil }
        guard !digits.isEmpty else { return .some(nil) }
        guard digits.first != UInt8(ascii: "0"), let port = UInt16(String(decoding: digits, as: UTF8.self)) else { return nil }
        return .some(port)
    }

    /// Whether this looks like an IPv6 address. It is only ever compared, so its fields are not counted.
    private static func isAddress(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.count { $0 == UInt8(ascii: ":") } >= 2 && bytes.allSatisfy { isDigit($0) || "abcdef:.".utf8.contains($0) }
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        isLetter(byte) || isDigit(byte) || "-._~".utf8.contains(byte)
    }

    static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(HeaderTokens.lowercase(byte))
    }

    static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}
