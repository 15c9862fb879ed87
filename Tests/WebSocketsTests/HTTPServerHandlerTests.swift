// Plain HTTP on a server's port, and the deadlines before a connection is a WebSocket.

import HTTPTypes
import Logging
import NIOCore
import NIOEmbedded
import Synchronization
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct HTTPServerHandlerTests {
    static let get = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"

    /// Says what was asked; `/body` says the body.
    static func addMirror(to server: WebSocketServer) {
        server.webSocket("/echo") { (_: WebSocket) in TestEcho() }
        server.http { request in
            request.path == "/body" ? ServerResponse(.ok, body: request.body) : .text("\(request.head.method) \(request.head.path ?? "")")
        }
    }

    /// What comes back for bytes after which the server closes.
    private func answer(_ text: String, routes: (WebSocketServer) -> Void = addMirror) async throws -> String {
        try await withServer(routes: routes) { port, _ in try await RawClient.answer(port: port, to: text.utf8) }
    }

    // MARK: Requests

    @Test func keepsAConnectionForMoreRequests() async throws {
        try await withServer { port, _ in
            let client = try await RawClient.connect(port: port)
            for _ in 0..<3 {
                try await client.send(Self.get)
                let (head, body) = try await client.readResponse()
                #expect(head.hasPrefix("HTTP/1.1 200 OK\r\n"))
                #expect(field("Connection", in: head) == "keep-alive")
                #expect(field("Content-Type", in: head) == "text/plain; charset=utf-8")
                #expect(body == "hello")
            }
            await client.close()
        }
    }

    @Test func closesWhenTheClientAsksForIt() async throws {
        let answer = try await answer("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(field("Connection", in: answer) == "close")
        #expect(answer.hasSuffix("\r\n\r\nGET /a"))
    }

    @Test func answersPipelinedRequestsInTheirOrder() async throws {
        try await withServer(routes: Self.addMirror) { port, _ in
            let client = try await RawClient.connect(port: port)
            try await client.send((0..<100).map { "GET /\($0) HTTP/1.1\r\nHost: a\r\n\r\n" }.joined())
            for number in 0..<100 { try await #expect(client.readResponse().body == "GET /\(number)") }
        }
    }

    @Test func answersHTTP10AndCloses() async throws {
        let answer = try await answer("GET /old HTTP/1.0\r\n\r\n")
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(field("Connection", in: answer) == "close")
        #expect(answer.hasSuffix("GET /old"))
    }

    @Test func sendsNoBodyToHEAD() async throws {
        try await withServer { port, _ in
            let client = try await RawClient.connect(port: port)
            try await client.send("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n" + Self.get)
            #expect(field("Content-Length", in: try await client.readHead()) == "5")
            try await #expect(client.readResponse().body == "hello")
        }
    }

    @Test(arguments: [
        "HEAD  HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD / HTTP/1.1\r\n\r\n", "HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD http: HTTP/1.1\r\nHost: a\r\n\r\n",
    ])
    func sendsNoBodyToARefusedHEAD(_ request: String) async throws {
        let answer = try await answer(request)
        // What is not HTTP has no method.
        #expect(answer.hasSuffix("\r\n\r\n") != request.hasPrefix("HEAD  "), "\(answer)")
    }

    @Test func readsChunkedBodies() async throws {
        try await withServer(routes: Self.addMirror) { port, _ in
            let client = try await RawClient.connect(port: port)
            try await client.send("POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
            try await #expect(client.readResponse().body == "abcde")
            try await client.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nfg")
            try await #expect(client.readResponse().body == "fg")
        }
    }

    @Test func saysContinueToWhoWaitsForIt() async throws {
        try await withServer(routes: Self.addMirror) { port, _ in
            let client = try await RawClient.connect(port: port)
            try await client.send("POST /body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            try await #expect(client.readHead() == "HTTP/1.1 100 Continue\r\n\r\n")
            try await client.send("ab")
            try await #expect(client.readResponse().body == "ab")
        }
    }

    @Test(arguments: ["1.0\r\nHost: a\r\nExpect: 100-continue", "1.1\r\nHost: a\r\nConnection: close\r\nExpect: miracles"])
    func ignoresOtherExpectations(_ version: String) async throws {
        let answer = try await answer("POST /body HTTP/\(version)\r\nContent-Length: 2\r\n\r\nab")
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(answer.hasSuffix("\r\n\r\nab"))
    }

    @Test(arguments: [
        "Content-Length: 9\r\n\r\n", "Content-Length: 9\r\nExpect: 100-continue\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n8\r\nabcdefgh\r\n1\r\ni\r\n",
    ])
    func refusesBodiesOverTheLimit(_ body: String) async throws {
        let log = LogRecorder()
        var configuration = WebSocketServer.Configuration.forTests(log: log)
        configuration.maxBodyBytes = 8
        try await withServer(configuration, routes: Self.addMirror) { port, _ in
            let answer = try await RawClient.answer(port: port, to: "POST /body HTTP/1.1\r\nHost: a\r\n\(body)".utf8)
            #expect(answer.hasPrefix("HTTP/1.1 413 "))
            #expect(field("Connection", in: answer) == "close")
        }
        #expect(log.shown.map(\.text) == ["refused: the body is over 8 bytes (limit maxBodyBytes)"])
    }

    // MARK: Refusals

    @Test(arguments: ["", "Host: a\r\nHost: a\r\n"])
    func refusesPlainRequestsWithoutExactlyOneHost(_ hosts: String) async throws {
        let answer = try await answer("GET / HTTP/1.1\r\n\(hosts)\r\n")
        #expect(answer.hasPrefix("HTTP/1.1 400 "))
    }

    @Test func answers404WithoutAResponder() async throws {
        let answer = try await answer("GET /no HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") { _ in }
        #expect(answer.hasPrefix("HTTP/1.1 404 Not Found\r\n"))
        #expect(answer.hasSuffix("\r\n\r\nNot found\n"))
    }

    @Test func answers405WithAllowOnAWebSocketPath() async throws {
        let answer = try await answer("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        #expect(answer.hasPrefix("HTTP/1.1 405 "))
        #expect(field("Allow", in: answer) == "GET")
    }

    @Test func answers426WithTheProtocolAndTheVersion() async throws {
        let plain = try await answer("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(plain.hasPrefix("HTTP/1.1 426 "))
        #expect(field("Upgrade", in: plain) == "websocket")
        // RFC 9110 §7.8: whoever sends Upgrade MUST name it in Connection.
        #expect(field("Connection", in: plain) == "close, upgrade")
        let old = try await answer(RawClient.handshake().replacing("Version: 13", with: "Version: 7"))
        #expect(old.hasPrefix("HTTP/1.1 426 "))
        #expect(field("Sec-WebSocket-Version", in: old) == "13")
    }

    @Test func closesAfterAnUpgradeThatIsNotOurs() async throws {
        let answer = try await answer("GET /page HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0")
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(answer.hasSuffix("GET /page"))
    }

    @Test(arguments: ["nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}"])
    func answers400ToWhatIsNotHTTP(_ bytes: String) async throws {
        try await #expect(answer(bytes).hasPrefix("HTTP/1.1 400 "))
    }

    // MARK: The application

    private struct Secret: Error { let password = "hunter2" }

    @Test func answers500ToWhatIsThrownAndSaysNothingOfIt() async throws {
        let log = LogRecorder()
        try await withServer(.forTests(log: log), routes: { $0.http { _ in throw Secret() } }) { port, _ in
            let client = try await RawClient.connect(port: port)
            for _ in 0..<2 {
                try await client.send(Self.get)
                let (head, body) = try await client.readResponse()
                #expect(head.hasPrefix("HTTP/1.1 500 "))
                #expect(!(head + body).contains("hunter2"))
            }
        }
        #expect(log.shown.count == 2)
        #expect(log.shown.allSatisfy { $0.level == .error && $0.text.contains("hunter2") })
    }

    @Test func framesResponsesItselfWhateverTheApplicationSays() async throws {
        let answer = try await answer("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") {
            $0.http { _ in
                let fields: HTTPFields = [.contentLength: "99", .transferEncoding: "chunked", .connection: "keep-alive"]
                return ServerResponse(.ok, headerFields: fields, body: ByteBuffer(string: "abc"))
            }
        }
        #expect(field("Content-Length", in: answer) == "3")
        #expect(field("Transfer-Encoding", in: answer) == nil)
        #expect(field("Connection", in: answer) == "close")
        #expect(answer.hasSuffix("\r\n\r\nabc"))
    }

    @Test(arguments: [100, 101])
    func answers500ToAnInterimStatus(_ status: Int) async throws {
        let answer = try await answer("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") {
            $0.http { _ in ServerResponse(.init(code: status)) }
        }
        #expect(answer.hasPrefix("HTTP/1.1 500 "))
    }

    @Test func sendsNoBodyWith204() async throws {
        let answer = try await answer("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") {
            $0.http { _ in ServerResponse(.noContent, body: ByteBuffer(string: "abc")) }
        }
        #expect(answer.hasPrefix("HTTP/1.1 204 "))
        #expect(field("Content-Length", in: answer) == nil)
        #expect(answer.hasSuffix("\r\n\r\n"))
    }

    @Test func cancelsTheAnswerOfAConnectionThatIsGone() async throws {
        let (begun, begin) = AsyncStream<Void>.makeStream()
        let (ended, end) = AsyncStream<Bool>.makeStream()
        try await withServer(routes: { server in
            server.http { _ in
                begin.yield()
                // Only the cancellation of this task ends the wait.
                let (never, keep) = AsyncStream<Void>.makeStream()
                for await _ in never {}
                withExtendedLifetime(keep) { _ = end.yield(Task.isCancelled) }
                return .text("late")
            }
        }) { port, _ in
            let client = try await RawClient.connect(port: port)
            try await client.send(Self.get)
            for await _ in begun { break }
            await client.close()
            for await wasCancelled in ended {
                #expect(wasCancelled)
                break
            }
        }
    }

    // MARK: Deadlines, on a clock of the test's own

    /// A connection of a server whose time only the test moves.
    private func connection(_ log: LogRecorder = LogRecorder()) throws -> EmbeddedChannel {
        let channel = EmbeddedChannel()
        let core = ServerCore(.forTests(log: log))
        let thread = EventThread(eventLoop: channel.embeddedEventLoop, statistics: core.statistics)
        let handler = HTTPServerHandler(server: core, thread: thread, isOverLimit: false)
        try handler.addTo(channel.pipeline.syncOperations)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        return channel
    }

    @Test func aByteNowAndThenKeepsNothingOpen_H15() throws {
        let log = LogRecorder()
        let channel = try connection(log)
        try channel.writeInbound(ByteBuffer(string: "GET / HTTP/1.1\r\nX: "))
        for _ in 0..<9 {
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
            try channel.writeInbound(ByteBuffer(string: "x"))
        }
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive)
        #expect(log.shown.map(\.text) == ["refused: no request arrived in time (limit handshakeTimeout)"])
    }

    @Test func aBodyByteNowAndThenKeepsNothingOpen_H15() throws {
        let log = LogRecorder()
        let channel = try connection(log)
        try channel.writeInbound(ByteBuffer(string: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"))
        for _ in 0..<10 {
            #expect(channel.isActive)
            try channel.writeInbound(ByteBuffer(string: "x"))
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        }
        #expect(!channel.isActive)
        #expect(log.shown.map(\.text) == ["refused: the request did not arrive in time (limit handshakeTimeout)"])
    }

    @Test func anIdleConnectionIsClosedWithoutALogLine() throws {
        let log = LogRecorder()
        let channel = try connection(log)
        try channel.writeInbound(ByteBuffer(string: Self.get))
        channel.embeddedEventLoop.run()
        #expect(try channel.readOutbound(as: ByteBuffer.self).map { String(buffer: $0) }?.hasPrefix("HTTP/1.1 404 ") == true)
        channel.embeddedEventLoop.advanceTime(by: .seconds(9))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive)
        #expect(log.shown.isEmpty)
    }

    @Test func aDecisionThatTakesTooLongIsCutOff() async throws {
        let log = LogRecorder()
        var configuration = WebSocketServer.Configuration.forTests(log: log)
        configuration.handshakeTimeout = .milliseconds(50)
        try await withServer(configuration, routes: { server in
            server.webSocket("/", upgrade: { _ in
                let (never, keep) = AsyncStream<Void>.makeStream()
                for await _ in never {}
                return withExtendedLifetime(keep) { .accept(()) }
            }) { _, _ in }
        }) { port, _ in
            try await #expect(RawClient.answer(port: port, to: RawClient.handshake("/").utf8) == "")
        }
        #expect(log.shown.map(\.text) == ["refused: the decision took too long (limit handshakeTimeout)"])
    }

    @Test func aResponseThatNobodyReadsIsCutOff() async throws {
        let log = LogRecorder()
        var configuration = WebSocketServer.Configuration.forTests(log: log)
        configuration.responseTimeout = .milliseconds(50)
        try await withServer(configuration, routes: { server in
            server.http { _ in ServerResponse(.ok, body: ByteBuffer(repeating: 0, count: 64 << 20)) }
        }) { port, _ in
            let client = try await RawClient.connect(port: port, reads: false)
            try await client.send(Self.get)
            // It reads only once the server has given up, and then finds less than all.
            while log.shown.isEmpty { await Task.yield() }
            try await client.readOn()
            #expect(await client.readToEnd().count < 64 << 20)
        }
        #expect(log.shown.map(\.text) == ["refused: the response was not read in time (limit responseTimeout)"])
    }
}
