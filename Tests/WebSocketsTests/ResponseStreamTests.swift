// Responses whose body comes piece by piece.

import HTTPTypes
import NIOCore
import Synchronization
import Testing
import WebSockets

@Suite(.timeLimit(.minutes(1))) struct ResponseStreamTests {
    private func routes(_ server: WebSocketServer) {
        server.http("/pieces/{name}") { request in
            let name = request.parameters["name"] ?? ""
            return .stream(headerFields: [.contentType: "text/plain"]) { stream in
                try await stream.write("hello ")
                try await stream.write(ByteBuffer())
                try await stream.write(name)
            }
        }
        server.http("/fails") { _ in
            .stream { stream in
                try await stream.write("half")
                throw TestError()
            }
        }
    }
    private struct TestError: Error {}

    @Test func piecesAreChunksAndTheConnectionGoesOn() async throws {
        try await withServer(routes: routes) { port, _ in
            let client = try await RawClient.connect(port: port)
            for name in ["ann", "ben"] {
                try await client.send("GET /pieces/\(name) HTTP/1.1\r\nHost: a\r\n\r\n")
                let head = try await client.readHead()
                #expect(head.hasPrefix("HTTP/1.1 200 ") && field("Transfer-Encoding", in: head) == "chunked")
                #expect(field("Content-Length", in: head) == nil && field("Connection", in: head) == "keep-alive")
                let body = "6\r\nhello \r\n3\r\n\(name)\r\n0\r\n\r\n"
                #expect(String(decoding: await client.read(body.utf8.count), as: UTF8.self) == body)
            }
            await client.close()
        }
    }

    @Test func toHTTP10OnlyTheEndSaysThatAllHasCome() async throws {
        let said = try await answer("GET /pieces/ann HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", routes: routes)
        #expect(said.hasSuffix("\r\n\r\nhello ann"))
        #expect(said.lowercased().contains("connection: close\r\n") && !said.contains("chunked"))
    }

    @Test func toHEADThereIsNoBody() async throws {
        let said = try await answer("HEAD /pieces/ann HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", routes: routes)
        #expect(said.hasSuffix("\r\n\r\n"))
    }

    @Test func whatFailsIsNotTakenForTheWhole() async throws {
        let said = try await answer("GET /fails HTTP/1.1\r\nHost: a\r\n\r\n", routes: routes)
        #expect(said.hasSuffix("4\r\nhalf\r\n"), "no last chunk")
    }

    /// A stream that goes on until it is cancelled.
    private func endless(_ server: WebSocketServer, _ ended: AsyncStream<String>.Continuation) {
        server.http("/endless") { _ in
            .stream { stream in
                defer { ended.yield(Task.isCancelled ? "cancelled" : "not cancelled") }
                try await stream.write("begun")
                try await Task.sleep(for: .seconds(1000))
            }
        }
    }

    @Test func isCancelledWithItsConnection() async throws {
        let (ends, ended) = AsyncStream<String>.makeStream()
        try await withServer(routes: { endless($0, ended) }) { port, _ in
            let client = try await RawClient.connect(port: port)
            try await client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
            await client.read { $0.count > 0 && String(decoding: $0, as: UTF8.self).contains("begun") }
            await client.close()
            let end = await ends.first { _ in true }
            #expect(end == "cancelled")
        }
    }

    @Test func isCancelledAndEndedWhenTheServerShutsDown() async throws {
        let (ends, ended) = AsyncStream<String>.makeStream()
        let server = WebSocketServer(port: 0)
        endless(server, ended)
        let run = Task { try await server.run() }
        let client = try await RawClient.connect(port: try #require(try await server.waitUntilListening().port))
        try await client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.read { String(decoding: $0, as: UTF8.self).contains("begun") }
        run.cancel()
        let end = await ends.first { _ in true }
        #expect(end == "cancelled")
        #expect(String(decoding: await client.readToEnd(), as: UTF8.self).hasSuffix("begun\r\n0\r\n\r\n"))
        try await run.value
    }
}
