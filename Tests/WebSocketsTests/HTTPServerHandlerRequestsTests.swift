// Plain HTTP requests on a server's port: HTTPServerHandler+Requests.swift.

import Testing

@testable import WebSockets

@Suite(.serialized, .timeLimit(.minutes(1))) struct HTTPServerHandlerRequestsTests {
    static let get = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"

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
        let said = try await answer("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        #expect(said.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(field("Connection", in: said) == "close")
        #expect(said.hasSuffix("\r\n\r\nGET /a"))
    }

    @Test func answersPipelinedRequestsInTheirOrder() async throws {
        try await withServer(routes: addMirror) { port, _ in
            let client = try await RawClient.connect(port: port)
            try await client.send((0..<100).map { "GET /\($0) HTTP/1.1\r\nHost: a\r\n\r\n" }.joined())
            for number in 0..<100 { try await #expect(client.readResponse().body == "GET /\(number)") }
        }
    }

    @Test func answersHTTP10AndCloses() async throws {
        let said = try await answer("GET /old HTTP/1.0\r\n\r\n")
        #expect(said.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(field("Connection", in: said) == "close")
        #expect(said.hasSuffix("GET /old"))
    }

    @Test func sendsNoBodyToHEAD() async throws {
        try await withServer { port, _ in
            let client = try await RawClient.connect(port: port)
            try await client.send("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n" + Self.get)
            #expect(field("Content-Length", in: try await client.readHead()) == "5")
            let (next, body) = try await client.readResponse()
            #expect(next.hasPrefix("HTTP/1.1 200 "))
            #expect(body == "hello")
        }
    }

    @Test(arguments: [
        "HEAD  HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD / HTTP/1.1\r\n\r\n", "HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD * HTTP/1.1\r\nHost: a\r\n\r\n",
    ])
    func sendsNoBodyToARefusedHEAD(_ request: String) async throws {
        let said = try await answer(request)
        // What is not HTTP has no method.
        #expect(said.hasSuffix("\r\n\r\n") != request.hasPrefix("HEAD  "), "\(said)")
    }

    @Test func readsChunkedBodies() async throws {
        try await withServer(routes: addMirror) { port, _ in
            let client = try await RawClient.connect(port: port)
            try await client.send("POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
            try await #expect(client.readResponse().body == "abcde")
            try await client.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nfg")
            try await #expect(client.readResponse().body == "fg")
        }
    }

    @Test func saysContinueToWhoWaitsForIt() async throws {
        try await withServer(routes: addMirror) { port, _ in
            let client = try await RawClient.connect(port: port)
            try await client.send("POST /body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            try await #expect(client.readHead() == "HTTP/1.1 100 Continue\r\n\r\n")
            try await client.send("ab")
            try await #expect(client.readResponse().body == "ab")
        }
    }

    @Test(arguments: ["1.0\r\nHost: a\r\nExpect: 100-continue", "1.1\r\nHost: a\r\nConnection: close\r\nExpect: miracles"])
    func ignoresOtherExpectations(_ version: String) async throws {
        let said = try await answer("POST /body HTTP/\(version)\r\nContent-Length: 2\r\n\r\nab")
        #expect(said.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(said.hasSuffix("\r\n\r\nab"))
    }

    @Test(arguments: [
        "Content-Length: 9\r\n\r\n", "Content-Length: 9\r\nExpect: 100-continue\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n8\r\nabcdefgh\r\n1\r\ni\r\n",
    ])
    func refusesBodiesOverTheLimit(_ body: String) async throws {
        let log = LogRecorder()
        var configuration = WebSocketServer.Configuration.forTests(log: log)
        configuration.maxBodyBytes = 8
        try await withServer(configuration, routes: addMirror) { port, _ in
            let answer = try await RawClient.answer(port: port, to: "POST /body HTTP/1.1\r\nHost: a\r\n\(body)".utf8)
            #expect(answer.hasPrefix("HTTP/1.1 413 "))
            #expect(field("Connection", in: answer) == "close")
        }
        #expect(log.shown.map(\.text) == ["refused: the body is over 8 bytes (limit maxBodyBytes)"])
    }
}
