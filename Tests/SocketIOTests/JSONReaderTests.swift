// Reading JSON (RFC 8259): each rule, and Foundation as the oracle.

import Foundation
import NIOCore
import TestSupport
import Testing

@testable import SocketIO

@Suite struct JSONReaderTests {
    private func read(_ text: String, maxDepth: Int = 128) throws(JSONError) -> SocketIOValue {
        try read(Array(text.utf8), maxDepth: maxDepth)
    }

    private func read(_ bytes: [UInt8], maxDepth: Int = 128) throws(JSONError) -> SocketIOValue {
        // Exactly as many bytes as there are, so that a sanitizer sees a read beyond them.
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: bytes)
        return try JSONReader.read(UnsafeRawBufferPointer(copy), maxDepth: maxDepth)
    }

    @Test func readsEachKind() throws {
        #expect(try read("null") == nil && read("true") == true && read("false") == false)
        #expect(try read("[]") == [] && read("{}") == [:] && read("[ ]") == [] && read("{ }") == [:])
        #expect(try read(#"["echo","xxxxxxxxxxxxxxxxxxxx"]"#) == ["echo", "xxxxxxxxxxxxxxxxxxxx"])
        #expect(try read(#"{"a":[1,{"b":null}],"c":"d"}"#) == ["a": [1, ["b": nil]], "c": "d"])
    }

    @Test func spaceIsOnlyWhatJSONCallsSpace() throws {
        #expect(try read(" \t\r\n[ \t\r\n1 \t\r\n, \t\r\n{ \t\r\n\"a\" \t\r\n: \t\r\n2 \t\r\n} \t\r\n] \t\r\n") == [1, ["a": 2]])
        for byte in [0x00, 0x0B, 0x0C, 0x1F, 0x7F, 0xA0] as [UInt8] {
            #expect(throws: JSONError(reason: .unexpectedCharacter, offset: 1)) { try read([0x5B, byte, 0x31, 0x5D]) }
            #expect(throws: JSONError(reason: .trailingBytes, offset: 1)) { try read([0x31, byte]) }
        }
        #expect(throws: JSONError(reason: .unexpectedCharacter, offset: 0)) { try read("\u{FEFF}1") }
    }

    @Test func theLastOfTwoMembersCounts() throws {
        #expect(try read(#"{"a":1,"b":2,"a":3}"#) == ["a": 3, "b": 2])
        #expect(try read(#"{"__proto__":1,"constructor":{"prototype":2}}"#)["__proto__"] == 1)
    }

    @Test(arguments: [
        (#""""#, ""), (#""a""#, "a"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"), (#""\u0041\u00e9\u6F22""#, "Aé漢"),
        (#""\ud83d\ude42""#, "🙂"), (#""\uD83D\uDE42x""#, "🙂x"), (#""é漢🙂\u2028""#, "é漢🙂\u{2028}"), (#""\u0000""#, "\u{0}"),
        ("\"\u{7f}\"", "\u{7f}"),
        (#""1234567\n1234567890abcdefg\"""#, "1234567\n1234567890abcdefg\""), (#""x\uFFFF\uFEFF""#, "x\u{FFFF}\u{FEFF}"),
    ])
    func readsStrings(json: String, text: String) throws {
        #expect(try read(json) == .string(text))
        #expect(try read("{\(json):1}") == .object([text: 1]))
    }

    /// Half an emoji, which `JSON.stringify` writes as an escape, becomes U+FFFD; what follows it stays.
    @Test(arguments: [
        (#""\ud800""#, "\u{FFFD}"), (#""\udc00""#, "\u{FFFD}"), (#""\ud800x""#, "\u{FFFD}x"), (#""\ud800\n""#, "\u{FFFD}\n"),
        (#""\ud800\u0041""#, "\u{FFFD}A"), (#""\ud800\ud83d\ude42""#, "\u{FFFD}🙂"), (#""\udc00\ud800""#, "\u{FFFD}\u{FFFD}"),
    ])
    func halvesOfCharactersAreReplaced(json: String, text: String) throws { #expect(try read(json) == .string(text)) }

    @Test(
        arguments: [
            [0x80], [0xFF], [0xC0, 0x80], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xC3], [0xE2, 0x82],
            [0xEF, 0xBF],
            [0xF0, 0x9F, 0x99], [0xEF, 0xBF, 0xBD, 0x80],
        ] as [[UInt8]])
    func refusesWhatIsNotUTF8(bytes: [UInt8]) {
        #expect(throws: JSONError(reason: .invalidUTF8, offset: 0)) { try read([0x22] + bytes + [0x22]) }
        let long = [0x22] + Array(repeating: 0x61 as UInt8, count: 30) + bytes + [0x22]
        #expect(throws: JSONError(reason: .invalidUTF8, offset: 0)) { try read(long) }
        #expect(throws: JSONError.self) { try read([0x22, 0x5C, 0x6E] + bytes + [0x22]) }
    }

    @Test(arguments: 0..<0x20 as Range<UInt8>)
    func refusesControlCharacters(byte: UInt8) {
        for filling in [0, 3, 8, 17] {
            let bytes = [0x22] + Array(repeating: 0x61 as UInt8, count: filling) + [byte, 0x61, 0x22]
            #expect(throws: JSONError(reason: .controlCharacter, offset: 1 + filling)) { try read(bytes) }
        }
    }

    @Test(arguments: [
        ("", JSONError.Reason.endsEarly, 0), ("  ", .endsEarly, 2), ("[", .endsEarly, 1), ("[1", .endsEarly, 2), ("[1,", .endsEarly, 3),
        ("{", .endsEarly, 1),
        (#"{"a""#, .endsEarly, 4), (#"{"a":"#, .endsEarly, 5), (#"{"a":1"#, .endsEarly, 6), (#"{"a":1,"#, .endsEarly, 7),
        ("\"", .endsEarly, 1),
        ("\"abcdefghijk", .endsEarly, 12), ("\"\\", .endsEarly, 2), ("\"\\u12", .endsEarly, 5), ("tru", .endsEarly, 3),
        ("-", .endsEarly, 1),
        ("1.", .endsEarly, 2), ("1e", .endsEarly, 2), ("1e+", .endsEarly, 3),
        ("]", .unexpectedCharacter, 0), ("[1,]", .unexpectedCharacter, 3), ("[,1]", .unexpectedCharacter, 1),
        ("[1 2]", .unexpectedCharacter, 3),
        ("[1}", .unexpectedCharacter, 2), ("{1:2}", .unexpectedCharacter, 1), (#"{"a" 1}"#, .unexpectedCharacter, 5),
        (#"{"a":1,}"#, .unexpectedCharacter, 7),
        (#"{"a"}"#, .unexpectedCharacter, 4), (#"{,}"#, .unexpectedCharacter, 1), ("'a'", .unexpectedCharacter, 0),
        ("undefined", .unexpectedCharacter, 0),
        ("NaN", .unexpectedCharacter, 0), ("Infinity", .unexpectedCharacter, 0), ("+1", .unexpectedCharacter, 0),
        (".5", .unexpectedCharacter, 0),
        ("/**/1", .unexpectedCharacter, 0), ("True", .unexpectedCharacter, 0),
        ("nul!", .badLiteral, 0), ("[falsy]", .badLiteral, 1), ("truE", .badLiteral, 0),
        ("01", .badNumber, 0), ("-01", .badNumber, 1), ("00", .badNumber, 0), ("1.e5", .badNumber, 2), ("1ex", .badNumber, 2),
        ("-x", .badNumber, 1),
        ("-Infinity", .badNumber, 1), ("1.x", .badNumber, 2),
        (#""\x""#, .badEscape, 1), (#""\u12g4""#, .badEscape, 1), (#""\U0041""#, .badEscape, 1), (#""\ud800\uzzzz""#, .badEscape, 7),
        ("1 2", .trailingBytes, 2), ("[]]", .trailingBytes, 2), ("{}{}", .trailingBytes, 2), ("nullx", .trailingBytes, 4),
        ("1,", .trailingBytes, 1),
        ("0x10", .trailingBytes, 1), ("1_000", .trailingBytes, 1),
    ])
    func refuses(text: String, reason: JSONError.Reason, offset: Int) {
        #expect(throws: JSONError(reason: reason, offset: offset)) { try read(text) }
    }

    // MARK: Depth

    @Test func depthHasALimit() throws {
        let fits = String(repeating: "[", count: 128) + String(repeating: "]", count: 128)
        _ = try read(fits)
        #expect(throws: JSONError(reason: .tooDeep, offset: 128)) { try read("[" + fits + "]") }
        #expect(throws: JSONError(reason: .tooDeep, offset: 4)) { try read("[[[[[1]]]]]", maxDepth: 4) }
        #expect(throws: JSONError(reason: .tooDeep, offset: 5)) { try read(#"{"a":{"#, maxDepth: 1) }
        _ = try read("[[1],[2],[{}]]", maxDepth: 3)
    }

    @Test(.timeLimit(.minutes(1)))
    func theDeepestValuesLiveOnASmallStack() async {
        // Read, compared, hashed, written and freed on a thread with 512 KB, at the deepest that limits can be set to.
        let deepest = SocketIOParserLimits.deepest
        for (open, close) in [("[", "]"), (#"{"a":"#, "}")] {
            let text = String(repeating: open, count: deepest) + "1" + String(repeating: close, count: deepest)
            let isSame = await withCheckedContinuation { continuation in
                let thread = Thread {
                    let value = try? self.read(text, maxDepth: deepest)
                    let again = try? self.read(text, maxDepth: deepest)
                    let written = value.map { value in JSONWriter.write { $0.write(value) }.text }
                    let isSame = value == again && value?.hashValue == again?.hashValue && written.map { String(buffer: $0) } == text
                    continuation.resume(returning: isSame)
                }
                thread.stackSize = 512 << 10
                thread.start()
            }
            #expect(isSame)
        }
    }

    @Test func depthOfAMillionIsRefusedAtOnce() {
        #expect(throws: JSONError(reason: .tooDeep, offset: 512)) { try read(String(repeating: "[", count: 1_000_000), maxDepth: 512) }
    }

    // MARK: Foundation as the oracle

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func readsWhatFoundationWrites(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for round in 0..<300 {
            let value = RandomValue.make(&generator, allowsBinary: false)
            let options: JSONSerialization.WritingOptions = round % 2 == 0 ? [.fragmentsAllowed] : [.fragmentsAllowed, .prettyPrinted]
            let data = try JSONSerialization.data(withJSONObject: Oracle.object(value), options: options)
            let isSame = Oracle.isSame(try read(Array(data)), value)
            if !isSame { Issue.record("seed \(seed), round \(round): \(String(decoding: data, as: UTF8.self))") }
        }
    }

    /// Texts that are nearly JSON: what one takes, the other takes, and to the same.
    @Test(arguments: [11, 12, 13, 14] as [UInt64])
    func takesWhatFoundationTakes(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for round in 0..<1500 {
            var bytes = Array(String(buffer: JSONWriter.write { $0.write(RandomValue.make(&generator, allowsBinary: false)) }.text).utf8)
            for _ in 0..<Int.random(in: 0...2, using: &generator) where !bytes.isEmpty {
                let place = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes.remove(at: place)
                case 1: bytes.insert(Array(#"[]{}",:\0-1.eEtrufn u"#.utf8).randomElement(using: &generator) ?? 0, at: place)
                default: bytes[place] = UInt8.random(in: 0x20..<0x7F, using: &generator)
                }
            }
            let ours = try? read(bytes)
            let theirs = try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
            guard !Oracle.differsKnowingly(bytes) else { continue }
            let isSame = ours.map { value in theirs.map { Oracle.isSame(value, $0) } ?? false } ?? (theirs == nil)
            if !isSame { Issue.record("seed \(seed), round \(round): \(String(decoding: bytes, as: UTF8.self))") }
        }
    }
}
