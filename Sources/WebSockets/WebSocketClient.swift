// A client: RFC 6455 §4.1. It follows redirects, from try to try, until a WebSocket is open or there is a reason why not.

import HTTPTypes
import Logging
import NIOCore
import NIOSSL
import WebSocketCore
import WebSocketDeflate

/// Connects to WebSocket servers (RFC 6455 §4.1).
///
/// Three ways to do so: `connect` with a closure, which has the connection for as long as it runs; `connect` with a handler, for
/// callbacks; and `sessions`, which connects anew whenever a connection has ended.
public enum WebSocketClient {
    /// What all the client's connections of this process are counted in.
    static let statistics = Statistics(role: .client)
    static let threads = ClientThreads(statistics: statistics)

    /// Connects, runs the closure with the connection, and closes it.
    ///
    /// The closure runs on the connection's own thread, so that it must not block; messages reach it without a hop. When it returns,
    /// the connection is closed with 1000, when it throws, with 1011, and when its task was cancelled, with 1001; this returns
    /// once the close handshake is done, or `connection.closeTimeout` is over.
    ///
    /// - Parameter url: a `ws://` or `wss://` address; a user name and password in it become Basic credentials.
    /// - Returns: what the closure returns.
    /// - Throws: what the closure throws; `CancellationError`; and if there is no connection `InvalidURL` or `HandshakeUsageError` (your
    ///   fault), `HandshakeRefused` or `HandshakeFailure` (the server answered no, or in a wrong way), `ConnectError` (anything between).
    public static func connect<R: Sendable>(
        _ url: String, configuration: Configuration = Configuration(), _ body: @concurrent @Sendable (WebSocket) async throws -> R
    ) async throws -> R {
        let socket = try await open(url, configuration, makeHandler: nil)
        do {
            let result = try await withTaskExecutorPreference(socket.executor) {
                socket.beginReading()
                return try await body(socket)
            }
            await close(socket, .normalClosure)
            return result
        } catch {
            await close(socket, error is CancellationError ? .goingAway : .internalServerError)
            throw error
        }
    }

    private static func close(_ socket: WebSocket, _ code: CloseCode) async {
        socket.thread.perform { socket.beginClose(code, "") }
        _ = await socket.waitUntilClosed()
    }

    /// Connects and has a handler called with what happens; returns once the connection is open.
    ///
    /// The connection lives until one side closes it.
    ///
    /// - Parameters:
    ///   - url: a `ws://` or `wss://` address; a user name and password in it become Basic credentials.
    ///   - handler: makes the handler; called on the connection's own thread, before anything happens on it.
    /// - Throws: as the other `connect` does if there is no connection.
    public static func connect(
        _ url: String, configuration: Configuration = Configuration(), handler: @escaping @Sendable (WebSocket) -> any WebSocketHandler
    ) async throws -> WebSocket {
        try await open(url, configuration, makeHandler: handler)
    }

    // MARK: Opening

    /// Opens a WebSocket, by as many tries as redirects ask for.
    static func open(
        _ url: String, _ configuration: Configuration, makeHandler: ClientAttempt.MakeHandler?
    ) async throws -> WebSocket {
        let deadline = NIODeadline.now() + TimeAmount(configuration.timeout)
        var url = try WebSocketURL(url)
        var fields = configuration.headers
        if let credentials = url.credentials, fields[.authorization] == nil {
            fields[.authorization] = BasicCredentials.field(credentials)
        }
        // > RFC 9110 §10.1.5: A user agent SHOULD send a User-Agent header field in each request
        if fields[.userAgent] == nil { fields[.userAgent] = "duplex" }
        var redirectsLeft = configuration.maxRedirects
        while true {
            try Task.checkCancellation()
            let plan = try await plan(url, fields, configuration, followsRedirects: configuration.maxRedirects > 0, deadline)
            configuration.logger.debug("connecting", metadata: ["url": "\(url)"])
            switch try await ClientAttempt(plan, configuration, makeHandler: makeHandler).run() {
            case .opened(let socket): return socket
            case .redirected(let response):
                let redirect = try Redirect(from: url, response)
                guard redirectsLeft > 0 else { throw Redirect.tooMany(configuration.maxRedirects, from: url, to: redirect.url) }
                redirectsLeft -= 1
                fields = redirect.fields(from: url, fields)
                url = redirect.url
            }
        }
    }

    /// Prepares a try; off the caller's thread, as it may read files.
    @concurrent
    private static func plan(
        _ url: WebSocketURL, _ fields: HTTPFields, _ configuration: Configuration, followsRedirects: Bool, _ deadline: NIODeadline
    ) async throws -> ClientAttempt.Plan {
        let handshake = try ClientHandshake(
            authority: url.authority, path: url.path, isSecure: url.isSecure, subprotocols: configuration.subprotocols,
            extensions: DeflateNegotiation.offer(configuration.connection.compression).map { [$0.offer] } ?? [], additional: fields,
            random: .random(in: 0...255))
        guard url.isSecure else {
            return .init(url: url, handshake: handshake, tls: nil, followsRedirects: followsRedirects, deadline: deadline)
        }
        let name = try configuration.tls.checkedName(url, throughProxy: configuration.proxy != nil)
        let context = try configuration.tls.context(url)
        return .init(url: url, handshake: handshake, tls: (context, name), followsRedirects: followsRedirects, deadline: deadline)
    }
}
