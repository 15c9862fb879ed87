// The client's side of the opening handshake (RFC 6455 §4.1; bad input H13).

import HTTPTypes
import Testing

@testable import WebSocketCore

@Suite struct ClientHandshakeTests {
    /// "the sample nonce", the key of RFC 6455 §1.3.
    private static let nonce: SIMD16<UInt8> = [
        0x74, 0x68, 0x65, 0x20, 0x73, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x20, 0x6e, 0x6f, 0x6e, 0x63, 0x65,
    ]

    private func handshake(
        authority: String = "server.example.com", path: String = "/chat", subprotocols: [String] = ["chat", "superchat"],
        extensions: [ExtensionOffer] = [ExtensionOffer("permessage-deflate", parameters: [.init("client_max_window_bits")])],
        additional: HTTPFields = [:]
    ) throws -> ClientHandshake {
        try ClientHandshake(
            authority: authority, path: path, isSecure: false, subprotocols: subprotocols, extensions: extensions, additional: additional,
            random: Self.nonce)
    }

    private func answer(_ change: (inout HTTPResponse) -> Void = { _ in }) -> HTTPResponse {
        var response = HTTPResponse(status: .switchingProtocols)
        response.headerFields = [
            .upgrade: "websocket", .connection: "Upgrade", .secWebSocketAccept: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        ]
        change(&response)
        return response
    }

    private func failure(_ change: (inout HTTPResponse) -> Void) throws -> HandshakeFailure {
        let handshake = try handshake()
        return try #require(throws: HandshakeFailure.self) { try handshake.validate(answer(change)) }
    }

    @Test func buildsTheRequest() throws {
        let handshake = try handshake(additional: [.origin: "http://example.com"])
        let request = handshake.request
        #expect(request.method == .get && request.scheme == "http")
        #expect(request.authority == "server.example.com" && request.path == "/chat")
        #expect(
            request.headerFields == [
                .upgrade: "websocket", .connection: "Upgrade", .secWebSocketKey: "dGhlIHNhbXBsZSBub25jZQ==", .secWebSocketVersion: "13",
                .secWebSocketProtocol: "chat, superchat", .secWebSocketExtensions: "permessage-deflate; client_max_window_bits",
                .origin: "http://example.com",
            ])
    }

    @Test func leavesOutWhatIsNotOffered() throws {
        let handshake = try ClientHandshake(authority: "[::1]:9000", isSecure: true, random: Self.nonce)
        #expect(handshake.request.scheme == "https" && handshake.request.path == "/")
        #expect(!handshake.request.headerFields.contains(.secWebSocketProtocol))
        #expect(!handshake.request.headerFields.contains(.secWebSocketExtensions))
    }

    @Test func isAcceptedByOurServer() throws {
        let client = try handshake()
        let server = try ServerHandshake(request: client.request, version: (1, 1))
        let extensions = [ExtensionOffer("permessage-deflate")]
        let agreement = try client.validate(server.response(subprotocol: "superchat", extensions: extensions))
        #expect(agreement.subprotocol == "superchat" && agreement.extensions == extensions)
        let plain = try client.validate(server.response())
        #expect(plain.subprotocol == nil && plain.extensions == [])
    }

    @Test func acceptsOtherSpellings() throws {
        let response = answer {
            $0.headerFields[.upgrade] = "WebSocket"
            $0.headerFields[values: .connection] = ["keep-alive", "UPGRADE"]
        }
        #expect(throws: Never.self) { try handshake().validate(response) }
    }

    // H13
    @Test(arguments: ["", "chat", "/a b", "/a\r\nX: y", "/a\n", "/\0", "/a#b", "/\u{e9}", "/\u{7f}", "http://a/b", "*"])
    func neverSendsAMalformedPath(path: String) {
        #expect(throws: HandshakeUsageError.invalidPath) { try handshake(path: path) }
    }

    @Test func sendsAPathAsItIs() throws {
        #expect(try handshake(path: "/a/%20?q=[x]&r=\"'|").request.path == "/a/%20?q=[x]&r=\"'|")
    }

    @Test(arguments: ["", "a b", "a\r\nX: y", "a\0", "u@a", "a/b", "a:99999", "[::1", "\u{e9}.example"])
    func neverSendsAMalformedAuthority(authority: String) {
        #expect(throws: HandshakeUsageError.invalidAuthority) { try handshake(authority: authority) }
    }

    @Test(arguments: [[""], ["a b"], ["a,b"], ["a", "a"], ["a\r\nb"], ["\u{e9}"]])
    func neverSendsAMalformedSubprotocol(names: [String]) {
        #expect(throws: HandshakeUsageError.invalidSubprotocol) { try handshake(subprotocols: names) }
    }

    @Test func neverSendsAMalformedExtension() {
        #expect(throws: HandshakeUsageError.invalidExtension) { try handshake(extensions: [ExtensionOffer("a\r\n")]) }
        #expect(throws: HandshakeUsageError.invalidExtension) {
            try handshake(extensions: [ExtensionOffer("a", parameters: [.init("b", "c d")])])
        }
    }

    @Test func keepsTheHandshakesOwnFields() throws {
        let names = [
            "Host", "upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "SEC-WEBSOCKET-PROTOCOL", "Content-Length",
            "Transfer-Encoding",
        ]
        for name in try names.map({ try #require(HTTPField.Name($0)) }) {
            #expect(throws: HandshakeUsageError.reservedHeader(name)) { try handshake(additional: [name: "x"]) }
        }
        let field = HTTPField(name: .cookie, lenientValue: [0x61, 0x01])
        #expect(throws: HandshakeUsageError.invalidHeaderValue(.cookie)) { try handshake(additional: HTTPFields([field])) }
    }

    @Test(arguments: [200, 301, 400, 401, 426, 503, 100, 102]) func failsOnAnotherStatus(code: Int) throws {
        let failure = try failure { $0.status = HTTPResponse.Status(code: code) }
        #expect(failure.rule == .status && failure.description.contains("\(code)"))
        #expect(failure.section == "RFC 6455 §4.1")
    }

    @Test(arguments: [[], [""], ["h2c"], ["websockets"], ["websocket, h2c"], ["websocket", "websocket"]])
    func failsOnTheUpgrade(values: [String]) throws {
        #expect(try failure { $0.headerFields[values: .upgrade] = values }.rule == .upgrade)
    }

    @Test(arguments: [[], [""], ["close"], ["notupgrade"]]) func failsOnTheConnection(values: [String]) throws {
        #expect(try failure { $0.headerFields[values: .connection] = values }.rule == .connection)
    }

    @Test(arguments: [
        [], [""], ["S3pPLMBiTxaQ9kYGzzhZRbK+xOo="], ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo"], ["AAAAAAAAAAAAAAAAAAAAAAAAAAA="],
        ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="], ["dGhlIHNhbXBsZSBub25jZQ=="],
    ])
    func failsOnTheAccept(values: [String]) throws {
        #expect(try failure { $0.headerFields[values: .secWebSocketAccept] = values }.rule == .accept)
    }

    @Test(arguments: [["other"], [""], ["Chat"], ["chat, superchat"], ["chat", "superchat"], ["chat", "chat"]])
    func failsOnTheSubprotocol(values: [String]) throws {
        #expect(try failure { $0.headerFields[values: .secWebSocketProtocol] = values }.rule == .subprotocol)
    }

    @Test func failsOnASubprotocolWhenNoneWasOffered() throws {
        let handshake = try handshake(subprotocols: [])
        let response = answer { $0.headerFields[.secWebSocketProtocol] = "chat" }
        #expect(throws: HandshakeFailure.self) { try handshake.validate(response) }
    }

    @Test(arguments: [
        ["x"], ["permessage-deflate, x"], ["permessage-deflate, permessage-deflate"], ["permessage-deflate", "permessage-deflate"],
        ["Permessage-Deflate"], [",;constructor"], ["permessage-deflate;"], [""],
    ])
    func failsOnTheExtensions(values: [String]) throws {
        #expect(try failure { $0.headerFields[values: .secWebSocketExtensions] = values }.rule == .extensions)
    }
}
