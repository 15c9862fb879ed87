// The recogniser of handshakes, held against NIO's parser: whatever it takes, NIO takes too, as the same request with the same answer.

import HTTPTypes
import NIOCore
import NIOEmbedded
import NIOHTTP1
import TestSupport
import Testing

@testable import WebSockets

@Suite(.timeLimit(.minutes(5))) struct PlainHandshakeTests {
    private static let (maxFields, maxBytes) = (100, 16_384)

    private func recognise(_ bytes: [UInt8], maxFields: Int = maxFields, maxBytes: Int = maxBytes) -> PlainHandshake? {
        bytes.withUnsafeBytes { PlainHandshake($0, maxFields: maxFields, maxBytes: maxBytes) }
    }

    // MARK: What is taken

    private static func request(_ lines: String...) -> String { lines.map { $0 + "\r\n" }.joined() + "\r\n" }

    private static let chrome = request(
        "GET /chat/lobby?token=a%20b&x=1 HTTP/1.1", "Host: localhost:8080", "Connection: Upgrade", "Pragma: no-cache",
        "Cache-Control: no-cache", "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
        "Upgrade: websocket", "Origin: http://localhost:8080", "Sec-WebSocket-Version: 13", "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-US,en;q=0.9", "Cookie: a=b; c=\"d e\"", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits", "Sec-WebSocket-Protocol: chat, superchat")
    private static let firefox = request(
        "GET / HTTP/1.1", "Host: a", "Accept: */*", "Sec-WebSocket-Version: 13", "Origin: http://a",
        "Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Connection: keep-alive, Upgrade",
        "Sec-Fetch-Dest: empty", "Upgrade: websocket")
    private static let proxied = request(
        "GET /echo HTTP/1.1", "upgrade:WebSocket", "connection:upgrade", "host:example.com", "x-forwarded-for: 192.0.2.1",
        "x-forwarded-proto: https", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version: 13")
    private static let handshakes = [chrome, firefox, proxied, RawClient.handshake()]

    @Test(arguments: handshakes.indices) func takesWhatClientsSend(_ index: Int) throws {
        let text = Self.handshakes[index]
        let plain = try #require(recognise(Array(text.utf8)))
        #expect(plain.length == text.utf8.count)
        try check(Array(text.utf8), plain)
    }

    @Test(arguments: handshakes.indices) func whatFollowsAreFrames(_ index: Int) {
        let text = Self.handshakes[index]
        for frames in [[0x81, 0x80, 0, 0, 0, 0], Array("\r\n".utf8), Array(text.utf8)] as [[UInt8]] {
            #expect(recognise(Array(text.utf8) + frames)?.length == text.utf8.count)
        }
    }

    // MARK: What is not

    @Test(arguments: handshakes.indices) func takesNothingThatIsNotWhole(_ index: Int) {
        let text = Self.handshakes[index]
        for count in 0..<text.utf8.count { #expect(recognise(Array(text.utf8.prefix(count))) == nil, "\(count) bytes") }
    }

    @Test(arguments: [
        "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade", "Connection: keep-alive", "Content-Length: 0", "content-length: 5",
        "Transfer-Encoding: chunked", "Expect: 100-continue", "Proxy-Connection: upgrade", "X:", "X: ", "X:  y", "X: y ", "X: a\tb",
        "X : y",
        " X: y", "X\u{0}: y", "X: \u{7F}", "X: é", ": y", "X", "X: a\rb", "X: a\nb", "X: a\r\n b", "X: a\n",
    ])
    func leavesToNIOWhatIsUnusual(_ field: String) {
        #expect(recognise(Array(RawClient.handshake("/echo", field + "\r\n").utf8)) == nil)
    }

    @Test(arguments: ["echo", "*", "http://a/echo", "/a#b", "/a b", "/a\"", "/{a}", "/a\\b", "/é", "", "/a\t", "/a\u{7F}"])
    func leavesToNIOPathsThatAreUnusual(_ path: String) { #expect(recognise(Array(RawClient.handshake(path).utf8)) == nil) }

    @Test(arguments: [
        ("GET", "POST"), ("GET ", "GET  "), ("GET", "get"), ("HTTP/1.1", "HTTP/1.0"), ("HTTP/1.1", "HTTP/1.2"), ("HTTP/1.1", "http/1.1"),
        ("HTTP/1.1\r\n", "HTTP/1.1\n"), ("HTTP/1.1", "HTTP/1.1 "), ("GET", "\r\nGET"), ("Upgrade: websocket\r\n", ""),
        ("Connection: Upgrade\r\n", ""), ("Host: 127.0.0.1\r\n", ""), ("websocket", "h2c"), ("websocket", "websocket, h2c"),
        ("Connection: Upgrade", "Connection: x, Upgrade"), ("Connection: Upgrade", "Connection:\tUpgrade"),
    ])
    func leavesToNIOWhatIsNoPlainHandshake(_ part: String, _ other: String) {
        let parts = RawClient.handshake().split(separator: part, maxSplits: 1, omittingEmptySubsequences: false)
        #expect(parts.count == 2 && recognise(Array(parts.joined(separator: other).utf8)) == nil)
    }

    @Test func keepsTheLimits() {
        let text = RawClient.handshake()
        #expect(recognise(Array(text.utf8), maxFields: 5) != nil)
        #expect(recognise(Array(text.utf8), maxFields: 4) == nil)
        #expect(recognise(Array(text.utf8), maxBytes: text.utf8.count) != nil)
        #expect(recognise(Array(text.utf8), maxBytes: text.utf8.count - 1) == nil)
    }

    // MARK: The same as NIO

    /// Every byte dropped, doubled and changed; not of the long first one, which takes as long as all the others.
    @Test(arguments: [1, 2, 3]) func everyByteChanged(_ index: Int) throws {
        let bytes = Array(Self.handshakes[index].utf8)
        var taken = 0
        for position in bytes.indices {
            var others = [Array(bytes[..<position] + bytes[(position + 1)...]), Array(bytes[...position] + bytes[position...])]
            let changes: [UInt8] = [0, 9, 10, 13, 32, 34, 37, 44, 58, 61, 97, 127, 128, bytes[position] ^ 0x20, bytes[position] &+ 1]
            for byte in changes {
                var other = bytes
                other[position] = byte
                others.append(other)
            }
            for other in others {
                guard let plain = recognise(other) else { continue }
                taken += 1
                try check(other, plain)
            }
        }
        #expect(taken > bytes.count)
    }

    /// Fields in other orders and spellings, with frames behind them or cut off.
    @Test(arguments: [1, 2, 3] as [UInt64]) func anyOrder(seed: UInt64) throws {
        print("PlainHandshakeTests.anyOrder seed \(seed)")
        var random = SeededGenerator(seed: seed)
        var taken = 0
        for round in 0..<300 {
            let bytes = Self.mutated(&random)
            guard let plain = recognise(bytes) else { continue }
            taken += 1
            try check(bytes, plain, "seed \(seed), round \(round)")
        }
        #expect(taken > 30, "seed \(seed)")
    }

    private static func mutated(_ random: inout SeededGenerator) -> [UInt8] {
        let text = handshakes.randomElement(using: &random) ?? ""
        var lines = text.split(separator: "\r\n").map(String.init)
        let first = lines.removeFirst()
        lines.shuffle(using: &random)
        for index in lines.indices where Int.random(in: 0..<10, using: &random) == 0 {
            switch Int.random(in: 0..<8, using: &random) {
            case 0: lines[index] = lines[index].lowercased()
            case 1: lines[index] = lines[index].uppercased()
            case 2: lines[index] += [" ", "\t", ",", ";", "=", "\""].randomElement(using: &random) ?? ""
            case 3: lines[index] = ([" ", "\t", "\r", "\n", "\u{0}"].randomElement(using: &random) ?? "") + lines[index]
            case 4: lines[index] = lines[index].replacing(": ", with: [":", ":  ", ":\t", " : "].randomElement(using: &random) ?? "")
            case 5: lines[index] = lines[index] + "\r\n" + lines[index]
            case 6: lines[index] += String(repeating: "x", count: Int.random(in: 0..<2000, using: &random))
            default: lines[index] = "X-\(random.next()): \(random.next())"
            }
        }
        let end = ["\r\n\r\n", "\r\n\r\n\u{1}\u{2}", "\r\n", "\n\n", ""].randomElement(using: &random) ?? ""
        return Array(([first] + lines).joined(separator: "\r\n").utf8) + Array((Bool.random(using: &random) ? "\r\n\r\n" : end).utf8)
    }

    /// Fails unless NIO's parser sees the same request, and the server on it gives the same answer.
    private func check(_ bytes: [UInt8], _ plain: PlainHandshake, _ note: String = "") throws {
        let text = Comment(rawValue: "\(note) \(String(decoding: bytes, as: UTF8.self))")
        let head = try #require(try Self.parsed(bytes), text)
        var headers = Array(head.headers)
        let host = try #require(headers.firstIndex { $0.name.lowercased() == "host" }, text)
        #expect(headers.remove(at: host).value == plain.request.authority, text)
        #expect(headers.map { "\($0.name): \($0.value)" } == plain.request.headerFields.map { "\($0.name.rawName): \($0.value)" }, text)
        #expect(head.method == .GET && head.uri == plain.request.path && plain.request.method == .get, text)
        #expect(plain.request.scheme == "http", text)
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: 1)
        guard let accepted = AcceptedHandshake(plain, from: address, Self.core) else { return }
        #expect(try String(buffer: accepted.answer) == Self.answered(Array(bytes[..<plain.length]), address), text)
    }

    private static let core: ServerCore = {
        let core = ServerCore(.forTests())
        let decide: @Sendable (ServerRequest) -> RouteDecision = { request in
            .accept(
                { _ in TestEcho() }, usesInbox: false, subprotocol: request.subprotocols.last, headerFields: [.server: "test"],
                compression: nil)
        }
        for path in ["/", "/echo", "/chat/{room}"] { core.add(Route(path, .immediate(decide))) }
        return core
    }()

    private static func parsed(_ bytes: [UInt8]) throws -> HTTPRequestHead? {
        var limits = NIOHTTPDecoderLimitConfiguration()
        (limits.maxHeaderFieldCount, limits.maxHeaderListSize, limits.maxHeaderFieldSize) = (maxFields, maxBytes, maxBytes)
        let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: limits)
        let channel = EmbeddedChannel(handler: ByteToMessageHandler(decoder))
        try channel.writeInbound(ByteBuffer(bytes: bytes))
        guard case .head(let head) = try channel.readInbound(as: HTTPServerRequestPart.self),
            case .end(nil) = try channel.readInbound(as: HTTPServerRequestPart.self), head.version == .http1_1
        else { return nil }
        // What follows a handshake is not read as HTTP.
        guard try channel.readInbound(as: HTTPServerRequestPart.self) == nil else { return nil }
        _ = try? channel.finish()
        return head
    }

    /// What the server says on NIO.
    private static func answered(_ bytes: [UInt8], _ address: SocketAddress) throws -> String? {
        let channel = EmbeddedChannel()
        let thread = EventThread(eventLoop: channel.embeddedEventLoop, statistics: core.statistics)
        let handler = HTTPServerHandler(server: core, thread: thread, slot: ConnectionSlot(ConnectionSlots(core)))
        try handler.addTo(channel.pipeline.syncOperations)
        try channel.connect(to: address).wait()
        try channel.writeInbound(ByteBuffer(bytes: bytes))
        channel.embeddedEventLoop.run()
        defer { _ = try? channel.finish() }
        return try channel.readOutbound(as: ByteBuffer.self).map { String(buffer: $0) }
    }
}
