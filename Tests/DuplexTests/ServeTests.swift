// What `duplex serve` answers, and how it takes its arguments.

import ArgumentParser
import Gallery
import HTTPTypes
import NIOCore
import RedisPubSub
import Testing
import WebSocketCore

@testable import WebSockets
@testable import duplex

@Suite(.timeLimit(.minutes(1))) struct ServeTests {
    private func parse(_ arguments: String...) throws -> Serve {
        try #require(try Duplex.parseAsRoot(["serve"] + arguments) as? Serve)
    }

    private func ask(_ path: String, _ method: HTTPRequest.Method = .get, _ server: WebSocketServer? = nil) -> ServerResponse {
        let head = HTTPRequest(method: method, scheme: "http", authority: "a", path: path)
        return Serve.respond(to: ServerRequest(head: head, body: ByteBuffer(), remoteAddress: nil, isSecure: false), server, Exhibition())
    }

    // MARK: Arguments

    @Test func takesEverything() throws {
        let serve = try parse(
            "--host", "0.0.0.0", "--port", "9", "--threads", "2", "--tls-certificate", "c.pem", "--tls-key", "k.pem", "--max-message-size",
            "5", "--max-connections", "7", "--allow-origin", "https://a.example", "--allow-origin", "http://b.example:81")
        let configuration = serve.makeConfiguration()
        #expect((serve.host, serve.port) == ("0.0.0.0", 9))
        #expect(configuration.threads == 2)
        #expect(configuration.tls?.certificateChain == "c.pem")
        #expect(configuration.tls?.privateKey == "k.pem")
        #expect(configuration.connection.limits.maxMessageSize == 5)
        #expect(configuration.maxConnections == 7)
        #expect(configuration.allowedOrigins.map(\.description).sorted() == ["http://b.example:81", "https://a.example"])
    }

    @Test func defaults() throws {
        let serve = try parse()
        #expect((serve.host, serve.port) == ("127.0.0.1", 8080))
        #expect(serve.makeConfiguration().tls == nil)
        #expect(serve.makeConfiguration().allowedOrigins.isEmpty)
    }

    @Test(arguments: [
        ["--port", "65536"], ["--port", "-1"], ["--threads", "0"], ["--max-message-size", "-1"], ["--max-connections", "0"],
        ["--redis", "redis"], ["--redis", "http://:secret@h"], ["--tls-key", "k.pem"], ["--tls-certificate", "c.pem"],
        ["--allow-origin", "a.example"], ["--allow-origin", "https://a/"],
    ])
    func refusesWhatMakesNoSense(_ arguments: [String]) {
        let error = #expect(throws: (any Error).self) { try Duplex.parseAsRoot(["serve"] + arguments) }
        // 64: a command that was used wrongly.
        if let error { #expect(Duplex.exitCode(for: error).rawValue == 64) }
    }

    @Test func sharesWithRedisWhatIsNotTheGallerys() throws {
        #expect(try parse("--redis", "redis://h:1/2").redis == "redis://h:1/2")
        #expect(try parse().makeConfiguration().backplane == nil)
        let redis = RedisClient(RedisConfiguration(url: RedisURL(host: "h")))
        #expect(try parse().makeConfiguration(redis).backplane is RedisBackplane)
        #expect(redis.status.state == .idle)
        for topic in ["ticker", "chat/lines/lobby", "devices/7", "nodes/lines"] { #expect(Exhibition.hasTopic(topic)) }
        for topic in ["", "a/ticker", "tickers", "broadcast"] { #expect(!Exhibition.hasTopic(topic)) }
    }

    // MARK: Plain HTTP

    @Test func servesThePage() throws {
        let response = ask("/console?name=ann")
        #expect(response.head.status == .ok)
        #expect(response.head.headerFields[.contentType] == "text/html; charset=utf-8")
        #expect(response.head.headerFields[.contentSecurityPolicy]?.hasPrefix("default-src 'none'; ") == true)
        #expect(String(buffer: response.body).contains("</html>"))
    }

    @Test func saysHowItIs() async throws {
        try await serving { url, server in
            try await WebSocketClient.connect(url + "/echo") { socket in
                try await socket.send("a")
                for try await _ in socket { break }
                // What a thread counts, it publishes at the end of its turn.
                while server.statistics.sent == 0 { await Task.yield() }
                let response = ask("/health", .get, server)
                #expect(response.head.headerFields[.contentType] == "application/json")
                #expect(
                    String(buffer: response.body)
                        == "{\"status\":\"ok\",\"connections\":1,\"connectionsTotal\":1,\"messagesReceived\":1,\"messagesSent\":1}\n")
            }
        }
        #expect(ask("/health").head.status == .serviceUnavailable)
    }

    @Test(arguments: [HTTPRequest.Method.post, .put, .delete, .options])
    func takesOnlyGETAndHEAD(_ method: HTTPRequest.Method) {
        let response = ask("/", method)
        #expect(response.head.status == .methodNotAllowed)
        #expect(response.head.headerFields[.allow] == "GET, HEAD")
        #expect(ask("/", .head).head.status == .ok)
    }

    @Test func knowsNothingElse() { #expect(ask("/nothing").head.status == .notFound) }

    // MARK: WebSockets

    @Test(arguments: ["/echo", "/echo-async"])
    func echoesWithTheTypeKept(_ path: String) async throws {
        try await serving { url, _ in
            let messages: [Message] = [.text("grüße"), .binary([0, 255]), .text("")]
            let echoed = try await WebSocketClient.connect(url + path) { socket in
                for message in messages { try await socket.send(message) }
                return try await take(messages.count, from: socket)
            }
            #expect(echoed == messages)
        }
    }
}

/// Serves what `duplex serve` serves while the body runs.
func serving(_ body: (String, WebSocketServer) async throws -> Void) async throws {
    let server = WebSocketServer(port: 0, configuration: .init(threads: 2, drainTimeout: .zero))
    try #require(try Duplex.parseAsRoot(["serve"]) as? Serve).addRoutes(to: server, Exhibition())
    let run = Task { try await server.run() }
    defer { run.cancel() }
    try await body("ws://127.0.0.1:\(server.waitUntilListening().port ?? 0)", server)
    run.cancel()
    try await run.value
}

/// The next messages of a connection.
func take(_ count: Int, from socket: WebSocket) async throws -> [Message] {
    var messages: [Message] = []
    var iterator = socket.makeAsyncIterator()
    while messages.count < count, let message = try await iterator.next() { messages.append(message) }
    return messages
}
