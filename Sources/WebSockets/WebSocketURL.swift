// The address of a WebSocket: RFC 6455 §3, with the grammar of RFC 3986 as far as it is needed.
//
// Path and query are kept byte for byte, as what is percent-encoded in them is between the user and the server. The host is checked
// strictly, as it goes to the resolver, into `Host` and into the check of the certificate.

import NIOCore

/// An address that cannot be connected to: the mistake is in the address, and no connection was tried.
public struct InvalidURL: Error, Hashable, Sendable, CustomStringConvertible {
    /// The address as it was given, its password left out.
    public let url: String
    /// What is wrong with it and what would be right.
    public let reason: String

    init(_ url: String, _ reason: String) {
        self.url = WebSocketURL.withoutPassword(url)
        self.reason = reason
    }

    /// The address and what is wrong with it.
    public var description: String { "\(url.debugDescription) is not a WebSocket address: \(reason)" }
}

/// The address of a WebSocket (RFC 6455 §3).
package struct WebSocketURL: Hashable, Sendable {
    /// Whether it is `wss`.
    package let isSecure: Bool
    /// The host in lower case; an IPv6 address without its brackets.
    package let host: String
    /// The port; the scheme's own where none was written.
    package let port: Int
    /// The path and the query as they stand in the address, from the first slash on.
    package let path: String
    /// `user:password`, percent-decoded.
    package let credentials: String?

    /// Parses `ws://`, `wss://`, `http://` or `https://` addresses; the latter two mean the same as the former.
    package init(_ text: String) throws(InvalidURL) {
        func invalid(_ reason: String) -> InvalidURL { InvalidURL(text, reason) }
        guard let bad = text.utf8.first(where: { !(0x21...0x7E).contains($0) }) else {
            self = try Self.parse(text[...].utf8, invalid)
            return
        }
        throw invalid(
            bad == 0x20
                ? "it holds a space: write %20"
                : bad > 0x7F
                    ? "it holds a character that is not ASCII: percent-encode it, or write an international host name as xn--…"
                    : "it holds a control character")
    }

    private init(isSecure: Bool, authority: (credentials: String?, host: String, port: Int?), path: String) {
        self.isSecure = isSecure
        self.host = authority.host
        self.port = authority.port ?? (isSecure ? 443 : 80)
        self.path = path
        self.credentials = authority.credentials
    }

    /// Another path, and query, of the same server; without the credentials.
    package init(_ server: WebSocketURL, path: String) {
        (isSecure, host, port, self.path, credentials) = (server.isSecure, server.host, server.port, path, nil)
    }

    private typealias Bytes = Substring.UTF8View
    private typealias Fault = (String) -> InvalidURL

    private static func parse(_ text: Bytes, _ invalid: Fault) throws(InvalidURL) -> WebSocketURL {
        guard let colon = text.firstIndex(of: UInt8(ascii: ":")), text[colon...].starts(with: "://".utf8) else {
            throw invalid("it must begin with ws:// or wss://")
        }
        let isSecure: Bool
        switch string(text[..<colon]).lowercased() {
        case "ws", "http": isSecure = false
        case "wss", "https": isSecure = true
        default: throw invalid("its scheme must be ws or wss")
        }
        // > RFC 6455 §3: Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be used on these URIs.
        guard !text.contains(UInt8(ascii: "#")) else {
            throw invalid("it has a fragment, which means nothing to a WebSocket (RFC 6455 §3): leave it out, or write # as %23")
        }
        let rest = text[colon...].dropFirst(3)
        let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
        // > RFC 6455 §3: "/" if the path component is empty
        let path = (rest[end...].first == UInt8(ascii: "/") ? "" : "/") + string(rest[end...])
        return WebSocketURL(isSecure: isSecure, authority: try authority(rest[..<end], invalid), path: path)
    }

    // MARK: The authority

    private static func authority(
        _ text: Bytes, _ invalid: Fault
    ) throws(InvalidURL) -> (credentials: String?, host: String, port: Int?) {
        guard let at = text.lastIndex(of: UInt8(ascii: "@")) else {
            let (host, port) = try hostAndPort(text, invalid)
            return (nil, host, port)
        }
        // Two of them are read differently by different software, which is how an address comes to lead elsewhere than it seems to.
        guard !text[..<at].contains(UInt8(ascii: "@")) else {
            throw invalid("it has two @ before the path: write the one in the user name or password as %40")
        }
        guard let credentials = percentDecoded(text[..<at]) else {
            throw invalid("its user name or password has a % that two hexadecimal digits do not follow, or is not UTF-8")
        }
        let (host, port) = try hostAndPort(text[at...].dropFirst(), invalid)
        return (credentials.contains(":") ? credentials : credentials + ":", host, port)
    }

    private static func hostAndPort(_ text: Bytes, _ invalid: Fault) throws(InvalidURL) -> (String, Int?) {
        guard text.first == UInt8(ascii: "[") else {
            let end = text.firstIndex(of: UInt8(ascii: ":")) ?? text.endIndex
            return (try name(text[..<end], invalid), try port(text[end...], invalid))
        }
        guard let bracket = text.firstIndex(of: UInt8(ascii: "]")) else { throw invalid("the [ of its host has no ]") }
        let address = string(text[..<bracket].dropFirst()).lowercased()
        guard let parsed = try? SocketAddress(ipAddress: address, port: 0), case .v6 = parsed, !address.contains("%") else {
            throw invalid("what stands in [ ] is not an IPv6 address")
        }
        return (address, try port(text[bracket...].dropFirst(), invalid))
    }

    private static func name(_ text: Bytes, _ invalid: Fault) throws(InvalidURL) -> String {
        guard !text.isEmpty else { throw invalid("it has no host") }
        // RFC 1035 §2.3.4 sets the length. RFC 3986 would allow more characters, none of which is in a name on a network.
        guard text.count <= 253 else { throw invalid("its host is longer than the 253 characters of a DNS name") }
        guard text.allSatisfy(isHostByte) else {
            throw invalid("its host may have letters, digits and -._~ only (an international name is written xn--…)")
        }
        return string(text).lowercased()
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-._~".utf8.contains(byte)
        }
    }

    private static func port(_ text: Bytes, _ invalid: Fault) throws(InvalidURL) -> Int? {
        guard let colon = text.first else { return nil }
        guard colon == UInt8(ascii: ":") else { throw invalid("something other than a port stands behind its host") }
        let digits = text.dropFirst()
        // RFC 3986 §3.2.3 lets the port be empty.
        guard !digits.isEmpty else { return nil }
        guard digits.count <= 5, digits.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains),
            let port = Int(string(digits)), (1...65535).contains(port)
        else { throw invalid("its port must be a number from 1 to 65535") }
        return port
    }

    // MARK: What goes where

    /// Whether the host is an IPv6 address.
    var isIPv6: Bool { host.contains(":") }

    /// The host as it stands in an address: an IPv6 address has its brackets.
    var bracketedHost: String { isIPv6 ? "[\(host)]" : host }

    /// Whether the host is an address rather than a name.
    var isAddress: Bool { (try? SocketAddress(ipAddress: host, port: 0)) != nil }

    /// What goes into `Host`: the port only where it is not the scheme's own (RFC 6455 §4.1).
    package var authority: String { port == (isSecure ? 443 : 80) ? bracketedHost : "\(bracketedHost):\(port)" }

    /// Whether a credential for one is one for the other, too: scheme, host and port are the same (RFC 6454 §5).
    package func isSameOrigin(as other: WebSocketURL) -> Bool {
        isSecure == other.isSecure && host == other.host && port == other.port
    }

    // MARK: Text

    private static func string(_ text: Bytes) -> String { String(Substring(text)) }

    /// Decodes percent-encoded UTF-8; nil for a stray % and for what is not UTF-8.
    private static func percentDecoded(_ text: Bytes) -> String? {
        var bytes: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit) else { return nil }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        Character(UnicodeScalar(byte)).hexDigitValue.map(UInt8.init)
    }

    /// An address fit for a log or an error: what stands between `//` and `@` is left out, but for a user name.
    static func withoutPassword(_ url: String) -> String {
        guard let slashes = url.firstRange(of: "://") else { return url }
        let rest = url[slashes.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard let at = authority.lastIndex(of: "@") else { return url }
        let user = authority[..<at].prefix { $0 != ":" }
        return url[..<slashes.upperBound] + user + ":…" + rest[at...]
    }
}

extension WebSocketURL: CustomStringConvertible {
    /// The address without credentials.
    package var description: String { "\(isSecure ? "wss" : "ws")://\(authority)\(path)" }

    /// The address without credentials and query, for errors about an address that a server has made up.
    var withoutQuery: String {
        let end = path.firstIndex(of: "?")
        return "\(isSecure ? "wss" : "ws")://\(authority)\(end.map { path[..<$0] + "?…" } ?? path[...])"
    }
}
