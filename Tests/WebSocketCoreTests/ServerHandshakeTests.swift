// The server's side of the opening handshake (RFC 6455 §4.2; bad inputs H5, H6, H8, H9, H10, H12, H13, H14).

import HTTPTypes
import TestSupport
import Testing

@testable import WebSocketCore

@Suite struct ServerHandshakeTests {
    private static let host = HTTPField.Name("Host")

    /// The request of RFC 6455 §1.3.
    private func example(_ change: (inout HTTPRequest) -> Void = { _ in }) -> HTTPRequest {
        var request = HTTPRequest(method: .get, scheme: "http", authority: "server.example.com", path: "/chat")
        request.headerFields = [
            .upgrade: "websocket", .connection: "Upgrade", .secWebSocketKey: "dGhlIHNhbXBsZSBub25jZQ==",
            .origin: "http://example.com", .secWebSocketProtocol: "chat, superchat", .secWebSocketVersion: "13",
        ]
        change(&request)
        return request
    }

    private func accept(_ change: (inout HTTPRequest) -> Void = { _ in }) throws -> ServerHandshake {
        try ServerHandshake(request: example(change), version: (1, 1))
    }

    private func refusal(_ version: (Int, Int) = (1, 1), _ change: (inout HTTPRequest) -> Void) throws -> HandshakeRefusal {
        try #require(throws: HandshakeRefusal.self) { try ServerHandshake(request: example(change), version: version) }
    }

    @Test func acceptsTheExampleOfTheRFC() throws {
        let handshake = try accept()
        #expect(handshake.key == "dGhlIHNhbXBsZSBub25jZQ==")
        #expect(handshake.authority == "server.example.com")
        #expect(handshake.subprotocols == ["chat", "superchat"])
        #expect(handshake.extensions == [])
        #expect(handshake.origins == ["http://example.com"])
        let response = try handshake.response(subprotocol: "chat")
        #expect(response.status == .switchingProtocols)
        #expect(
            response.headerFields == [
                .upgrade: "websocket", .connection: "Upgrade", .secWebSocketAccept: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
                .secWebSocketProtocol: "chat",
            ])
    }

    @Test func acceptsOtherSpellings() throws {
        let handshake = try accept {
            $0.headerFields[.upgrade] = "h2c, WebSocket"
            $0.headerFields[values: .connection] = ["keep-alive", "x, UPGRADE"]
            $0.headerFields[values: .secWebSocketProtocol] = ["a", "b"]
            $0.headerFields[values: .secWebSocketExtensions] = ["permessage-deflate; client_max_window_bits", "x"]
            $0.headerFields[.contentLength] = "0"
        }
        #expect(handshake.subprotocols == ["a", "b"])
        #expect(handshake.extensions.map(\.name) == ["permessage-deflate", "x"])
        #expect(throws: Never.self) { try ServerHandshake(request: example(), version: (2, 0)) }
    }

    @Test func tellsAnUpgradeFromAPlainRequest() {
        #expect(ServerHandshake.isUpgrade(example()))
        #expect(ServerHandshake.isUpgrade(example { $0.headerFields[.upgrade] = "bogus" }))
        #expect(!ServerHandshake.isUpgrade(example { $0.headerFields[.upgrade] = nil }))
    }

    @Test func demandsAnUpgradeWhereThereIsNone() throws {
        let refusal = try refusal { $0.headerFields[.upgrade] = nil }
        #expect(refusal.response.status == .upgradeRequired && refusal.rule == .upgrade)
        #expect(refusal.response.headerFields == [.upgrade: "websocket", .connection: "Upgrade"])
    }

    // H5
    @Test(arguments: [",;constructor", "permessage-deflate; =", "a b"]) func refusesMalformedExtensions(line: String) throws {
        let refusal = try refusal { $0.headerFields[.secWebSocketExtensions] = line }
        #expect(refusal.status == .badRequest && refusal.rule == .extensions)
    }

    // H5: a token that means something to the host language only is no extension that anyone speaks.
    @Test func declinesUnknownExtensions() throws {
        let handshake = try accept { $0.headerFields[.secWebSocketExtensions] = "constructor" }
        #expect(try handshake.response().headerFields[.secWebSocketExtensions] == nil)
    }

    // H6
    @Test(
        arguments: [[0x80], [0x63, 0xE9], [0x63, 0xC3, 0xA9], [0x61, 0x2C, 0xFF], [0x61, 0x20, 0x62], [0x61, 0x2C, 0x61], []] as [[UInt8]])
    func refusesMalformedSubprotocols(value: [UInt8]) throws {
        let refusal = try refusal {
            $0.headerFields[fields: .secWebSocketProtocol] = [HTTPField(name: .secWebSocketProtocol, value: value)]
        }
        #expect(refusal.status == .badRequest && refusal.rule == .subprotocols)
    }

    // H8
    @Test(arguments: [
        [], ["%%%"], ["AAAAAAAAAAAAAAAAAAAA"], ["AAAAAAAAAAAAAAAAAAAAAAA="],
        ["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="], ["dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="],
    ])
    func refusesTheKey(values: [String]) throws {
        let refusal = try refusal { $0.headerFields[values: .secWebSocketKey] = values }
        #expect(refusal.status == .badRequest && refusal.rule == .key)
    }

    // H9
    @Test func refusesARequestThatIsNoHandshake() throws {
        let notUpgrade = try refusal { $0.headerFields[.connection] = "notupgrade" }
        #expect(notUpgrade.status == .badRequest && notUpgrade.rule == .connection)
        let noConnection = try refusal { $0.headerFields[.connection] = nil }
        #expect(noConnection.status == .badRequest && noConnection.rule == .connection)
        let post = try refusal { $0.method = .post }
        #expect(post.status == .methodNotAllowed && post.rule == .method && post.headerFields == [.allow: "GET"])
        for version in [(1, 0), (0, 9), (0, 11)] {
            let old = try refusal(version) { _ in }
            #expect(old.status == .httpVersionNotSupported && old.rule == .httpVersion)
        }
    }

    // H9
    @Test func refusesAllButOneHost() throws {
        let host = try #require(Self.host)
        for authority in ["", " ", "a,b", "a b", "user@a", "a/b", "a:b", "\u{e9}"] {
            let refusal = try refusal { $0.authority = authority }
            #expect(refusal.status == .badRequest && refusal.rule == .host, "\(authority)")
        }
        let none = try refusal { $0.authority = nil }
        #expect(none.status == .badRequest && none.rule == .host)
        let two = try refusal { $0.headerFields[host] = "server.example.com" }
        #expect(two.status == .badRequest && two.rule == .host)
        let inFields = try accept {
            $0.authority = nil
            $0.headerFields[host] = "a:81"
        }
        #expect(inFields.authority == "a:81")
    }

    @Test func refusesContent() throws {
        let length = try refusal { $0.headerFields[.contentLength] = "5" }
        #expect(length.status == .badRequest && length.rule == .content)
        let chunked = try refusal { $0.headerFields[.transferEncoding] = "chunked" }
        #expect(chunked.status == .badRequest && chunked.rule == .content)
    }

    // H10
    @Test(arguments: ["bogus", "websockets", "web socket", "", "h2c, foo"]) func refusesAnotherProtocol(value: String) throws {
        let refusal = try refusal { $0.headerFields[.upgrade] = value }
        #expect(refusal.status == .badRequest && refusal.rule == .upgrade)
    }

    // H12
    @Test(arguments: [[], ["8"], ["14"], ["013"], ["13, 8"], ["13", "13"], ["13 "].map { $0 + "x" }, [""]])
    func answersAnotherVersionWithOurs(values: [String]) throws {
        let refusal = try refusal { $0.headerFields[values: .secWebSocketVersion] = values }
        #expect(refusal.status == .upgradeRequired && refusal.rule == .version)
        #expect(refusal.headerFields == [.secWebSocketVersion: "13", .upgrade: "websocket", .connection: "Upgrade"])
    }

    // H13: what the application passes.
    @Test(arguments: ["other", "CHAT", "chat\r\nSet-Cookie: a=b", "chat\n", "chat\0", "chat ", ""])
    func neverEmitsASubprotocolThatWasNotOffered(name: String) throws {
        let handshake = try accept()
        #expect(throws: HandshakeUsageError.subprotocolNotOffered(name)) { try handshake.response(subprotocol: name) }
        #expect(HandshakeUsageError.subprotocolNotOffered(name).description.utf8.allSatisfy { $0 >= 0x20 })
    }

    // H13: what the client sent, had the offer been written to an `HTTPField` that keeps such bytes.
    @Test(arguments: [[0x61, 0x0D, 0x0A, 0x62], [0x61, 0x0A], [0x00], [0x61, 0x01, 0x62]] as [[UInt8]])
    func neverEchoesControlCharacters(value: [UInt8]) throws {
        let field = HTTPField(name: .secWebSocketProtocol, lenientValue: value)
        guard let handshake = try? accept({ $0.headerFields[fields: .secWebSocketProtocol] = [field] }) else { return }
        // CR, LF and NUL at the end became spaces: nothing of them is left to echo.
        #expect(handshake.subprotocols == ["a"])
    }

    // H13
    @Test func neverEmitsControlCharactersInAdditionalFields() throws {
        let name = try #require(HTTPField.Name("X-Test"))
        let handshake = try accept()
        for byte in (UInt8(0)...0x1F).filter({ ![0, 9, 10, 13].contains($0) }) + [0x7F] {
            let fields = HTTPFields([HTTPField(name: name, lenientValue: [0x61, byte, 0x62])])
            #expect(throws: HandshakeUsageError.invalidHeaderValue(name), "byte \(byte)") { try handshake.response(additional: fields) }
        }
        for text in ["a\rb", "a\nb", "a\0b", "a\r\nUpgrade: x"] {
            let value = try handshake.response(additional: [name: text]).headerFields[name] ?? ""
            #expect(value.utf8.allSatisfy { ![0, 10, 13].contains($0) }, "swift-http-types no longer replaces these")
        }
    }

    @Test func keepsTheHandshakesOwnFields() throws {
        let handshake = try accept()
        let names = [
            "Upgrade", "connection", "Sec-WebSocket-Accept", "sec-websocket-protocol", "Sec-WebSocket-Extensions", "Sec-WebSocket-Anything",
            "Content-Length", "Transfer-Encoding", "Host",
        ]
        for name in try names.map({ try #require(HTTPField.Name($0)) }) {
            #expect(throws: HandshakeUsageError.reservedHeader(name)) { try handshake.response(additional: [name: "x"]) }
        }
        let response = try handshake.response(additional: [.setCookie: "a=b", .server: "x"])
        #expect(response.headerFields[.setCookie] == "a=b" && response.headerFields[.server] == "x")
    }

    @Test func acceptsOnlyOfferedExtensions() throws {
        let handshake = try accept { $0.headerFields[.secWebSocketExtensions] = "permessage-deflate; client_max_window_bits" }
        let deflate = ExtensionOffer("permessage-deflate", parameters: [.init("client_max_window_bits", "12")])
        let response = try handshake.response(extensions: [deflate])
        #expect(response.headerFields[.secWebSocketExtensions] == "permessage-deflate; client_max_window_bits=12")
        #expect(throws: HandshakeUsageError.extensionNotOffered("x")) { try handshake.response(extensions: [ExtensionOffer("x")]) }
        #expect(throws: HandshakeUsageError.extensionNotOffered("permessage-deflate")) {
            try handshake.response(extensions: [deflate, deflate])
        }
        #expect(throws: HandshakeUsageError.invalidExtension) {
            try handshake.response(extensions: [ExtensionOffer("permessage-deflate", parameters: [.init("a", "1\r\nb")])])
        }
    }

    // H14
    @Test(arguments: [
        ["http://example.org"], ["http://server.example.com.evil"], ["https://server.example.com.evil"], ["http://server.example.com:81"],
        ["null"], [""], ["http://server.example.com", "http://server.example.com"], ["http://server.example.com", "http://evil"],
        ["http://server.example.com, http://evil"],
    ])
    func refusesAForeignOrigin(values: [String]) throws {
        let handshake = try accept { $0.headerFields[values: .origin] = values }
        let allowed = try [#require(Origin("https://good"))]
        let refusal = try #require(throws: HandshakeRefusal.self) { try handshake.checkOrigin(allowed: Set(allowed), isSecure: false) }
        #expect(refusal.status == .forbidden && refusal.rule == .origin)
    }

    @Test func letsItsOwnAndAllowedOriginsIn() throws {
        let allowed = try Set([#require(Origin("https://good:8443"))])
        for values in [[], ["http://server.example.com"], ["https://server.example.com"], ["https://good:8443"], ["HTTPS://GOOD:8443"]] {
            let handshake = try accept { $0.headerFields[values: .origin] = values }
            #expect(throws: Never.self, "\(values)") { try handshake.checkOrigin(allowed: allowed, isSecure: false) }
        }
        let behindProxy = try accept { $0.headerFields[.origin] = "https://server.example.com" }
        #expect(throws: HandshakeRefusal.self) { try behindProxy.checkOrigin(isSecure: false, strictly: true) }
        let other = try accept { $0.headerFields[.origin] = "https://good" }
        #expect(throws: HandshakeRefusal.self) { try other.checkOrigin(allowed: allowed, isSecure: false) }
    }

    @Test func describesARefusalOnOneLine() throws {
        let refusal = try refusal { $0.authority = String(repeating: "\u{e9}\u{2028}\"", count: 100) }
        #expect(refusal.description.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value < 0x7F || $0 == "…" })
        #expect(refusal.description.count < 1000)
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func answersOrRefusesAnything(seed: UInt64) throws {
        print("ServerHandshakeTests.answersOrRefusesAnything seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let names: [HTTPField.Name] = [
            .upgrade, .connection, .secWebSocketKey, .secWebSocketVersion, .secWebSocketProtocol, .secWebSocketExtensions, .origin,
        ]
        for _ in 0..<1000 {
            let request = example { request in
                for _ in 0..<Int.random(in: 0...3, using: &random) {
                    let value = (0..<Int.random(in: 0...6, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
                    let field = HTTPField(name: names.randomElement(using: &random) ?? .upgrade, lenientValue: value)
                    if Bool.random(using: &random) { request.headerFields[fields: field.name] = [] }
                    request.headerFields.append(field)
                }
            }
            do {
                let handshake = try ServerHandshake(request: request, version: (1, 1))
                for name in handshake.subprotocols { #expect(HeaderTokens.isToken(name.utf8), "seed \(seed)") }
                #expect(try handshake.response(subprotocol: handshake.subprotocols.first).status == .switchingProtocols)
            } catch let refusal as HandshakeRefusal {
                #expect([400, 426].contains(refusal.status.code), "seed \(seed)")
            }
        }
    }
}
