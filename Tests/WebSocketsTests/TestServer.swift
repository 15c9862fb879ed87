// A server of this library that runs while a test's body does, and a record of what it logs.

import Foundation
import HTTPTypes
import Logging
import NIOCore
import NIOSSL
import Synchronization
import TestSupport
import WebSocketCore

@testable import WebSockets

/// Runs a server on a free port; at the end, connections that are still open are cut.
@discardableResult
func withServer<R>(
    _ configuration: WebSocketServer.Configuration = .forTests(), routes: (WebSocketServer) -> Void = addEchoes,
    _ body: (Int, WebSocketServer) async throws -> R
) async throws -> R {
    let server = WebSocketServer(port: 0, configuration: configuration)
    routes(server)
    let run = Task { try await server.run() }
    do {
        let port = try await server.waitUntilListening().port ?? 0
        let result = try await body(port, server)
        run.cancel()
        try await run.value
        return result
    } catch {
        run.cancel()
        _ = try? await run.value
        throw error
    }
}

/// `/echo` by callbacks, `/echo-async` by `for try await`, `/hello` for plain HTTP.
func addEchoes(to server: WebSocketServer) {
    server.webSocket("/echo") { (_: WebSocket) in TestEcho() }
    server.webSocket("/echo-async") { socket in
        for try await message in socket { try await socket.send(message) }
    }
    server.http { request in request.path == "/hello" ? .text("hello") : .text("no", status: .notFound) }
}

/// `/echo`; everything else says what was asked, and `/body` says the body.
func addMirror(to server: WebSocketServer) {
    server.webSocket("/echo") { (_: WebSocket) in TestEcho() }
    server.http { request in
        request.path == "/body" ? ServerResponse(.ok, body: request.body) : .text("\(request.head.method) \(request.head.path ?? "")")
    }
}

/// What a server says to bytes after which it closes.
func answer(_ text: String, routes: (WebSocketServer) -> Void = addMirror) async throws -> String {
    try await withServer(routes: routes) { port, _ in try await RawClient.answer(port: port, to: text.utf8) }
}

struct TestEcho: WebSocketHandler {
    func received(_ message: Message, from socket: WebSocket) { socket.trySend(message) }
}

extension WebSocketServer.Configuration {
    /// One thread, no time for farewells, and more for handshakes than the slowest machine takes.
    static func forTests(log: LogRecorder = LogRecorder(), maxMessageSize: Int = 1 << 20) -> Self {
        var configuration = Self(threads: 1, drainTimeout: .zero, logger: log.logger)
        configuration.connection.limits = Limits(maxMessageSize: maxMessageSize)
        configuration.transport = .underTest
        configuration.handshakeTimeout = .seconds(60)
        return configuration
    }
}

extension WebSocketClient.Configuration {
    /// With a timeout that no machine is too slow for; it only keeps a test from hanging.
    static let patient = Self(timeout: .seconds(60))
}

extension WebSocketServer.Transport {
    /// What `DUPLEX_TEST_TRANSPORT` says, so that the same tests run over each: `automatic`, which is the default, or `nio`.
    static let underTest = ProcessInfo.processInfo.environment["DUPLEX_TEST_TRANSPORT"].flatMap(Self.init) ?? .automatic
}

/// Keeps what is logged.
final class LogRecorder: Sendable {
    struct Line: Sendable {
        let level: Logger.Level
        let text: String
        let metadata: Logger.Metadata
    }

    private struct Handler: LogHandler {
        let recorder: LogRecorder
        var logLevel = Logger.Level.debug
        var metadata: Logger.Metadata = [:]

        init(_ recorder: LogRecorder) { self.recorder = recorder }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let line = Line(level: event.level, text: event.message.description, metadata: event.metadata ?? [:])
            recorder.kept.withLock { $0.append(line) }
        }
    }

    private let kept = Mutex<[Line]>([])

    var logger: Logger { Logger(label: "test", factory: { _ in Handler(self) }) }
    var lines: [Line] { kept.withLock { $0 } }

    /// What an operator sees of the connections at the usual level; the server's own end is another matter.
    var shown: [Line] { lines.filter { $0.level >= .info && $0.text != "draining" } }
}

extension TestAuthority {
    /// Files of a certificate for localhost.
    func serverTLS(in folder: TestFolder, asksForCertificate: Bool = false) throws -> ServerTLS {
        let files = try files(identity(names: ["localhost"]), in: folder)
        return ServerTLS(
            certificateChain: files.certificate, privateKey: files.key,
            clientRoots: asksForCertificate ? try folder.write(root, "root.pem") : nil)
    }

    /// A context for a client that trusts this authority.
    func clientContext(_ identity: Identity? = nil, _ adjust: (inout TLSConfiguration) -> Void = { _ in }) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(root.utf8)))
        if let identity {
            let (chain, key) = try identity.nioSSL()
            configuration.certificateChain = chain
            configuration.privateKey = key
        }
        adjust(&configuration)
        return try NIOSSLContext(configuration: configuration)
    }
}
