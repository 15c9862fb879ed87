// What is known of the request that opened a session.

public import HTTPTypes
public import NIOCore
public import WebSockets

/// The request that opened a session.
public struct EngineIOHandshake: Sendable {
    /// The request, without its body and, on WebSocket, without the fields that only the upgrade itself needs.
    public let request: ServerRequest
    /// When it came: milliseconds since 1970.
    public let issued: Int64

    /// The header fields.
    public var headerFields: HTTPFields { request.head.headerFields }
    /// The client's address; a proxy's, if there is one in between.
    public var remoteAddress: SocketAddress? { request.remoteAddress }
    /// Whether it came over TLS.
    public var isSecure: Bool { request.isSecure }
    /// All of the query, percent-decoded; of a name that comes twice, the last value.
    public var query: [String: String] { Dictionary(request.queryItems) { $1 } }
}
