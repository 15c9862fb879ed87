// Compression that real servers and clients fell to, as exact bytes on a real socket; the mask key is 00 00 00 00. The letter and number
// is the row in the project's table of bad inputs.

import NIOCore
import Testing
import WebSocketCore
import WebSocketDeflate

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct BadCompressionTests {
    private static let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n"

    /// A DEFLATE stream of zeros, whose blocks each say "258 times what was before": 1 to 1000.
    private static func zeros(_ count: Int) throws -> [UInt8] {
        let deflater = try #require(Deflater(level: 9, windowBits: 15, memoryLevel: 9))
        var output = [UInt8](repeating: 0, count: try #require(deflater.bound(count)))
        let size = [UInt8](repeating: 0, count: count).withUnsafeBytes { zeros in
            output.withUnsafeMutableBytes { deflater.deflate(zeros, into: $0) }
        }
        return Array(output.prefix(try #require(size)))
    }

    private static func frame(_ payload: [UInt8], _ opcode: UInt8, isFinal: Bool, isCompressed: Bool) -> [UInt8] {
        WireFrame(opcode: opcode, payload: payload, isFinal: isFinal, isCompressed: isCompressed).encoded(masked: true)
    }

    /// D1: past the limit of 1 MiB by one byte, and by a hundred times; whole, and in frames of 100 bytes.
    @Test(arguments: [(1 << 20) + 1, 100 << 20], [false, true]) func aBombIsTooBig(size: Int, isFragmented: Bool) async throws {
        let bomb = try Self.zeros(size)
        #expect(bomb.count < size / 900)
        try await withServer { port, _ in
            let client = try await RawClient.open(port: port, fields: Self.offer)
            let pieces = isFragmented ? stride(from: 0, to: bomb.count, by: 100).map { Array(bomb[$0...].prefix(100)) } : [bomb]
            let frames = pieces.enumerated().flatMap { index, piece in
                Self.frame(piece, index == 0 ? 2 : 0, isFinal: index == pieces.count - 1, isCompressed: index == 0)
            }
            // The server may close before all has been sent.
            try? await client.send(frames)
            let answer = try WireFrame.all(in: await client.readToEnd())
            #expect(answer.map(\.opcode) == [8] && answer.first?.payload.prefix(2) == [0x03, 0xF1])
        }
    }

    /// D1: what is exactly as large as allowed comes back.
    @Test func theLimitItselfIsNotTooMuch() async throws {
        let message = try Self.zeros(1 << 20)
        try await withServer { port, _ in
            let client = try await RawClient.open(port: port, fields: Self.offer)
            try await client.send(Self.frame(message, 2, isFinal: true, isCompressed: true))
            let head = await client.read(2)
            #expect(head.first == 0xC2)
        }
    }

    /// D3.
    @Test(arguments: [
        "server_max_window_bits=7", "server_max_window_bits=16", "server_max_window_bits=08", "server_max_window_bits=1000",
        "server_max_window_bits", "server_max_window_bits=", "server_max_window_bits=10; server_max_window_bits=10", "unknown",
    ]) func theServerDeclinesABadOffer(parameter: String) async throws {
        try await withServer { port, _ in
            let client = try await RawClient.connect(port: port)
            let field = "Sec-WebSocket-Extensions: permessage-deflate; \(parameter)\r\n"
            try await client.send(RawClient.handshake("/echo", field))
            let head = try await client.readHead()
            // A value that is missing behind its `=` breaks RFC 6455's own grammar.
            #expect(head.hasPrefix(parameter.hasSuffix("=") ? "HTTP/1.1 400 " : "HTTP/1.1 101 "))
            #expect(!head.lowercased().contains("sec-websocket-extensions"))
        }
    }

    /// D3.
    @Test(arguments: [
        "server_max_window_bits=7", "server_max_window_bits=16", "server_max_window_bits=08", "server_max_window_bits=1000",
        "server_max_window_bits", "server_max_window_bits=", "server_max_window_bits=10; server_max_window_bits=10", "unknown",
        "client_max_window_bits",
    ]) func theClientFailsAtABadAnswer(parameter: String) async throws {
        try await ScriptedPeer.serve { peer in
            _ = try await peer.upgrade("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \(parameter)\r\n")
            try await peer.echo()
        } while: { server in
            let error = await #expect(throws: HandshakeFailure.self) { try await WebSocketClient.connect(server.url) { _ in } }
            #expect(error?.rule == .extensions)
        }
    }

    /// D6: pings between compressed fragments, whose context goes on.
    @Test func controlFramesBetweenFragmentsChangeNothing() async throws {
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.connection.compression = .dedicated()
        try await withServer(configuration) { port, _ in
            let client = try await RawClient.open(port: port, fields: Self.offer)
            let hello: [UInt8] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]
            let again: [UInt8] = [0xF2, 0x00, 0x11, 0x00, 0x00]
            for message in [hello, again] {
                try await client.send(
                    Self.frame(Array(message[..<3]), 1, isFinal: false, isCompressed: true) + WireFrame.ping([7]).encoded(masked: true)
                        + Self.frame(Array(message[3...]), 0, isFinal: true, isCompressed: false))
            }
            let expected = [WireFrame.pong([7]), .text("Hello"), .pong([7]), .text("Hello")]
            let length = expected.reduce(0) { $0 + $1.encoded(masked: false).count }
            let frames = try WireFrame.all(in: await client.read(length))
            // A pong may overtake a message.
            #expect(frames.count == 4 && frames.filter { $0.opcode == 1 } == [.text("Hello"), .text("Hello")])
        }
    }

    /// Whatever both ends choose, they understand each other.
    @Test(
        arguments: [Compression.off, .shared, .dedicated(), .dedicated(windowBits: 9, memoryLevel: 1)],
        [Compression.off, .shared, .dedicated(), .dedicated(windowBits: 9, memoryLevel: 1)])
    func bothEndsUnderstandEachOther(server: Compression, client: Compression) async throws {
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.connection.compression = server
        try await withServer(configuration) { port, _ in
            var configuration = WebSocketClient.Configuration.patient
            configuration.connection.compression = client
            let text = String(repeating: "{\"id\": 12345, \"text\": \"grüße\"}", count: 3000)
            let messages = [text, "", "short", text, String(text.prefix(2000))].flatMap { [Message.text($0), .binary(Array($0.utf8))] }
            for path in ["/echo", "/echo-async"] {
                let (echoed, extensions) = try await WebSocketClient.connect(
                    "ws://127.0.0.1:\(port)\(path)", configuration: configuration
                ) { socket in
                    for message in messages { try await socket.send(message) }
                    var echoed: [Message] = []
                    for try await message in socket {
                        echoed.append(message)
                        if echoed.count == messages.count { break }
                    }
                    return (echoed, socket.extensions)
                }
                #expect(echoed == messages)
                #expect(extensions.isEmpty == (server.isOff || client.isOff))
            }
        }
    }

    @Test func theApplicationDecidesForAClient() async throws {
        let routes = { @Sendable (server: WebSocketServer) in
            server.webSocket("/echo", upgrade: { _ in .accept((), compression: .off) }) { _, _ in }
        }
        try await withServer(routes: routes) { port, _ in
            let client = try await RawClient.connect(port: port)
            try await client.send(RawClient.handshake("/echo", Self.offer))
            #expect(try await !client.readHead().lowercased().contains("sec-websocket-extensions"))
        }
    }
}
