// Tokens and lists of them in header fields (RFC 9110 §5.6).

import TestSupport
import Testing

@testable import WebSocketCore

@Suite struct HeaderTokensTests {
    @Test func knowsTheTokenCharacters() {
        let allowed = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        for byte in UInt8.min...UInt8.max {
            #expect(HeaderTokens.isToken([byte]) == allowed.utf8.contains(byte), "byte \(byte)")
        }
        #expect(HeaderTokens.isToken(allowed.utf8))
        #expect(!HeaderTokens.isToken("".utf8))
        #expect(!HeaderTokens.isToken("a b".utf8))
    }

    @Test(arguments: [
        ["Upgrade"], ["upgrade"], ["keep-alive, Upgrade"], ["keep-alive,UPGRADE"], ["keep-alive", "Upgrade"], [" \tUpgrade\t "],
        [",,Upgrade,"], ["\"odd\"; stuff, Upgrade"],
    ])
    func finds(lines: [String]) {
        #expect(HeaderTokens.contains("upgrade", in: lines))
    }

    @Test(arguments: [
        [], [""], [","], ["notupgrade"], ["upgraded"], ["up grade"], ["upgrade;q=1"], ["\"upgrade\""], ["up", "grade"],
        ["\u{FF35}pgrade"], ["keep-alive Upgrade"],
        // K with the sign for kelvin, which Unicode folds to k: only ASCII case counts.
        ["\u{212A}eep"],
    ])
    func doesNotFind(lines: [String]) {
        #expect(!HeaderTokens.contains("upgrade", in: lines))
        #expect(!HeaderTokens.contains("keep", in: lines))
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func findsInRandomLists(seed: UInt64) {
        print("HeaderTokensTests.findsInRandomLists seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let elements = ["upgrade", "UpGrade", "close", "keep-alive", "te", "", " ", "upgradex", "xupgrade"]
        for _ in 0..<300 {
            let lists = (0..<Int.random(in: 0...4, using: &random)).map { _ in
                (0..<Int.random(in: 0...4, using: &random)).map { _ in elements.randomElement(using: &random) ?? "" }
            }
            let lines = lists.map { $0.map { Bool.random(using: &random) ? " \($0)\t" : $0 }.joined(separator: ",") }
            let expected = lists.joined().contains { $0.lowercased() == "upgrade" }
            #expect(HeaderTokens.contains("upgrade", in: lines) == expected, "seed \(seed): \(lines)")
        }
    }

    @Test func passesOnceOverAMebibyteOfCommas() {
        #expect(!HeaderTokens.contains("upgrade", in: [String(repeating: ",", count: 1 << 20)]))
    }

    @Test func unquotes() {
        for (text, expected) in [(#""ab""#, "ab"), (#""a\"\\b""#, #"a"\b"#), (#""""#, "")] {
            var scanner = HeaderScanner(text)
            #expect(scanner.quotedString() == Array(expected.utf8))
            #expect(scanner.isAtEnd)
        }
        for text in ["", "a", #"""#, #""a"#, #""a\"#, #""a\""#] {
            var scanner = HeaderScanner(text)
            #expect(scanner.quotedString() == nil, "\(text)")
        }
    }
}
