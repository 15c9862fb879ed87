// What is known of the client that a socket stands for.

public import EngineIO
public import HTTPTypes
public import NIOCore

/// How a client came to a namespace: what it sent with CONNECT, and the request that opened its connection.
public struct SocketIOHandshake: Sendable {
    /// What the client sent to be let in: its `auth`.
    public let auth: SocketIOValue
    /// The request that opened the connection.
    public let connection: EngineIOHandshake

    /// The header fields of that request.
    public var headers: HTTPFields { connection.headerFields }
    /// Its query, percent-decoded.
    public var query: [String: String] { connection.query }
    /// The client's address; a proxy's, if there is one in between.
    public var address: SocketAddress? { connection.remoteAddress }
    /// Whether it came over TLS.
    public var isSecure: Bool { connection.isSecure }
    /// When it came: milliseconds since 1970.
    public var issued: Int64 { connection.issued }

    /// Decodes `auth`.
    ///
    /// - Throws: `SocketIOArgumentError` that says what does not fit.
    public func auth<T: Decodable>(as type: T.Type = T.self) throws(SocketIOArgumentError) -> T {
        try ValueDecoder().decode(type, from: auth)
    }
}
