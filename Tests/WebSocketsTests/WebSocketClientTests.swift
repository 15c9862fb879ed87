import HTTPTypes
import NIOCore
import Synchronization
import TestSupport
import Testing
import WebSocketCore

@testable import WebSockets

/// The client against a server on a real socket that says what the test has it say.
@Suite(.timeLimit(.minutes(1))) struct WebSocketClientTests {
    // MARK: Open and close

    @Test func sendsAndReceivesAndClosesWith1000() async throws {
        let (heads, head) = AsyncStream<String>.makeStream()
        let (codes, code) = AsyncStream<Int?>.makeStream()
        let echoed = try await ScriptedPeer.serve { peer in
            head.yield(try await peer.upgrade("Sec-WebSocket-Protocol: b\r\n"))
            code.yield(try await peer.echo())
        } while: { server in
            var configuration = WebSocketClient.Configuration.patient
            configuration.headers = [.authorization: "Bearer t", .init("X-A")!: "1"]
            configuration.subprotocols = ["a", "b"]
            return try await WebSocketClient.connect(server.url + "/p/q?x=%20&y", configuration: configuration) { socket in
                #expect(socket.thread.isCurrent)
                #expect(socket.subprotocol == "b")
                #expect(socket.readyState == .open)
                #expect(socket.request.path == "/p/q?x=%20&y")
                #expect(socket.remoteAddress?.port == server.port)
                try await socket.send("hello")
                for try await message in socket { return message.text }
                return nil
            }
        }
        #expect(echoed == "hello")
        #expect(await codes.first { _ in true } == 1000)
        let sent = try #require(await heads.first { _ in true })
        #expect(sent.hasPrefix("GET /p/q?x=%20&y HTTP/1.1\r\nHost: 127.0.0.1:"))
        #expect(field("Authorization", in: sent) == "Bearer t")
        #expect(field("X-A", in: sent) == "1")
        #expect(field("Sec-WebSocket-Protocol", in: sent) == "a, b")
        #expect(field("User-Agent", in: sent) == "duplex")
        let offer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits"
        #expect(field("Sec-WebSocket-Extensions", in: sent) == offer)
    }

    @Test func usesAFreshKeyEachTime() async throws {
        let keys = Mutex<[String?]>([])
        try await ScriptedPeer.serve { peer in
            let head = try await peer.upgrade()
            keys.withLock { $0.append(field("Sec-WebSocket-Key", in: head)) }
            try await peer.echo()
        } while: { server in
            for _ in 0..<2 { try await WebSocketClient.connect(server.url, configuration: .patient) { _ in } }
        }
        let seen = keys.withLock { $0 }
        #expect(seen.count == 2 && seen[0] != seen[1])
    }

    private struct Mine: Error {}

    @Test func closesWith1011WhenTheClosureThrows() async throws {
        let (codes, code) = AsyncStream<Int?>.makeStream()
        try await ScriptedPeer.serve { peer in
            try await peer.upgrade()
            code.yield(try await peer.echo())
        } while: { server in
            await #expect(throws: Mine.self) {
                try await WebSocketClient.connect(server.url, configuration: .patient) { _ in throw Mine() }
            }
        }
        #expect(await codes.first { _ in true } == 1011)
    }

    @Test func closesWith1001WhenTheTaskIsCancelled() async throws {
        let (codes, code) = AsyncStream<Int?>.makeStream()
        let (opens, open) = AsyncStream<Void>.makeStream()
        try await ScriptedPeer.serve { peer in
            try await peer.upgrade()
            code.yield(try await peer.echo())
        } while: { server in
            let task = Task {
                try await WebSocketClient.connect(server.url, configuration: .patient) { socket in
                    open.yield()
                    for try await _ in socket {}
                }
            }
            for await _ in opens.prefix(1) { task.cancel() }
            await #expect(throws: CancellationError.self) { try await task.value }
        }
        #expect(await codes.first { _ in true } == 1001)
    }

    @Test func readsWhatCameBeforeTheServerClosed() async throws {
        let messages = try await ScriptedPeer.serve { peer in
            try await peer.upgrade()
            try await peer.writeFrame(1, Array("bye".utf8))
            try await peer.writeFrame(8, [0x03, 0xE9])
            #expect(try await peer.readFrame().payload == [0x03, 0xE9])
        } while: { server in
            try await WebSocketClient.connect(server.url, configuration: .patient) { socket in
                var messages: [String?] = []
                _ = await socket.waitUntilClosed()
                for try await message in socket { messages.append(message.text) }
                return messages
            }
        }
        #expect(messages == ["bye"])
    }

    /// A server that speaks with its 101 and breaks a rule in the same breath: what came before is still there to be answered.
    @Test func answersWhatCameWithTheHandshakeBeforeABadFrame() async throws {
        let (answers, answer) = AsyncStream<UInt8>.makeStream()
        try await ScriptedPeer.serve { peer in
            defer { answer.finish() }
            let head = try await peer.readHead()
            try await peer.write(Array(PeerConnection.agreement(to: head).utf8) + [0x81, 1, 0x61, 0xC1, 0])
            for _ in 0..<2 { answer.yield(try await peer.readFrame().opcode) }
        } while: { server in
            let error = await #expect(throws: ConnectionClosed.self) {
                try await WebSocketClient.connect(server.url, configuration: .patient) { socket in
                    for try await message in socket { try await socket.send(message) }
                }
            }
            #expect(error?.closure.code == .protocolError)
            // The peer's task may come later than the client's end.
            #expect(await answers.reduce(into: []) { $0.append($1) } == [1, 8])
        }
    }

    @Test func throwsWhenTheConnectionBreaks() async throws {
        try await ScriptedPeer.serve { peer in
            try await peer.upgrade()
        } while: { server in
            let error = await #expect(throws: ConnectionClosed.self) {
                try await WebSocketClient.connect(server.url, configuration: .patient) { socket in for try await _ in socket {} }
            }
            #expect(error?.closure.code == .abnormalClosure)
        }
    }

    @Test func callsAHandler() async throws {
        let (messages, message) = AsyncStream<Message>.makeStream()
        try await ScriptedPeer.serve { peer in
            try await peer.upgrade()
            try await peer.echo()
        } while: { server in
            let socket = try await WebSocketClient.connect(server.url, configuration: .patient, handler: { _ in Forwarder(message) })
            try await socket.send("one")
            #expect(await messages.first { _ in true } == .text("one"))
            socket.close()
            #expect(await socket.waitUntilClosed() == Closure(code: .normalClosure, initiator: .local, isClean: true))
            await #expect(throws: UsageError.self) { for try await _ in socket {} }
        }
    }

    // MARK: Refusals

    @Test func carriesARefusal() async throws {
        try await ScriptedPeer.serve { peer in
            _ = try await peer.readHead()
            try await peer.write(
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nno ticket")
            await peer.readToEnd()
        } while: { server in
            let refusal = await refusal(server.url)
            #expect(refusal?.response.status == .unauthorized)
            #expect(refusal?.response.headerFields[.wwwAuthenticate] == "Bearer")
            #expect(refusal.map { String(buffer: $0.body) } == "no ticket")
            #expect(refusal?.isBodyTruncated == false)
            #expect(refusal?.description == "\(server.url)/ opened no WebSocket: the server answered 401 Unauthorized: no ticket")
        }
    }

    @Test func prefersARefusalToATimeout() async throws {
        try await ScriptedPeer.serve { peer in
            _ = try await peer.readHead()
            try await peer.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nhalf")
            await peer.readToEnd()
        } while: { server in
            let passes = await withTimeouts { timeout in
                do {
                    try await WebSocketClient.connect(server.url, configuration: .init(timeout: timeout)) { _ in }
                } catch let refusal as HandshakeRefused {
                    return refusal.response.status == .forbidden && refusal.isBodyTruncated && String(buffer: refusal.body) == "half"
                } catch {}
                return false
            }
            #expect(passes)
        }
    }

    @Test(arguments: ["Sec-WebSocket-Protocol: other\r\n", "Sec-WebSocket-Extensions: permessage-deflate\r\n"])
    func refusesWhatWasNotOffered(more: String) async throws {
        try await ScriptedPeer.serve { peer in
            try await peer.upgrade(more)
            // The client must leave, and not talk on.
            await peer.readToEnd()
        } while: { server in
            await #expect(throws: HandshakeFailure.self) { try await WebSocketClient.connect(server.url, configuration: .patient) { _ in } }
        }
    }

    @Test(arguments: ["ws://h/#f", "h", "ws://"])
    func refusesBadAddresses(url: String) async {
        await #expect(throws: InvalidURL.self) { try await WebSocketClient.connect(url) { _ in } }
    }

    @Test func refusesHeadersOfTheHandshake() async {
        await #expect(throws: HandshakeUsageError.self) {
            try await WebSocketClient.connect("ws://127.0.0.1:1/", configuration: .init(headers: [.secWebSocketKey: "x"])) { _ in }
        }
    }

    // MARK: Redirects

    @Test func followsRedirects() async throws {
        let paths = Mutex<[String]>([])
        try await ScriptedPeer.serve { peer in
            let head = try await peer.readHead()
            let path = String(head.split(separator: " ")[1])
            paths.withLock { $0.append(path) }
            let steps = ["/a": (301, "b/c"), "/b/c": (302, "?q"), "/b/c?q": (303, "/d"), "/d": (307, "./e"), "/e": (308, "/end#f")]
            guard let (status, location) = steps[path] else {
                try await peer.write(PeerConnection.agreement(to: head))
                try await peer.echo()
                return
            }
            try await peer.write("HTTP/1.1 \(status) x\r\nLocation: \(location)\r\nContent-Length: 0\r\n\r\n")
            await peer.readToEnd()
        } while: { server in
            let path = try await WebSocketClient.connect(server.url + "/a", configuration: .patient) { $0.request.path }
            #expect(path == "/end")
        }
        #expect(paths.withLock { $0 } == ["/a", "/b/c", "/b/c?q", "/d", "/e", "/end"])
    }

    @Test func endsARedirectLoop() async throws {
        let count = Atomic(0)
        try await ScriptedPeer.serve { peer in
            _ = try await peer.readHead()
            count.add(1, ordering: .relaxed)
            try await peer.write("HTTP/1.1 302 x\r\nLocation: /\r\n\r\n")
            await peer.readToEnd()
        } while: { server in
            let error = await connectError(server.url, .init(timeout: .seconds(60), maxRedirects: 3))
            #expect(error?.kind == .redirect)
            #expect(error?.description.contains("over 3 redirects (maxRedirects)") == true)
        }
        #expect(count.load(ordering: .relaxed) == 4)
    }

    @Test func treatsARedirectAsARefusalIfToldSo() async throws {
        try await ScriptedPeer.serve { peer in
            _ = try await peer.readHead()
            try await peer.write("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 1\r\n\r\nx")
            await peer.readToEnd()
        } while: { server in
            let refusal = await refusal(server.url, .init(timeout: .seconds(60), maxRedirects: 0))
            #expect(refusal?.response.status == .found)
            #expect(refusal.map { String(buffer: $0.body) } == "x")
        }
    }

    @Test func leavesCredentialsAtTheOriginTheyAreFor() async throws {
        let (heads, head) = AsyncStream<String>.makeStream()
        try await ScriptedPeer.serve { peer in
            head.yield(try await peer.upgrade())
            try await peer.echo()
        } while: { other in
            try await ScriptedPeer.serve { peer in
                head.yield(try await peer.readHead())
                try await peer.write("HTTP/1.1 302 x\r\nLocation: \(other.url)/x\r\n\r\n")
                await peer.readToEnd()
            } while: { server in
                let url = "ws://user:pass@127.0.0.1:\(server.port)/"
                try await WebSocketClient.connect(url, configuration: .init(headers: [.cookie: "c=1"], timeout: .seconds(60))) { _ in }
            }
        }
        var sent = heads.makeAsyncIterator()
        let first = try #require(await sent.next())
        #expect(field("Authorization", in: first) == "Basic dXNlcjpwYXNz")
        #expect(field("Cookie", in: first) == "c=1")
        let second = try #require(await sent.next())
        #expect(field("Authorization", in: second) == nil)
        #expect(field("Cookie", in: second) == nil)
        #expect(second.hasPrefix("GET /x "))
    }

    // MARK: Helpers

    private func refusal(_ url: String, _ configuration: WebSocketClient.Configuration = .patient) async -> HandshakeRefused? {
        await #expect(throws: HandshakeRefused.self) { try await WebSocketClient.connect(url, configuration: configuration) { _ in } }
    }

    private func connectError(_ url: String, _ configuration: WebSocketClient.Configuration = .patient) async -> ConnectError? {
        await #expect(throws: ConnectError.self) { try await WebSocketClient.connect(url, configuration: configuration) { _ in } }
    }
}

private struct Forwarder: WebSocketHandler {
    let continuation: AsyncStream<Message>.Continuation
    init(_ continuation: AsyncStream<Message>.Continuation) { self.continuation = continuation }
    func received(_ message: Message, from socket: WebSocket) { continuation.yield(message) }
}
