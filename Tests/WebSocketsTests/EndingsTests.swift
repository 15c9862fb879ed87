// How connections end, at every place of a handshake and of what follows it: RFC 6455 §4.2.2, §5.5.1, §7.1.
//
// A server once ended with its process when a client broke its connection right behind a handshake: what stood behind it came to a handler
// that had closed by then, and was taken for HTTP. An answer to what a peer said last was dropped where the peer had ended its side.

import NIOCore
import NIOSSL
import Synchronization
import TestSupport
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.serialized, .timeLimit(.minutes(2))) struct EndingsTests {
    private let folder: TestFolder
    private let authority: TestAuthority

    init() throws {
        folder = try TestFolder()
        authority = try TestAuthority()
    }

    private static let message: [UInt8] = [0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]
    private static let close: [UInt8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE9]
    private static let echo: [UInt8] = [0x81, 0x02, 0x68, 0x69]
    private static let closeEcho: [UInt8] = [0x88, 0x02, 0x03, 0xE9]

    // MARK: A server

    /// One way in which a client comes and goes: what it sends, in how many writes, and how it ends.
    private struct Visit: CustomStringConvertible {
        let path: String
        /// Where the first write ends.
        let split: Int
        /// Where the client ends.
        let cut: Int
        let ending: LineEnding

        var description: String { "\(path), split at \(split), cut at \(cut), \(ending)" }
        var head: [UInt8] { Array(RawClient.handshake(path).utf8) }
        var bytes: [UInt8] { head + EndingsTests.message + EndingsTests.close }
        /// What a client that still reads must see behind the 101.
        var answer: [UInt8] {
            let frames = cut - head.count
            if frames >= 16 { return EndingsTests.echo + EndingsTests.closeEcho }
            return frames >= 8 ? EndingsTests.echo : []
        }
    }

    @Test(arguments: [WebSocketServer.Transport.automatic, .nio], [false, true])
    func aServerAnswersWhatCameBeforeTheEnd(_ transport: WebSocketServer.Transport, _ isSecure: Bool) async throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.transport = transport
        // Fewer than there are visits, so that one that is not given back is missed.
        configuration.maxConnections = 8
        if isSecure { configuration.tls = try authority.serverTLS(in: folder) }
        let context = isSecure ? try authority.clientContext() : nil
        var visits: [Visit] = []
        for path in ["/echo", "/echo-async", "/echo-decided"] {
            let length = RawClient.handshake(path).utf8.count
            for cut in length - 3...length + 16 {
                for ending in LineEnding.allCases {
                    visits.append(
                        Visit(path: path, split: [0, 40, length, cut].randomElement(using: &random) ?? 0, cut: cut, ending: ending))
                }
            }
        }
        // Handshakes of TLS take their time where nothing is optimised.
        if isSecure { visits = Array(visits.shuffled(using: &random).prefix(48)) }
        try await withServer(configuration, routes: addRoutes) { port, server in
            for visit in visits { try await check(visit, port, context, server, seed) }
            await settle(server)
            let client = try await RawClient.connect(port: port, tls: context)
            try await client.send(Array(RawClient.handshake().utf8) + Self.message)
            #expect(try await client.readHead().hasPrefix("HTTP/1.1 101 "))
            #expect(await client.read(4) == Self.echo)
        }
    }

    private func addRoutes(to server: WebSocketServer) {
        addEchoes(to: server)
        server.webSocket(
            "/echo-decided",
            upgrade: { _ in
                await Task.yield()
                return .accept(())
            }
        ) { (_: WebSocket, _: Void) in TestEcho() }
    }

    private func check(_ visit: Visit, _ port: Int, _ context: NIOSSLContext?, _ server: WebSocketServer, _ seed: UInt64) async throws {
        await settle(server)
        let client = try await RawClient.connect(port: port, tls: context)
        let split = min(visit.split, visit.cut)
        try? await client.send(visit.bytes[..<split])
        try? await client.send(visit.bytes[split..<visit.cut])
        await client.channel.end(visit.ending)
        guard visit.ending == .halfClosed || visit.ending == .closeNotify else { return }
        let answer = await client.readToEnd()
        guard visit.cut >= visit.head.count else { return }
        let head = String(decoding: answer.prefix(13), as: UTF8.self)
        #expect(head == "HTTP/1.1 101 ", "\(visit), seed \(seed)")
        #expect(answer.suffix(visit.answer.count).elementsEqual(visit.answer), "\(visit), seed \(seed): \(answer.suffix(12))")
    }

    /// Waits until every connection of before has given its place back.
    private func settle(_ server: WebSocketServer) async {
        while server.statistics.open > 0 || !server.core.isIdle { try? await Task.sleep(for: .milliseconds(1)) }
    }

    @Test(arguments: [WebSocketServer.Transport.automatic, .nio], [false, true])
    func aRequestIsAnsweredBehindTheEnd(_ transport: WebSocketServer.Transport, _ isSecure: Bool) async throws {
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.transport = transport
        if isSecure { configuration.tls = try authority.serverTLS(in: folder) }
        let context = isSecure ? try authority.clientContext() : nil
        try await withServer(configuration) { port, _ in
            for ending in [LineEnding.halfClosed, .closeNotify] {
                let client = try await RawClient.connect(port: port, tls: context)
                // Two, one behind the other; and the second is answered as well.
                try await client.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /no HTTP/1.1\r\nHost: a\r\n\r\n")
                await client.channel.end(ending)
                let answer = String(decoding: await client.readToEnd(), as: UTF8.self)
                #expect(
                    answer.hasPrefix("HTTP/1.1 200 ") && answer.contains("HTTP/1.1 404 ") && answer.hasSuffix("no"), "\(ending): \(answer)")
            }
        }
    }

    // MARK: A client

    @Test(arguments: [false, true])
    func aClientHearsWhatCameBeforeTheEnd(_ isSecure: Bool) async throws {
        let context = isSecure ? try authority.serverContext(authority.identity(names: ["localhost"])) : nil
        var configuration = WebSocketClient.Configuration.patient
        configuration.tls = ClientTLS(roots: .pem(authority.root))
        let hello: [UInt8] = [0x81, 5] + Array("hello".utf8)
        for ending in LineEnding.allCases {
            for (split, close) in [(0, true), (0, false), (1, false), (4, true)] {
                let frames = hello + (close ? [0x88, 0x02, 0x03, 0xE8] : [])
                try await ScriptedPeer.serve(tls: context) { peer in
                    let head = try await peer.readHead()
                    let bytes = Array(PeerConnection.agreement(to: head).utf8) + frames
                    // Once in a piece, and once with the end of the head in the second one.
                    if split > 0 { try await peer.write(Array(bytes.dropLast(frames.count + split))) }
                    try await peer.write(Array(bytes.suffix(split > 0 ? frames.count + split : bytes.count)))
                    await peer.channel.end(ending)
                    await peer.readToEnd()
                } while: { peer in
                    // A reset may overtake what the system has not handed out yet.
                    let url = (isSecure ? "wss://localhost:" : "ws://127.0.0.1:") + "\(peer.port)"
                    let heard = Mutex<[String?]>([])
                    do {
                        try await WebSocketClient.connect(url, configuration: configuration) { socket in
                            for try await message in socket { heard.withLock { $0.append(message.text) } }
                        }
                    } catch {
                        #expect(!close || ending == .reset, "\(ending), split at \(split), closed \(close): \(error)")
                    }
                    #expect(heard.withLock { $0 } == ["hello"] || ending == .reset, "\(ending), split at \(split), closed \(close)")
                }
            }
        }
    }

    @Test func aClientHearsWhyItIsRefused() async throws {
        let context = try authority.serverContext(authority.identity(names: ["localhost"]))
        var configuration = WebSocketClient.Configuration.patient
        configuration.tls = ClientTLS(roots: .pem(authority.root))
        for ending in [LineEnding.closed, .halfClosed, .closeNotify] {
            try await ScriptedPeer.serve(tls: context) { peer in
                _ = try await peer.readHead()
                try await peer.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\nwho calls")
                await peer.channel.end(ending)
                await peer.readToEnd()
            } while: { peer in
                let refused = await #expect(throws: HandshakeRefused.self) {
                    try await WebSocketClient.connect("wss://localhost:\(peer.port)", configuration: configuration) { _ in }
                }
                #expect(refused.map { String(buffer: $0.body) } == "who calls", "\(ending)")
            }
        }
    }
}
