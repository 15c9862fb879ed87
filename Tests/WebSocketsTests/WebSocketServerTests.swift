// What a program asks of a server: routes, decisions and what a handler knows of its connection.

import HTTPTypes
import Logging
import NIOCore
import Synchronization
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.serialized, .timeLimit(.minutes(1))) struct WebSocketServerTests {
    private struct User: Sendable { let name: String }

    /// The text of the first message that the server says.
    private func firstText(_ port: Int, _ path: String, fields: String = "") async throws -> String {
        let client = try await RawClient.open(port: port, path: path, fields: fields)
        let start = await client.read(2)
        let text = await client.read(Int(start.last ?? 0))
        await client.close()
        return String(decoding: text, as: UTF8.self)
    }

    private func head(_ port: Int, _ path: String, _ fields: String = "") async throws -> String {
        let client = try await RawClient.connect(port: port)
        try await client.send(RawClient.handshake(path, fields))
        let head = try await client.readHead()
        await client.close()
        return head
    }

    // MARK: Decisions

    @Test func theHandlerGetsWhatTheDecisionFound() async throws {
        try await withServer(routes: { server in
            let decide: @Sendable (ServerRequest) async throws -> Upgrade<User> = { request in
                await Task.yield()
                return .accept(User(name: request.head.headerFields[.authorization] ?? "nobody"))
            }
            server.webSocket("/async", upgrade: decide) { socket, user in try await socket.send(user.name) }
            server.webSocket("/callbacks", upgrade: decide) { (_: WebSocket, user: User) in Greeting(text: user.name) }
        }) { port, _ in
            for path in ["/async", "/callbacks"] {
                try await #expect(firstText(port, path, fields: "Authorization: ann\r\n") == "ann")
            }
        }
    }

    @Test func aRefusalIsAWholeResponse() async throws {
        let log = LogRecorder()
        try await withServer(
            .forTests(log: log),
            routes: { server in
                server.webSocket(
                    "/",
                    upgrade: { _ -> Upgrade<Void> in
                        var response = ServerResponse.json("{\"error\":\"members only\"}", status: .unauthorized)
                        response.head.headerFields[.wwwAuthenticate] = "Bearer"
                        return .reject(response)
                    }
                ) { _, _ in }
            }
        ) { port, server in
            let answer = try await RawClient.answer(port: port, to: RawClient.handshake("/").utf8)
            #expect(answer.hasPrefix("HTTP/1.1 401 Unauthorized\r\n"))
            #expect(field("WWW-Authenticate", in: answer) == "Bearer")
            #expect(field("Content-Type", in: answer) == "application/json")
            #expect(field("Connection", in: answer) == "close")
            #expect(answer.hasSuffix("\r\n\r\n{\"error\":\"members only\"}"))
            #expect(server.statistics.total == 0)
        }
        #expect(log.shown.map(\.text) == ["refused: the application refused the handshake"])
    }

    @Test func framesBehindARefusedHandshakeDoNotTakeTheRefusalAway() async throws {
        try await withServer(routes: { server in
            server.webSocket("/", upgrade: { _ -> Upgrade<Void> in .reject(.forbidden) }) { _, _ in }
        }) { port, _ in
            let frames = [UInt8](repeating: 0x81, count: 1 << 20)
            let answer = try await RawClient.answer(port: port, to: Array(RawClient.handshake("/").utf8) + frames)
            #expect(answer.hasPrefix("HTTP/1.1 403 "))
            #expect(answer.hasSuffix("\r\n\r\nForbidden\n"))
        }
    }

    @Test func aDecisionThatThrowsIs500AndSaysNothingOfIt() async throws {
        struct Secret: Error { let password = "hunter2" }
        let log = LogRecorder()
        try await withServer(
            .forTests(log: log),
            routes: { server in
                server.webSocket("/", upgrade: { _ -> Upgrade<Void> in throw Secret() }) { _, _ in }
            }
        ) { port, _ in
            let answer = try await RawClient.answer(port: port, to: RawClient.handshake("/").utf8)
            #expect(answer.hasPrefix("HTTP/1.1 500 "))
            #expect(!answer.contains("hunter2"))
        }
        #expect(log.lines.contains { $0.level == .error && $0.text.contains("hunter2") })
    }

    @Test func moreFieldsStandInThe101() async throws {
        try await withServer(routes: { server in
            server.webSocket("/", upgrade: { _ in .accept((), headerFields: [.setCookie: "a=b", .server: "duplex"]) }) { _, _ in }
            server.webSocket("/bad", upgrade: { _ in .accept((), headerFields: [.upgrade: "h2c"]) }) { _, _ in }
        }) { port, _ in
            let head = try await head(port, "/")
            #expect(head.hasPrefix("HTTP/1.1 101 Switching Protocols\r\n"))
            #expect(field("Set-Cookie", in: head) == "a=b")
            #expect(field("Server", in: head) == "duplex")
            #expect(field("Sec-WebSocket-Accept", in: head) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            try await #expect(self.head(port, "/bad").hasPrefix("HTTP/1.1 500 "))
        }
    }

    // MARK: Subprotocols

    @Test func theFirstOfTheServersSubprotocolsThatIsOfferedIsChosen() async throws {
        try await withServer(routes: { server in
            server.webSocket("/", subprotocols: ["v2", "v1"]) { socket in try await socket.send(socket.subprotocol ?? "none") }
        }) { port, _ in
            for (offer, expected) in [("v1, v2", "v2"), ("v1", "v1"), ("v3", "none"), ("", "none")] {
                let fields = offer.isEmpty ? "" : "Sec-WebSocket-Protocol: \(offer)\r\n"
                try await #expect(field("Sec-WebSocket-Protocol", in: head(port, "/", fields)) == (expected == "none" ? nil : expected))
                try await #expect(firstText(port, "/", fields: fields) == expected)
            }
        }
    }

    @Test func theDecisionSeesTheOfferAndMustChooseFromIt() async throws {
        let offered = Mutex<[String]>([])
        try await withServer(routes: { server in
            server.webSocket(
                "/",
                upgrade: { request in
                    offered.withLock { $0 = request.subprotocols }
                    return .accept((), subprotocol: "chat")
                }
            ) { _, _ in }
        }) { port, _ in
            let good = try await head(port, "/", "Sec-WebSocket-Protocol: other\r\nSec-WebSocket-Protocol: chat\r\n")
            #expect(field("Sec-WebSocket-Protocol", in: good) == "chat")
            #expect(offered.withLock { $0 } == ["other", "chat"])
            try await #expect(head(port, "/", "Sec-WebSocket-Protocol: other\r\n").hasPrefix("HTTP/1.1 500 "))
        }
    }

    // MARK: Origins

    @Test(arguments: [
        ("http://127.0.0.1", true), ("https://127.0.0.1", true), ("https://good.example", true), ("https://good.example:443", true),
        ("http://good.example", false), ("https://good.example.evil", false), ("https://evil.example", false), ("null", false),
        ("http://127.0.0.1:8081", false),
    ])
    func onlyItsOwnPagesAndThoseAllowedMayConnect(_ origin: String, _ isAllowed: Bool) async throws {
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.allowedOrigins = [try #require(Origin("https://good.example"))]
        try await withServer(configuration) { port, _ in
            let head = try await head(port, "/echo", "Origin: \(origin)\r\n")
            #expect(head.hasPrefix(isAllowed ? "HTTP/1.1 101 " : "HTTP/1.1 403 "))
        }
    }

    // MARK: What a handler knows

    @Test func theHandlerKnowsItsRequestAndItsPeer() async throws {
        let (sockets, tell) = AsyncStream<WebSocket>.makeStream()
        try await withServer(routes: { server in
            server.webSocket("/chat/{room}") { socket in
                tell.yield(socket)
                for try await _ in socket {}
            }
        }) { port, _ in
            let client = try await RawClient.open(port: port, path: "/chat/a%20b?since=5", fields: "X-Mine: 1\r\n")
            for await socket in sockets {
                #expect(socket.request.path == "/chat/a%20b?since=5")
                #expect(socket.request.method == .get)
                #expect(socket.request.authority == "127.0.0.1")
                #expect(socket.request.headerFields[try #require(HTTPField.Name("X-Mine"))] == "1")
                #expect(socket.parameters == ["room": "a b"])
                #expect(socket.remoteAddress == client.channel.localAddress)
                #expect(socket.readyState == .open)
                #expect(socket.extensions == "")
                break
            }
            await client.close()
        }
    }

    /// What the README says: a handler runs on its connection's thread, and a task of its own does not.
    @Test func aTaskOfItsOwnLeavesTheThread() async throws {
        try await withServer(routes: { server in
            server.webSocket("/where") { socket in
                let inside = socket.thread.isCurrent
                let outside = await Task { socket.thread.isCurrent }.value
                try await socket.send("\(inside) \(outside) \(socket.thread.isCurrent)")
            }
        }) { port, _ in
            try await #expect(firstText(port, "/where") == "true false true")
        }
    }

    @Test func theEndOfAHandlerClosesItsConnection() async throws {
        struct Trouble: Error {}
        let log = LogRecorder()
        try await withServer(
            .forTests(log: log),
            routes: { server in
                server.webSocket("/returns") { _ in }
                server.webSocket("/throws") { _ in throw Trouble() }
            }
        ) { port, _ in
            for (path, code) in [("/returns", [0x03, 0xE8]), ("/throws", [0x03, 0xF3])] as [(String, [UInt8])] {
                let client = try await RawClient.open(port: port, path: path)
                #expect(await client.read(4) == [0x88, 0x02] + code)
                await client.close()
            }
        }
        #expect(log.shown.map(\.text) == ["a handler threw: Trouble()"])
    }

    @Test func countsWhatGoesThrough() async throws {
        try await withServer { port, server in
            let client = try await RawClient.open(port: port)
            try await client.send([0x81, 0x81, 0, 0, 0, 0, 0x61, 0x81, 0x81, 0, 0, 0, 0, 0x62])
            #expect(await client.read(6) == [0x81, 0x01, 0x61, 0x81, 0x01, 0x62])
            try await client.send([0x88, 0x80, 0, 0, 0, 0])
            #expect(await client.readToEnd() == [0x88, 0x00])
            while server.statistics.open > 0 { await Task.yield() }
            #expect(server.statistics == (open: 0, total: 1, received: 2, sent: 2))
        }
    }
}

/// Says one thing.
private struct Greeting: WebSocketHandler {
    let text: String
    func opened(_ socket: WebSocket) { socket.trySend(.text(text)) }
    func received(_ message: Message, from socket: WebSocket) {}
}
