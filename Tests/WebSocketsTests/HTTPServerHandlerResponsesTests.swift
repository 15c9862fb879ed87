// Responses and refusals of a server: HTTPServerHandler+Responses.swift.

import HTTPTypes
import Logging
import NIOCore
import Testing

@testable import WebSockets

@Suite(.serialized, .timeLimit(.minutes(1))) struct HTTPServerHandlerResponsesTests {
    static let get = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"

    // MARK: Refusals

    @Test(arguments: ["", "Host: a\r\nHost: a\r\n"])
    func refusesPlainRequestsWithoutExactlyOneHost(_ hosts: String) async throws {
        let said = try await answer("GET / HTTP/1.1\r\n\(hosts)\r\n")
        #expect(said.hasPrefix("HTTP/1.1 400 "))
    }

    @Test func answers404WithoutAResponder() async throws {
        let said = try await answer("GET /no HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") { _ in }
        #expect(said.hasPrefix("HTTP/1.1 404 Not Found\r\n"))
        #expect(said.hasSuffix("\r\n\r\nNot found\n"))
    }

    @Test func answers405WithAllowOnAWebSocketPath() async throws {
        let said = try await answer("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        #expect(said.hasPrefix("HTTP/1.1 405 "))
        #expect(field("Allow", in: said) == "GET")
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
        let said = try await answer("GET /page HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0")
        #expect(said.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(said.hasSuffix("GET /page"))
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
        let said = try await answer("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") {
            $0.http { _ in
                let fields: HTTPFields = [.contentLength: "99", .transferEncoding: "chunked", .connection: "keep-alive"]
                return ServerResponse(.ok, headerFields: fields, body: ByteBuffer(string: "abc"))
            }
        }
        #expect(field("Content-Length", in: said) == "3")
        #expect(field("Transfer-Encoding", in: said) == nil)
        #expect(field("Connection", in: said) == "close")
        #expect(said.hasSuffix("\r\n\r\nabc"))
    }

    @Test(arguments: [100, 101])
    func answers500ToAnInterimStatus(_ status: Int) async throws {
        let said = try await answer("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") {
            $0.http { _ in ServerResponse(.init(code: status)) }
        }
        #expect(said.hasPrefix("HTTP/1.1 500 "))
    }

    @Test func sendsNoBodyWith204() async throws {
        let said = try await answer("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") {
            $0.http { _ in ServerResponse(.noContent, body: ByteBuffer(string: "abc")) }
        }
        #expect(said.hasPrefix("HTTP/1.1 204 "))
        #expect(field("Content-Length", in: said) == nil)
        #expect(said.hasSuffix("\r\n\r\n"))
    }
}
