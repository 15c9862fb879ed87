// Handshakes that real servers fell to, as their exact bytes on a real socket. The letter and number at the end of a name is the row in
// the project's table of bad inputs; H18 is in DuplexTests, as it takes a process of its own.

import HTTPTypes
import NIOCore
import Synchronization
import TestSupport
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.serialized, .timeLimit(.minutes(1))) struct BadHandshakeTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let row: String
        let request: String
        let status: Int

        init(_ row: String, _ request: String, _ status: Int) { (self.row, self.request, self.status) = (row, request, status) }
        var testDescription: String { row }
    }

    static func request(_ fields: [String], line: String = "GET /echo HTTP/1.1") -> String {
        line + "\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"
    }

    static let valid = [
        "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ]

    static func replacing(_ index: Int, _ field: String?) -> String {
        var fields = valid
        if let field { fields[index] = field } else { fields.remove(at: index) }
        return request(fields)
    }

    // MARK: What is refused

    static let cases: [Case] = [
        Case("H1 2,000 fields", request(Array(repeating: "xx: x", count: 2000) + valid), 431),
        Case("H1 one field over the limit", request(Array(repeating: "xx: x", count: 96) + valid), 431),
        Case("H2 a field of 1 MiB", request(valid + ["xx: " + String(repeating: "x", count: 1 << 20)]), 431),
        Case("H5 malformed", request(valid + ["Sec-WebSocket-Extensions: ,;constructor"]), 400),
        Case("H8 not base64", replacing(3, "Sec-WebSocket-Key: %%%"), 400),
        Case("H8 15 bytes", replacing(3, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA"), 400),
        Case("H8 17 bytes", replacing(3, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA="), 400),
        Case("H8 two keys", request(valid + [valid[3]]), 400),
        Case("H8 no key", replacing(3, nil), 400),
        Case("H9 notupgrade", replacing(2, "Connection: notupgrade"), 400),
        Case("H9 POST", request(valid + ["Content-Length: 0"], line: "POST /echo HTTP/1.1"), 405),
        Case("H9 HTTP/1.0", request(valid, line: "GET /echo HTTP/1.0"), 505),
        Case("H9 no Host", replacing(0, nil), 400),
        Case("H9 two Hosts", request(valid + ["Host: 127.0.0.1"]), 400),
        Case("H10 bogus", replacing(1, "Upgrade: bogus"), 400),
        Case("H10 no Upgrade", replacing(1, nil), 426),
        Case("H12 version 8", replacing(4, "Sec-WebSocket-Version: 8"), 426),
        Case("H13 NUL in the path", request(valid, line: "GET /ec\u{0}ho HTTP/1.1"), 400),
        Case("H13 CR in the path", request(valid, line: "GET /ec\rho HTTP/1.1"), 400),
        Case("H13 LF in the path", request(valid, line: "GET /ec\nho HTTP/1.1"), 400),
        Case("H13 encoded line in the path", request(valid, line: "GET /echo%0d%0aX:%20y HTTP/1.1"), 404),
        Case("H13 NUL in a subprotocol", request(valid + ["Sec-WebSocket-Protocol: chat\u{0}"]), 400),
        Case("H13 CR in a subprotocol", request(valid + ["Sec-WebSocket-Protocol: chat\rX: y"]), 400),
        Case("H13 folded subprotocol", request(valid + ["Sec-WebSocket-Protocol: chat\r\n X: y"]), 400),
        Case("H14 another host", request(valid + ["Origin: http://evil.example"]), 403),
        Case("H14 longer host", request(valid + ["Origin: https://good.evil"]), 403),
        Case("H14 wrong port", request(valid + ["Origin: https://good:444"]), 403),
        Case("H14 wrong scheme", request(valid + ["Origin: http://good"]), 403),
        Case("H14 null", request(valid + ["Origin: null"]), 403),
        Case("H14 twice", request(valid + ["Origin: https://good", "Origin: https://good"]), 403),
    ]

    @Test(arguments: cases)
    func isRefusedClosedAndLoggedOnce(_ bad: Case) async throws {
        let log = LogRecorder()
        var configuration = WebSocketServer.Configuration.forTests(log: log)
        configuration.allowedOrigins = [try #require(Origin("https://good"))]
        try await withServer(configuration) { port, server in
            let answer = try await RawClient.answer(port: port, to: bad.request.utf8)
            #expect(answer.hasPrefix("HTTP/1.1 \(bad.status) "), "\(answer.prefix(200))")
            #expect(answer.split(separator: "HTTP/1.1").count == 1, "\(answer)")
            #expect(field("Connection", in: answer)?.hasPrefix("close") == true)
            #expect(server.statistics.total == 0)
        }
        guard bad.status != 404 else { return }
        #expect(log.shown.count == 1, "\(log.shown)")
        #expect(log.shown.first?.metadata["peer"] != nil)
    }

    @Test func unknownExtensionIsDeclined_H5() async throws {
        try await withServer { port, _ in
            let client = try await RawClient.connect(port: port)
            try await client.send(RawClient.handshake("/echo", "Sec-WebSocket-Extensions: constructor\r\n"))
            let head = try await client.readHead()
            #expect(head.hasPrefix("HTTP/1.1 101 "))
            #expect(field("Sec-WebSocket-Extensions", in: head) == nil)
        }
    }

    @Test(arguments: [[0xC3, 0xA9], [0xFF], [0x80]] as [[UInt8]])
    func subprotocolOfHighBytesIsRefused_H6(_ name: [UInt8]) async throws {
        try await withServer { port, _ in
            let bytes = RawClient.handshake().utf8.dropLast(2) + Array("Sec-WebSocket-Protocol: ".utf8) + name + Array("\r\n\r\n".utf8)
            let answer = try await RawClient.answer(port: port, to: bytes)
            #expect(answer.hasPrefix("HTTP/1.1 400 "), "\(answer.prefix(100))")
        }
    }

    @Test func headerInSingleBytesIsRefusedAtTheLimit_H2() async throws {
        let log = LogRecorder()
        var configuration = WebSocketServer.Configuration.forTests(log: log)
        // Each byte is a write and a read: the default limit is the time of a whole test under a sanitizer.
        configuration.maxHeaderBytes = 1024
        try await withServer(configuration) { port, _ in
            let client = try await RawClient.connect(port: port)
            try await client.send("GET /echo HTTP/1.1\r\nHost: a\r\nX: ")
            // It sends on until the server ends the connection, for which it waits in another task.
            let channel = client.channel
            let sending = Task {
                var sent = 0
                while !Task.isCancelled, (try? await channel.writeAndFlush(ByteBuffer(bytes: [0x78])).get()) != nil { sent += 1 }
                return sent
            }
            let head = try await client.readHead()
            #expect(head.hasPrefix("HTTP/1.1 431 "))
            await client.close()
            sending.cancel()
            #expect(await sending.value >= 1000)
        }
        #expect(log.shown.map(\.text) == ["refused: the header is over the limit (100 fields, 1024 bytes)"])
    }

    @Test func nothingBehindARefusedHandshakeIsAnswered_H12() async throws {
        let asked = Atomic(0)
        try await withServer(routes: { server in
            addEchoes(to: server)
            server.http { _ in
                asked.add(1, ordering: .relaxed)
                return .text("internal")
            }
        }) { port, _ in
            let bytes = Self.replacing(4, "Sec-WebSocket-Version: 8") + "GET /internal HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            let answer = try await RawClient.answer(port: port, to: bytes.utf8)
            #expect(answer.hasPrefix("HTTP/1.1 426 "))
            #expect(field("Sec-WebSocket-Version", in: answer) == "13")
            #expect(answer.split(separator: "HTTP/1.1").count == 1, "\(answer)")
        }
        #expect(asked.load(ordering: .relaxed) == 0)
    }

    // MARK: What the application would have sent

    @Test func controlCharactersOfTheApplicationAreNeverSent_H13() async throws {
        try await withServer(routes: { server in
            server.webSocket("/subprotocol", upgrade: { _ in .accept((), subprotocol: "chat\r\nX-Evil: y") }) { _, _ in }
            server.webSocket("/field", upgrade: { _ in .accept((), headerFields: [.setCookie: "a\r\nX-Evil: y\u{0}"]) }) { _, _ in }
            server.http { request in
                var response = ServerResponse.text("", status: .init(code: 200, reasonPhrase: "OK\r\nX-Evil: y\u{0}"))
                response.head.headerFields[.location] = request.path + "\r\nX-Evil: y\u{0}"
                return response
            }
        }) { port, _ in
            for path in ["/subprotocol", "/field", "/"] {
                let client = try await RawClient.connect(port: port)
                try await client.send(RawClient.handshake(path))
                let head = try await client.readHead()
                #expect(field("X-Evil", in: head) == nil, "\(path): \(head)")
                #expect(!head.utf8.contains(0), "\(path)")
                #expect(head.hasPrefix(path == "/subprotocol" ? "HTTP/1.1 500 " : path == "/" ? "HTTP/1.1 200 " : "HTTP/1.1 101 "))
                await client.close()
            }
        }
    }

    // MARK: Segments

    @Test func framesBehindTheHandshakeAreMessagesAtEverySplit_H17() async throws {
        try await withServer { port, _ in
            let frames: [UInt8] = [0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69, 0x82, 0x81, 1, 1, 1, 1, 0x01, 0x88, 0x80, 0, 0, 0, 0]
            let bytes = Array(RawClient.handshake().utf8) + frames
            for split in 0..<bytes.count {
                let client = try await RawClient.connect(port: port)
                if split > 0 { try await client.send(bytes[..<split]) }
                try await client.send(bytes[split...])
                try await #expect(client.readHead().hasPrefix("HTTP/1.1 101 "), "split at \(split)")
                #expect(await client.readToEnd() == [0x81, 0x02, 0x68, 0x69, 0x82, 0x01, 0x00, 0x88, 0x00], "split at \(split)")
            }
        }
    }

    /// NIO's parser and our handshake judge for themselves whether a request asks for an upgrade; where they disagree, frames would be
    /// taken for a request.
    @Test(arguments: [
        "Connection: upgrade", "Connection: keep-alive, Upgrade", "Connection: keep-alive\r\nConnection: Upgrade",
        "Connection: Upgrade\r\nConnection: keep-alive", "Connection: ,Upgrade", "Connection: upgrade ,",
        "Connection: Upgrade, close", "Connection: close, Upgrade", "Connection:Upgrade,Upgrade", "Connection: x , UPGRADE",
        "Connection: xupgrade, upgrade", "Connection: ,,, upgrade",
    ])
    func framesBehindEveryWayToSayUpgradeAreMessages_H17(_ connection: String) async throws {
        try await withServer { port, _ in
            let frames: [UInt8] = [0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69, 0x88, 0x80, 0, 0, 0, 0]
            let client = try await RawClient.connect(port: port)
            try await client.send(Array(Self.replacing(2, connection).utf8) + frames)
            try await #expect(client.readHead().hasPrefix("HTTP/1.1 101 "))
            #expect(await client.readToEnd() == [0x81, 0x02, 0x68, 0x69, 0x88, 0x00])
        }
    }

    /// NIO's parser does not see an `upgrade` with a tab behind it, and takes the frames for a request.
    @Test(arguments: ["Connection:\tUpgrade\t", "Connection: keep-alive,\tupgrade\t,x"])
    func framesThatTheParserTakesForARequestAreNeverLostSilently_H17(_ connection: String) async throws {
        let log = LogRecorder()
        try await withServer(.forTests(log: log)) { port, server in
            let bytes = Array(Self.replacing(2, connection).utf8) + [0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]
            try await #expect(!RawClient.answer(port: port, to: bytes).hasPrefix("HTTP/1.1 101 "))
            #expect(server.statistics.total == 0)
        }
        #expect(log.shown.count == 1)
    }

    @Test func framesBehindTwoPipelinedRequestsAreMessages_H17() async throws {
        try await withServer { port, _ in
            let client = try await RawClient.connect(port: port)
            try await client.send(
                Array("GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".utf8) + Array(RawClient.handshake("/echo-async").utf8)
                    + [0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69])
            try await #expect(client.readResponse().body == "hello")
            try await #expect(client.readHead().hasPrefix("HTTP/1.1 101 "))
            #expect(await client.read(4) == [0x81, 0x02, 0x68, 0x69])
        }
    }

    // MARK: Time and memory

    @Test func anUnfinishedHeaderIsClosedAtTheDeadline_H15() async throws {
        let log = LogRecorder()
        var configuration = WebSocketServer.Configuration.forTests(log: log)
        configuration.handshakeTimeout = .milliseconds(50)
        try await withServer(configuration) { port, _ in
            let answer = try await RawClient.answer(port: port, to: "GET /echo HTTP/1.1\r\nHost: a\r\nX: ".utf8)
            #expect(answer.hasPrefix("HTTP/1.1 408 "), "\(answer)")
        }
        #expect(
            log.shown.map(\.text) == ["refused: the request's head did not arrive within 0.05 seconds (limit handshakeTimeout)"])
    }

    @Test(arguments: [[], [0x16], [0x16, 0x03, 0x01, 0x02, 0x00, 0x01]] as [[UInt8]])
    func aStalledTLSHandshakeIsClosedAtTheDeadline_H15(_ beginning: [UInt8]) async throws {
        let log = LogRecorder()
        let folder = try TestFolder()
        var configuration = WebSocketServer.Configuration.forTests(log: log)
        configuration.tls = try TestAuthority().serverTLS(in: folder)
        configuration.handshakeTimeout = .milliseconds(50)
        try await withServer(configuration) { port, _ in
            try await #expect(RawClient.answer(port: port, to: beginning) == "")
        }
        #expect(log.shown.map(\.text) == ["refused: no request arrived in time (limit handshakeTimeout)"])
    }

    @Test func pipelinedRequestsWhoseAnswersAreNotReadWait_H11() async throws {
        let asked = Atomic(0)
        try await withServer(routes: { server in
            server.http { request in
                guard request.path == "/much" else { return .text("hello") }
                asked.add(1, ordering: .relaxed)
                return ServerResponse(.ok, body: ByteBuffer(repeating: 0x61, count: 65_536))
            }
        }) { port, _ in
            // The answers are 32 MiB, several times what the system buffers between the two.
            let count = 500
            let client = try await RawClient.connect(port: port, reads: false)
            client.channel.writeAndFlush(
                ByteBuffer(string: String(repeating: "GET /much HTTP/1.1\r\nHost: a\r\n\r\n", count: count)), promise: nil)
            // Others are served meanwhile, by the same thread.
            let other = try await RawClient.connect(port: port)
            for _ in 0..<count {
                try await other.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
                try await #expect(other.readResponse().body == "hello")
            }
            #expect(asked.load(ordering: .relaxed) < count / 2, "the server goes on answering what nobody reads")
            try await client.readOn()
            for _ in 0..<count {
                _ = try await client.readHead()
                #expect(await client.read(65_536).count == 65_536)
            }
            #expect(asked.load(ordering: .relaxed) == count)
        }
    }
}
