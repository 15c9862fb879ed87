// Plain HTTP on a WebSocket server's port: what is asked and what is answered.

public import HTTPTypes
public import NIOCore
public import WebSocketDeflate

/// An HTTP request, whole.
public struct ServerRequest: Sendable {
    /// Method, path with query, authority and header fields.
    public let head: HTTPRequest
    /// The body; empty if there is none.
    public let body: ByteBuffer
    /// What stood for the `{name}`s of the route, percent-decoded.
    public internal(set) var parameters: [String: String] = [:]
    /// The subprotocols that the client of a handshake offers, the preferred one first.
    public internal(set) var subprotocols: [String] = []
    /// The peer's address.
    public let remoteAddress: SocketAddress?
    /// Whether it came over TLS.
    public let isSecure: Bool
    /// Its bytes and its answer's, counted as they pass; nil for a handshake, and for what another HTTP server was asked.
    public internal(set) var traffic: RequestTraffic?

    /// Makes a request, for what is handed one: Engine.IO on another HTTP server, or a test.
    public init(head: HTTPRequest, body: ByteBuffer = ByteBuffer(), remoteAddress: SocketAddress? = nil, isSecure: Bool = false) {
        self.head = head
        self.body = body
        self.remoteAddress = remoteAddress
        self.isSecure = isSecure
    }

    /// The path without the query.
    public var path: String { String(Substring((head.path ?? "/").utf8.prefix { $0 != UInt8(ascii: "?") })) }

    /// The first value that the query has for a name, decoded as a form's (`+` is a space); nil if there is none.
    public func query(_ name: String) -> String? {
        for parts in queryParts where parts.first.flatMap(Self.decode) == name { return parts.count > 1 ? Self.decode(parts[1]) : "" }
        return nil
    }

    /// Whether the query has a value for a name, be it one that can not be decoded.
    package func hasQuery(_ name: String) -> Bool { queryParts.contains { $0.first.flatMap(Self.decode) == name } }

    /// All names and values of the query, decoded as a form's, in their order; what can not be decoded is left out.
    public var queryItems: [(name: String, value: String)] {
        queryParts.compactMap { parts in
            guard let name = parts.first.flatMap(Self.decode), let value = parts.count > 1 ? Self.decode(parts[1]) : "" else { return nil }
            return (name, value)
        }
    }

    /// Each name, with its value if it has one.
    private var queryParts: [[Substring]] {
        guard let path = head.path, let start = path.firstIndex(of: "?") else { return [] }
        return path[path.index(after: start)...].split(separator: "&")
            .map { $0.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false) }
    }

    private static func decode(_ text: Substring) -> String? { Route.percentDecoded(Substring(text.map { $0 == "+" ? " " : $0 })) }
}

/// An HTTP response, whole.
public struct ServerResponse: Sendable {
    /// Status and header fields; `Content-Length` (`Transfer-Encoding` for a stream) and `Connection` are added on the way out.
    public var head: HTTPResponse
    /// The body.
    public var body: ByteBuffer
    /// What writes the body instead, piece by piece.
    var stream: ResponseStream.Body?

    /// A response with a status, and header fields and a body if there are any.
    public init(_ status: HTTPResponse.Status, headerFields: HTTPFields = [:], body: ByteBuffer = ByteBuffer()) {
        head = HTTPResponse(status: status, headerFields: headerFields)
        self.body = body
    }

    private init(_ status: HTTPResponse.Status, type: String, _ body: ByteBuffer) {
        self.init(status, headerFields: [.contentType: type, .xContentTypeOptions: "nosniff"], body: body)
    }

    /// Plain text.
    public static func text(_ text: String, status: HTTPResponse.Status = .ok) -> Self {
        Self(status, type: "text/plain; charset=utf-8", ByteBuffer(string: text))
    }

    /// A page.
    public static func html(_ html: String, status: HTTPResponse.Status = .ok) -> Self {
        Self(status, type: "text/html; charset=utf-8", ByteBuffer(string: html))
    }

    /// JSON that is encoded already.
    public static func json(_ json: String, status: HTTPResponse.Status = .ok) -> Self {
        Self(status, type: "application/json", ByteBuffer(string: json))
    }
}

/// What becomes of a handshake.
public struct Upgrade<State: Sendable>: Sendable {
    enum Decision: Sendable {
        case accept(State, subprotocol: String?, headerFields: HTTPFields, compression: Compression?)
        case reject(ServerResponse)
    }
    let decision: Decision

    /// Opens the WebSocket.
    ///
    /// - Parameters:
    ///   - state: what the handler gets.
    ///   - subprotocol: one of those that the client offers, or nil.
    ///   - headerFields: more for the 101, such as `Set-Cookie`.
    ///   - compression: another than the server's `ConnectionConfiguration.compression`, such as `.off` for a client that does it wrong.
    public static func accept(
        _ state: State, subprotocol: String? = nil, headerFields: HTTPFields = [:], compression: Compression? = nil
    ) -> Self {
        Self(decision: .accept(state, subprotocol: subprotocol, headerFields: headerFields, compression: compression))
    }

    /// Refuses with a whole response.
    public static func reject(_ response: ServerResponse) -> Self { Self(decision: .reject(response)) }

    /// Refuses with a status.
    public static func reject(_ status: HTTPResponse.Status) -> Self { .reject(.text(status.reasonPhrase + "\n", status: status)) }
}
