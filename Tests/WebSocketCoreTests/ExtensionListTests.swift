// The grammar of Sec-WebSocket-Extensions (RFC 6455 §9.1; bad input H5).

import TestSupport
import Testing

@testable import WebSocketCore

@Suite struct ExtensionListTests {
    private func parse(_ lines: String...) throws -> [ExtensionOffer] {
        try ExtensionList.parse(lines)
    }

    @Test func parsesTheExamplesOfTheRFC() throws {
        #expect(try parse("foo") == [ExtensionOffer("foo")])
        #expect(try parse("bar; baz=2") == [ExtensionOffer("bar", parameters: [.init("baz", "2")])])
        let list = [ExtensionOffer("foo"), ExtensionOffer("bar", parameters: [.init("baz", "2")])]
        #expect(try parse("foo, bar; baz=2") == list)
        #expect(try parse("foo", "bar; baz=2") == list)
        #expect(
            try parse("deflate-stream", "mux; max-channels=4; flow-control, deflate-stream") == [
                ExtensionOffer("deflate-stream"),
                ExtensionOffer("mux", parameters: [.init("max-channels", "4"), .init("flow-control")]),
                ExtensionOffer("deflate-stream"),
            ])
    }

    @Test func parsesAnOfferOfCompression() throws {
        let offers = try parse("permessage-deflate; client_max_window_bits; server_max_window_bits=\"10\", permessage-deflate")
        let parameters = [ExtensionOffer.Parameter("client_max_window_bits"), .init("server_max_window_bits", "10")]
        #expect(offers == [ExtensionOffer("permessage-deflate", parameters: parameters), ExtensionOffer("permessage-deflate")])
    }

    @Test func skipsSpaceAndEmptyElements() throws {
        let expected = [ExtensionOffer("a", parameters: [.init("b", "c"), .init("d")]), ExtensionOffer("e")]
        #expect(try parse(" ,\ta ;\tb = \"c\" ; d , , e,") == expected)
    }

    @Test func parsesNothingFromNoLines() throws {
        #expect(try ExtensionList.parse([]) == [])
    }

    @Test(arguments: [
        ",;constructor", "", " ", ",", ", ,", ";", "a;", "a;;b", "a; =b", "a;b=", "a;b=;c", "a b", "a=b", "a;b c", "a;b=c d", "a;b=c=d",
        "a;b=\"", "a;b=\"c", "a;b=\"\"", "a;b=\"c d\"", "a;b=\"c,d\"", "a;b=\"c\"d", "a;b=\"c\\", "a;b=\"c\\\"\"", "\"a\"", "a;\"b\"",
        "a/b", "\u{e9}", "a;b=\u{e9}", "a;b=\"\u{e9}\"", "a\u{0}", "a;b='c'\u{7f}", "a@b", "(a)",
    ])
    func refuses(line: String) {
        #expect(throws: HeaderSyntaxError.self) { try ExtensionList.parse([line]) }
    }

    /// A name that a scripting language's objects have is a name like any other (H5): the handshake declines it.
    @Test func takesAnyTokenForAName() throws {
        #expect(try parse("constructor, __proto__") == [ExtensionOffer("constructor"), ExtensionOffer("__proto__")])
    }

    @Test func limitsHowMuchIsListed() throws {
        let offers = Array(repeating: "a", count: 32), parameters = Array(repeating: "b", count: 16)
        #expect(try parse(offers.joined(separator: ",")).count == 32)
        #expect(try ExtensionList.parse(offers).count == 32)
        #expect(throws: HeaderSyntaxError.self) { try ExtensionList.parse([(offers + ["a"]).joined(separator: ",")]) }
        #expect(throws: HeaderSyntaxError.self) { try ExtensionList.parse(offers + ["a"]) }
        #expect(try parse("a;" + parameters.joined(separator: ";"))[0].parameters.count == 16)
        #expect(throws: HeaderSyntaxError.self) { try ExtensionList.parse(["a;b;" + parameters.joined(separator: ";")]) }
    }

    /// The scanner's cursor never moves back, so each of these is one pass; with a quadratic one they would not end.
    @Test(arguments: [",", " ", "a", "a;", "a,", "a;b=\"", "\\", "\"", "a;b=\"\\\""])
    func readsAMebibyteOnce(piece: String) {
        let line = String(repeating: piece, count: (1 << 20) / piece.utf8.count)
        let offers = try? ExtensionList.parse([line])
        #expect((offers?.count ?? 0) <= 1)
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func parsesWhatItSerializes(seed: UInt64) throws {
        print("ExtensionListTests.parsesWhatItSerializes seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let tokens = ["a", "permessage-deflate", "x_y", "15", "!#$%&'*+-.^_`|~"]
        func token() -> String { tokens.randomElement(using: &random) ?? "a" }
        for _ in 0..<200 {
            let offers = (0..<Int.random(in: 1...5, using: &random)).map { _ in
                let parameters = (0..<Int.random(in: 0...4, using: &random)).map { _ in
                    ExtensionOffer.Parameter(token(), Bool.random(using: &random) ? token() : nil)
                }
                return ExtensionOffer(token(), parameters: parameters)
            }
            for offer in offers { #expect(offer.isWellFormed, "seed \(seed)") }
            #expect(try ExtensionList.parse([ExtensionList.serialize(offers)]) == offers, "seed \(seed)")
        }
    }

    @Test func neverTrapsOnRandomBytes() throws {
        print("ExtensionListTests.neverTrapsOnRandomBytes seed 7")
        var random = SeededGenerator(seed: 7)
        let alphabet = Array("ab,;=\"\\ \t\u{e9}\u{0}")
        for _ in 0..<3000 {
            let line = String((0..<Int.random(in: 0...24, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? "a" })
            guard let offers = try? ExtensionList.parse([line]) else { continue }
            #expect(try ExtensionList.parse([ExtensionList.serialize(offers)]) == offers, "\(line)")
        }
    }

    @Test func knowsWhatCannotBeWritten() {
        #expect(!ExtensionOffer("").isWellFormed)
        #expect(!ExtensionOffer("a\r\nb").isWellFormed)
        #expect(!ExtensionOffer("a", parameters: [.init("b c")]).isWellFormed)
        #expect(!ExtensionOffer("a", parameters: [.init("b", "")]).isWellFormed)
        #expect(!ExtensionOffer("a", parameters: [.init("b", "c\n")]).isWellFormed)
    }
}
