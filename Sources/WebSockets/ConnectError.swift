// Why a client has no connection. A mistake in the address is `InvalidURL`, one in what the handshake should carry
// `HandshakeUsageError`, a server that answers in a wrong way `HandshakeFailure`.

public import HTTPTypes
public import NIOCore
import NIOPosix

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#elseif canImport(Glibc)
import Glibc
#endif

/// No connection came about: the network's fault, or that of a server, a proxy or a certificate on the way.
public struct ConnectError: Error, Sendable, CustomStringConvertible {
    /// What failed; more may be added.
    public struct Kind: RawRepresentable, Hashable, Sendable {
        /// A short and stable label.
        public let rawValue: String

        /// Wraps a label.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The host has no address.
        public static let unresolvedHost = Kind(rawValue: "unresolved_host")
        /// No address of the host took the connection.
        public static let unreachable = Kind(rawValue: "unreachable")
        /// The proxy did not open a tunnel.
        public static let proxy = Kind(rawValue: "proxy")
        /// A certificate or key of `ClientTLS` cannot be used.
        public static let tlsConfiguration = Kind(rawValue: "tls_configuration")
        /// TLS failed: the certificate is not trusted or not the host's, or there is no version or cipher in common.
        public static let tls = Kind(rawValue: "tls")
        /// It took longer than `timeout`.
        public static let timeout = Kind(rawValue: "timeout")
        /// The connection broke, or the server closed it, before it answered.
        public static let connectionLost = Kind(rawValue: "connection_lost")
        /// What the server answered is not HTTP, or over a limit.
        public static let invalidResponse = Kind(rawValue: "invalid_response")
        /// The server redirects to where the client must not follow, or too often.
        public static let redirect = Kind(rawValue: "redirect")
    }

    /// What failed.
    public let kind: Kind
    /// The address that was tried, after redirects, without credentials.
    public let url: String
    /// The error beneath it, if there was one.
    public let underlying: (any Error)?
    private let text: String

    init(_ kind: Kind, _ url: WebSocketURL, _ text: String, underlying: (any Error)? = nil) {
        self.kind = kind
        self.url = url.description
        self.text = text
        self.underlying = underlying
    }

    /// What happened, at which address, and what can be done about it.
    public var description: String { "cannot connect to \(url): \(text)" }
}

/// The server answered the handshake with something other than 101: it opened no WebSocket (RFC 6455 §4.1).
public struct HandshakeRefused: Error, Sendable, CustomStringConvertible {
    /// The most of the body that is kept: 64 KiB, which holds any explanation that is meant to be read.
    public static let maxBodySize = 65_536

    /// The address that answered, after redirects, without credentials.
    public let url: String
    /// The server's answer.
    public let response: HTTPResponse
    /// Its body.
    public let body: ByteBuffer
    /// Whether more of the body than was kept should have come: it was over `maxBodySize`, or the connection or the time ended first.
    public let isBodyTruncated: Bool

    /// The address, the status, and the beginning of the body if it is plain text.
    public var description: String {
        let status = response.status
        let phrase = status.reasonPhrase.isEmpty ? "" : " " + Self.printable(status.reasonPhrase)
        return "\(url) opened no WebSocket: the server answered \(status.code)\(phrase)\(hint)\(excerpt)"
    }

    private var hint: String {
        switch response.status.code {
        case 200: ", as to an ordinary request; is the path right?"
        case 300..<400: Redirect.shown(response)
        case 400 where saysTLS: ", and says that it speaks TLS on this port; try wss://"
        case 426: response.headerFields[.secWebSocketVersion].map { ", and speaks WebSocket version \(Self.printable($0))" } ?? ""
        default: ""
        }
    }

    /// Whether the answer is what nginx, Apache or Go say to a plaintext request on a port with TLS.
    private var saysTLS: Bool {
        let text = String(buffer: body)
        return ["HTTPS port", "HTTPS server", "SSL-enabled server"].contains { text.contains($0) }
    }

    private var excerpt: String {
        guard response.headerFields[.contentType]?.hasPrefix("text/plain") == true, body.readableBytes > 0 else { return "" }
        return ": " + Self.printable(String(buffer: body))
    }

    /// One line of what a stranger wrote, fit for a terminal.
    static func printable(_ text: String) -> String {
        let line = text.prefix { !$0.isNewline }
        return line.prefix(200).unicodeScalars.map { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) ? "?" : String($0) }.joined()
    }
}

// MARK: The network's errors, in words

extension ConnectError {
    /// Puts what another client met on the same way into the same words; nil for what is not about names, addresses, TLS or the proxy.
    package init?(explaining error: any Error, _ url: WebSocketURL, proxy: Proxy?) {
        if let known = error as? ConnectError {
            self = known
        } else if let failure = TLSFailure.connectError(error, url, certificate: nil) {
            self = failure
        } else if error is NIOConnectionError || Self.isUnreachable(error) {
            self = .unreachable(error, url, proxy?.description ?? url.host)
        } else if let proxy, let reason = Proxy.reason(error) {
            self.init(proxy: proxy, url, reason, underlying: error)
        } else {
            return nil
        }
    }

    /// Whether it is what connecting to one address, and nothing after that, ends with.
    private static func isUnreachable(_ error: any Error) -> Bool {
        [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH].contains((error as? IOError)?.errnoCode)
    }

    /// What a proxy did instead of opening a tunnel.
    package init(proxy: Proxy, _ url: WebSocketURL, _ text: String, underlying: any Error) {
        self.init(.proxy, url, "the \(proxy) \(text)", underlying: underlying)
    }

    /// Puts the resolver's and the system's errors into words.
    ///
    /// - Parameter peer: what was to be connected to: the host, or the proxy.
    static func unreachable(_ error: any Error, _ url: WebSocketURL, _ peer: String) -> ConnectError {
        guard let failure = error as? NIOConnectionError else {
            return ConnectError(.unreachable, url, "\(peer): \(reason(error))", underlying: error)
        }
        guard !failure.connectionErrors.isEmpty else {
            return ConnectError(
                .unresolvedHost, url, "no address was found for \(peer); is the name right, and the network up?", underlying: error)
        }
        let tries = failure.connectionErrors.map { "\($0.target.ipAddress ?? "\($0.target)"): \(reason($0.error))" }
        return ConnectError(
            .unreachable, url, "\(peer) cannot be reached on port \(failure.port): \(tries.joined(separator: "; "))",
            underlying: error)
    }

    /// What an error of the system or of NIO means.
    static func reason(_ error: any Error) -> String {
        switch error {
        case let error as IOError where error.errnoCode == ECONNREFUSED: "connection refused; nothing listens there"
        case let error as IOError: String(cString: strerror(error.errnoCode)).lowercased()
        case ChannelError.connectTimeout: "no answer in time"
        default: "\(error)"
        }
    }
}
