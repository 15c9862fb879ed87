// Which proxy a client connects through: RFC 6455 §4.1 step 3. TLS and the handshake go through its tunnel as if it was not there.

/// A proxy through which a client connects (RFC 6455 §4.1).
public struct Proxy: Sendable, Hashable, CustomStringConvertible {
    package enum Kind: Sendable, Hashable {
        case http(credentials: String?)
        case socks5
    }

    package let kind: Kind
    package let host: String
    package let port: Int

    /// An HTTP proxy that is asked with CONNECT (RFC 9110 §9.3.6), whether the address is `ws` or `wss`.
    ///
    /// The way to the proxy itself is not encrypted, so the user name and password, sent as Basic credentials (RFC 7617), can be read on it.
    public static func http(host: String, port: Int, user: String? = nil, password: String = "") -> Proxy {
        Proxy(kind: .http(credentials: user.map { "\($0):\(password)" }), host: host, port: port)
    }

    /// A SOCKS5 proxy (RFC 1928) that asks for no password. It resolves the server's name itself.
    public static func socks5(host: String, port: Int) -> Proxy { Proxy(kind: .socks5, host: host, port: port) }

    /// The kind and the place of the proxy, without credentials.
    public var description: String { "\(kind == .socks5 ? "SOCKS5" : "HTTP") proxy \(host):\(port)" }
}
