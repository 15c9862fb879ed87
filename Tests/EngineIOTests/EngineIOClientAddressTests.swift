// Where a client's requests go: EngineIOClientAddress.swift.

import Testing

@testable import EngineIO

@Suite struct EngineIOClientAddressTests {
    private func address(_ url: String, _ adjust: (inout EngineIOClientConfiguration) -> Void = { _ in }) throws -> EngineIOClientAddress {
        var configuration = EngineIOClientConfiguration()
        adjust(&configuration)
        return try EngineIOClientAddress(url, configuration)
    }

    @Test func theTransportsHaveTheirOwn() throws {
        let plain = try address("http://localhost:3000")
        #expect(plain.polling(sid: nil, number: 35) == "http://localhost:3000/socket.io/?EIO=4&transport=polling&t=z")
        #expect(plain.webSocket(sid: nil) == "ws://localhost:3000/socket.io/?EIO=4&transport=websocket")
        let secure = try address("wss://example.com/admin")
        #expect(secure.polling(sid: "a+b", number: 0) == "https://example.com/socket.io/?EIO=4&transport=polling&t=0&sid=a%2Bb")
        #expect(secure.webSocket(sid: "a") == "wss://example.com/socket.io/?EIO=4&transport=websocket&sid=a")
    }

    @Test func queriesComeFirst() throws {
        let address = try address("http://[::1]/?x=1&y=%20") {
            $0.path = "chat"
            $0.query = ["token": "a&b=ü", "a": ""]
        }
        #expect(address.webSocket(sid: nil) == "ws://[::1]/chat?x=1&y=%20&a=&token=a%26b%3D%C3%BC&EIO=4&transport=websocket")
    }

    @Test(arguments: ["", "localhost", "ftp://a", "http://a b", "http://a/#x"]) func someAreNone(url: String) {
        let error = #expect(throws: EngineIOClientError.self) { try address(url) }
        #expect(error?.kind == .usage)
    }

    @Test func thePathIsANamespace() throws {
        #expect(try EngineIOClientSession.path(of: "http://a/admin?x=1") == "/admin")
        #expect(try EngineIOClientSession.path(of: "http://a?x=1") == "/")
    }
}
