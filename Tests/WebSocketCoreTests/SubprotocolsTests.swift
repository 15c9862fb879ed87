// The grammar of Sec-WebSocket-Protocol and the choice from it (RFC 6455 §4.1; bad input H6).

import Testing

@testable import WebSocketCore

@Suite struct SubprotocolsTests {
    @Test func parsesInTheClientsOrder() throws {
        #expect(try Subprotocols.parse([]) == [])
        #expect(try Subprotocols.parse(["chat"]) == ["chat"])
        #expect(try Subprotocols.parse(["chat, superchat", "v12.stomp\t,mqtt"]) == ["chat", "superchat", "v12.stomp", "mqtt"])
        #expect(try Subprotocols.parse([", chat,, Chat,"]) == ["chat", "Chat"])
    }

    @Test(arguments: [
        "", ",", " ", "a b", "a;b", "a/b", "\"a\"", "a, a", "a,b,a", "caf\u{e9}", "\u{80}", "a\u{0}b", "a\r\nb: c", "a\u{7f}", "a, (b)",
    ])
    func refuses(line: String) {
        #expect(throws: HeaderSyntaxError.self) { try Subprotocols.parse([line]) }
    }

    @Test func refusesADuplicateOnAnotherLine() {
        #expect(throws: HeaderSyntaxError.self) { try Subprotocols.parse(["a", "b, a"]) }
    }

    @Test func limitsHowManyAreListed() throws {
        let names = (0..<64).map { "p\($0)" }
        #expect(try Subprotocols.parse([names.joined(separator: ",")]) == names)
        #expect(throws: HeaderSyntaxError.self) { try Subprotocols.parse(names + ["more"]) }
    }

    @Test func readsAMebibyteOnce() {
        #expect(throws: HeaderSyntaxError.self) { try Subprotocols.parse([String(repeating: ",", count: 1 << 20)]) }
        #expect(throws: HeaderSyntaxError.self) { try Subprotocols.parse([String(repeating: " ,", count: 1 << 19)]) }
    }

    @Test func selectsWhatTheServerPrefers() {
        #expect(Subprotocols.select(offered: ["a", "b"], supported: ["c", "b", "a"]) == "b")
        #expect(Subprotocols.select(offered: ["a"], supported: ["A"]) == nil)
        #expect(Subprotocols.select(offered: [], supported: ["a"]) == nil)
        #expect(Subprotocols.select(offered: ["a"], supported: []) == nil)
    }
}
