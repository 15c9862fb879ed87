import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import WebSockets

/// Small proxies that do not pass anything on, but play the server themselves once their tunnel is open: what matters is which bytes the
/// client sends, and in which order.
@Suite(.timeLimit(.minutes(1))) struct ProxyTunnelTests {
    @Test(arguments: [
        ("ws://example.com/a", "example.com:80", "example.com"), ("ws://example.com:99/a", "example.com:99", "example.com:99"),
        ("ws://[::1]/a", "[::1]:80", "[::1]"),
    ])
    func connectsThroughHTTP(url: String, target: String, host: String) async throws {
        let heads = try await through(.http, url) { peer in
            let connect = try await peer.readHead()
            try await peer.write("HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n")
            return [connect, try await peer.upgrade()]
        }
        #expect(heads.first == "CONNECT \(target) HTTP/1.1\r\nhost: \(target)\r\n\r\n")
        #expect(heads.last.flatMap { field("Host", in: $0) } == host)
        #expect(heads.last?.hasPrefix("GET /a HTTP/1.1\r\n") == true)
    }

    @Test func sendsCredentialsToTheProxyAlone() async throws {
        let heads = try await through(.authenticated, "ws://example.com/") { peer in
            let connect = try await peer.readHead()
            try await peer.write("HTTP/1.0 200 OK\r\n\r\n")
            return [connect, try await peer.upgrade()]
        }
        // RFC 7617 §2's example
        #expect(heads.first.flatMap { field("Proxy-Authorization", in: $0) } == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
        #expect(heads.last.flatMap { field("Proxy-Authorization", in: $0) } == nil)
        #expect(heads.count == 2)
    }

    @Test(arguments: [
        ("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "answered 407"),
        ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad", "answered 502 Bad Gateway"),
        ("SSH-2.0-x\r\n", "does not speak HTTP"), ("", "closed the connection"),
    ])
    func saysWhyAnHTTPProxyRefused(answer: String, reason: String) async throws {
        try await ScriptedPeer.serve { peer in
            _ = try await peer.readHead()
            if !answer.isEmpty { try await peer.write(answer) }
        } while: { server in
            let error = await failure("ws://example.com/", .http(host: "127.0.0.1", port: server.port))
            #expect(error?.kind == .proxy)
            #expect(error?.description.contains("the HTTP proxy 127.0.0.1:\(server.port) \(reason)") == true, "\(error as Any)")
        }
    }

    @Test(arguments: [
        ("ws://example.com/", [3, 11] + Array("example.com".utf8) + [0, 80]), ("ws://192.0.2.1:256/", [1, 192, 0, 2, 1, 1, 0]),
        ("ws://[2001:db8::1]/", [4, 0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80]),
    ])
    func connectsThroughSOCKS(url: String, target: [UInt8]) async throws {
        let heads = try await through(.socks, url) { peer in
            #expect(try await peer.read(3) == [5, 1, 0])
            try await peer.write([5, 0])
            #expect(try await peer.read(3 + target.count) == [5, 1, 0] + target)
            try await peer.write([5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
            return [try await peer.upgrade()]
        }
        #expect(heads.first?.hasPrefix("GET / HTTP/1.1\r\n") == true)
    }

    @Test(
        arguments: [
            ([5, 0, 5, 5, 0, 1, 0, 0, 0, 0, 0, 0], "connection refused by the server (reply 5)"), ([5, 0xFF], "wants a user name"),
            ([4, 0], "does not speak SOCKS5"), ([], "closed the connection"),
        ] as [([UInt8], String)])
    func saysWhyASOCKSProxyRefused(answer: [UInt8], reason: String) async throws {
        try await ScriptedPeer.serve { peer in
            _ = try await peer.read(3)
            if answer.isEmpty { return }
            try await peer.write(Array(answer.prefix(2)))
            if answer.count > 2 {
                _ = try await peer.read(18)
                try await peer.write(Array(answer.dropFirst(2)))
            }
            await peer.readToEnd()
        } while: { server in
            let error = await failure("ws://example.com/", .socks5(host: "127.0.0.1", port: server.port))
            #expect(error?.kind == .proxy)
            #expect(error?.description.contains("the SOCKS5 proxy 127.0.0.1:\(server.port)") == true)
            #expect(error?.description.contains(reason) == true, "\(error as Any)")
        }
    }

    @Test func saysThatTheProxyIsNotThere() async throws {
        let silent = try SilentPort()
        defer { withExtendedLifetime(silent) {} }
        let port = silent.number
        let error = await failure("ws://example.com/", .http(host: "127.0.0.1", port: port))
        #expect(error?.description.contains("HTTP proxy 127.0.0.1:\(port) cannot be reached") == true)
    }

    @Test func reachesTLSThroughATunnel() async throws {
        let authority = try TestAuthority()
        let context = try authority.serverContext(authority.identity(names: ["example.com"]))
        let (names, name) = AsyncStream<String>.makeStream()
        try await ScriptedPeer.serve { peer in
            name.yield(try await peer.readHead().prefix { $0 != "\r\n" }.description)
            // From here on the server's own TLS, on the same connection.
            try await peer.writeAndSecure("HTTP/1.1 200 OK\r\n\r\n", context)
            try await peer.upgrade()
            try await peer.echo()
        } while: { server in
            let configuration = WebSocketClient.Configuration(
                tls: .init(roots: .pem(authority.root)), proxy: .http(host: "127.0.0.1", port: server.port), timeout: .seconds(60))
            let text = try await WebSocketClient.connect("wss://example.com/", configuration: configuration) { socket in
                try await socket.send("secret")
                for try await message in socket { return message.text }
                return nil
            }
            #expect(text == "secret")
        }
        #expect(await names.first { _ in true } == "CONNECT example.com:443 HTTP/1.1")
    }

    @Test func cannotCheckAnAddressThroughAProxy() async throws {
        let error = await failure("wss://192.0.2.1/", .http(host: "127.0.0.1", port: 1))
        #expect(error?.kind == .tlsConfiguration)
        #expect(error?.description.contains("tls.serverName") == true)
    }

    // MARK: Helpers

    enum Kind: Sendable { case http, authenticated, socks }

    /// Connects through a proxy that the script plays up to the handshake, and says what the script says.
    private func through(
        _ kind: Kind, _ url: String, _ script: @escaping @Sendable (PeerConnection) async throws -> [String]
    ) async throws -> [String] {
        let heads = Mutex<[String]>([])
        try await ScriptedPeer.serve { peer in
            let seen = try await script(peer)
            heads.withLock { $0 = seen }
            try await peer.echo()
        } while: { server in
            let proxy: Proxy =
                switch kind {
                case .http: .http(host: "127.0.0.1", port: server.port)
                case .authenticated: .http(host: "127.0.0.1", port: server.port, user: "Aladdin", password: "open sesame")
                case .socks: .socks5(host: "127.0.0.1", port: server.port)
                }
            let text = try await WebSocketClient.connect(url, configuration: .init(proxy: proxy, timeout: .seconds(60))) { socket in
                try await socket.send("x")
                for try await message in socket { return message.text }
                return nil
            }
            #expect(text == "x")
        }
        return heads.withLock { $0 }
    }

    private func failure(_ url: String, _ proxy: Proxy) async -> ConnectError? {
        await #expect(throws: ConnectError.self) {
            try await WebSocketClient.connect(url, configuration: .init(proxy: proxy, timeout: .seconds(60))) { _ in }
        }
    }
}
