// What the handshake settled, packed and unpacked.

import HTTPTypes
import NIOCore
import Testing

@testable import WebSockets

@Suite struct PackedHandshakeTests {
    private static func handshake(
        _ request: HTTPRequest, parameters: [String: String] = [:], subprotocol: String? = nil, address: SocketAddress? = nil
    ) -> WebSocket.Handshake {
        .init(request: request, parameters: parameters, subprotocol: subprotocol, remoteAddress: address)
    }

    @Test func nothingIsLost() throws {
        var request = HTTPRequest(method: .get, scheme: "https", authority: "example.com:8443", path: "/chat/ü?a=b")
        request.headerFields = [.cookie: "a=b", .userAgent: String(repeating: "x", count: 300), .origin: ""]
        request.headerFields.append(HTTPField(name: .cookie, value: "second"))
        request.headerFields.append(HTTPField(name: try #require(.init("X-Bytes")), value: [0x61, 0xFC, 0x62]))
        let address = try SocketAddress(ipAddress: "192.0.2.7", port: 65_535)
        let packed = PackedHandshake(
            Self.handshake(request, parameters: ["room": "ü/1", "b": ""], subprotocol: "chat.v2", address: address))
        #expect(packed.request == request)
        #expect(packed.request.headerFields.map(\.name.rawName) == request.headerFields.map(\.name.rawName))
        #expect(packed.path == "/chat/ü?a=b")
        #expect(packed.parameters == ["room": "ü/1", "b": ""])
        #expect(packed.subprotocol == "chat.v2")
        #expect(packed.remoteAddress == address)
    }

    @Test func whatIsNotThereStaysAway() {
        let request = HTTPRequest(method: .options, scheme: nil, authority: nil, path: nil)
        let packed = PackedHandshake(Self.handshake(request))
        #expect(packed.request == request)
        #expect(packed.path == "")
        #expect(packed.parameters == [:])
        #expect(packed.subprotocol == nil)
        #expect(packed.remoteAddress == nil)
    }

    @Test func emptyIsNotNothing() {
        let packed = PackedHandshake(
            Self.handshake(HTTPRequest(method: .get, scheme: "", authority: "", path: ""), subprotocol: ""))
        #expect(packed.request.path == "")
        #expect(packed.request.authority == "")
        #expect(packed.subprotocol == "")
    }

    @Test(arguments: ["::1", "2001:db8::7", "127.0.0.1"])
    func addresses(_ host: String) throws {
        let address = try SocketAddress(ipAddress: host, port: 0)
        #expect(
            PackedHandshake(Self.handshake(HTTPRequest(method: .get, scheme: nil, authority: nil, path: "/"), address: address))
                .remoteAddress == address)
    }

    @Test func socketsOfTheFileSystemHaveAPath() throws {
        let address = try SocketAddress(unixDomainSocketPath: "/tmp/socket")
        let packed = PackedHandshake(Self.handshake(HTTPRequest(method: .get, scheme: nil, authority: nil, path: "/"), address: address))
        #expect(packed.remoteAddress?.pathname == "/tmp/socket")
    }

    /// A connection's share of 600 bytes: malloc's piece of 64 has room for 56.
    @Test func takesLittleMemory() throws {
        let request = HTTPRequest(method: .get, scheme: "http", authority: "127.0.0.1:18080", path: "/echo")
        let packed = PackedHandshake(Self.handshake(request, address: try SocketAddress(ipAddress: "127.0.0.1", port: 50_000)))
        #expect(packed.size <= 56)
    }

    @Test func whatOnlyTheHandshakeNeedsIsDropped() {
        var request = HTTPRequest(method: .get, scheme: "http", authority: "a", path: "/")
        request.headerFields = [
            .upgrade: "websocket", .connection: "Upgrade", .secWebSocketKey: "k", .secWebSocketVersion: "13",
            .secWebSocketExtensions: "permessage-deflate", .secWebSocketProtocol: "chat",
        ]
        let fields = PackedHandshake(Self.handshake(request)).request.headerFields
        #expect(fields == [.secWebSocketProtocol: "chat"])
    }
}
