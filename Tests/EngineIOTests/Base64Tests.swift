// Base64 as binary packets have it: Base64.swift.

import Foundation
import NIOCore
import TestSupport
import Testing

@testable import EngineIO

@Suite struct Base64Tests {
    private static func encoded(_ bytes: [UInt8]) -> String {
        var text = ByteBuffer()
        Base64.encode(ByteBuffer(bytes: bytes), into: &text)
        return String(buffer: text)
    }

    private static func decoded(_ text: String) -> [UInt8]? { Base64.decode(ByteBuffer(string: text)).map { Array($0.readableBytesView) } }

    // RFC 4648 §10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ])
    func followsTheExamples(plain: String, text: String) {
        #expect(Self.encoded(Array(plain.utf8)) == text)
        #expect(Self.decoded(text) == Array(plain.utf8))
    }

    @Test(arguments: [
        "Z", "Zg", "Zg=", "Zg===", "=", "==", "====", "Z===", "Zm9vYg", "Zm 9v", "Zm9v\n", "Zm9-", "Zm9_", "Zg==Zg==", "Z=g=", "Zm9vé",
        "Zh==", "Zm9=",
        "Zm8=Zm9v", "    ",
    ])
    func refusesWhatIsNone(text: String) { #expect(Self.decoded(text) == nil) }

    @Test func agreesWithFoundation() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        for count in 0..<300 {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            let text = Data(bytes).base64EncodedString()
            #expect(Self.encoded(bytes) == text, "seed \(seed)")
            #expect(Self.decoded(text) == bytes, "seed \(seed)")
            #expect(Base64.encodedLength(count) == text.utf8.count)
        }
    }

    @Test func numbersAreTenCharactersOfTheURLsAlphabet() {
        #expect(Base64.urlText(0) == Array("AAAAAAAAAA".utf8))
        #expect(Base64.urlText(1 << 60 - 1) == Array("__________".utf8))
        #expect(Base64.urlText(62) == Array("AAAAAAAAA-".utf8))
        #expect(Base64.urlNumber("AAAAAAAAA-".utf8) == 62)
        #expect(Base64.urlNumber("__________".utf8) == 1 << 60 - 1)
        for bad in ["AAAAAAAAA", "AAAAAAAAAAA", "AAAAAAAAA+", "AAAAAAAAA=", ""] { #expect(Base64.urlNumber(bad.utf8) == nil) }
    }
}
