// The bytes of requests and of WebSockets, counted and shown.

import HTTPTypes
import NIOCore
import Synchronization
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct WireMeterTests {
    private static let transports: [WebSocketServer.Transport] = [.automatic, .nio]

    private func configuration(_ transport: WebSocketServer.Transport) -> WebSocketServer.Configuration {
        var configuration = WebSocketServer.Configuration()
        configuration.transport = transport
        return configuration
    }

    @Test func countsEachRequestAndItsAnswer() async throws {
        let counted = Mutex<[RequestTraffic]>([])
        let routes: (WebSocketServer) -> Void = { server in
            server.http { request in
                counted.withLock { $0.append(contentsOf: request.traffic.map { [$0] } ?? []) }
                if request.path == "/stream" { return .stream { try await $0.write("piece") } }
                return ServerResponse(.ok, body: request.body)
            }
        }
        try await withServer(routes: routes) { port, _ in
            let client = try await RawClient.connect(port: port)
            var sizes: [(up: Int, down: Int)] = []
            for request in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"] {
                // In two pieces: both are the request's.
                try await client.send(String(request.prefix(20)))
                try await client.send(String(request.dropFirst(20)))
                let response = try await client.readResponse()
                sizes.append((request.utf8.count, response.head.utf8.count + response.body.utf8.count))
            }
            let stream = "GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            try await client.send(stream)
            sizes.append((stream.utf8.count, await client.readToEnd().count))
            let traffic = counted.withLock { $0 }
            #expect(traffic.map(\.bytesReceived) == sizes.map(\.up))
            #expect(traffic.map(\.bytesSent) == sizes.map(\.down))
            let areComplete = traffic.allSatisfy(\.isComplete)
            #expect(areComplete)
        }
    }

    @Test(arguments: transports) func countsAWebSocketWithItsHandshake(_ transport: WebSocketServer.Transport) async throws {
        let (sockets, opened) = AsyncStream<WebSocket>.makeStream()
        let routes: (WebSocketServer) -> Void = { server in
            server.webSocket("/counted") { socket in
                opened.yield(socket)
                for try await message in socket { try await socket.send(message) }
            }
        }
        try await withServer(configuration(transport), routes: routes) { port, _ in
            let client = try await RawClient.connect(port: port)
            let handshake = RawClient.handshake("/counted")
            try await client.send(handshake)
            let head = try await client.readHead()
            // "Hello", masked with 0, and a close of 1000.
            let frames: [UInt8] = [0x81, 0x85, 0, 0, 0, 0] + Array("Hello".utf8) + [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8]
            try await client.send(frames)
            let rest = await client.readToEnd()
            let first = await sockets.first { _ in true }
            let socket = try #require(first)
            _ = await socket.waitUntilClosed()
            #expect(rest == [0x81, 5] + Array("Hello".utf8) + [0x88, 2, 0x03, 0xE8])
            #expect(socket.bytesReceived == handshake.utf8.count + frames.count)
            #expect(socket.bytesSent == head.utf8.count + rest.count)
        }
    }

    @Test(arguments: transports) func aTapSeesAllBytesOfItsPathAndOfNoOther(_ transport: WebSocketServer.Transport) async throws {
        let (passages, passed) = AsyncStream<WirePassage>.makeStream()
        let routes: (WebSocketServer) -> Void = { server in
            addEchoes(to: server)
            server.webSocket("/seen/{name}") { (_: WebSocket) in TestEcho() }
            server.tap("/seen/{name}") { request in
                #expect(request.parameters == ["name": "x"])
                return { passed.yield($0) }
            }
        }
        try await withServer(configuration(transport), routes: routes) { port, _ in
            let other = try await RawClient.open(port: port)
            let client = try await RawClient.connect(port: port)
            try await client.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try await client.readResponse()
            let handshake = RawClient.handshake("/seen/x")
            try await client.send(String(handshake.prefix(30)))
            try await client.send(String(handshake.dropFirst(30)))
            let head = try await client.readHead()
            // Masked: what is shown is what came, not what was made of it.
            let frames: [UInt8] = [0x81, 0x82, 1, 2, 3, 4, 0x69, 0x6B, 0x88, 0x80, 0, 0, 0, 0]
            try await client.send(frames)
            let answer = await client.readToEnd()
            await client.close()
            var up: [UInt8] = []
            var down: [UInt8] = []
            for await passage in passages {
                if case .received(let bytes) = passage { up += bytes.readableBytesView }
                if case .sent(let bytes) = passage { down += bytes.readableBytesView }
                if case .ended = passage { break }
            }
            #expect(up == Array(handshake.utf8) + frames)
            #expect(down == Array(head.utf8) + answer)
            await other.close()
        }
    }

    @Test func aPathOfPlainHTTPIsAskedBeforeTheRest() async throws {
        let routes: (WebSocketServer) -> Void = { server in
            server.http("/a/{b}") { .text("b is \($0.parameters["b"] ?? "")") }
            server.http { _ in .text("the rest") }
        }
        #expect(try await answer("GET /a/1%32 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", routes: routes).hasSuffix("b is 12"))
        #expect(try await answer("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", routes: routes).hasSuffix("the rest"))
    }
}
