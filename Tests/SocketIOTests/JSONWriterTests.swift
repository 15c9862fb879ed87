// Writing JSON as `JSON.stringify` does, and reading it back.

import Foundation
import NIOCore
import TestSupport
import Testing

@testable import SocketIO

@Suite struct JSONWriterTests {
    private func write(_ value: SocketIOValue) -> String { String(buffer: JSONWriter.write { $0.write(value) }.text) }

    @Test(
        arguments: [
            (nil, "null"), (true, "true"), (false, "false"), (0, "0"), (-1, "-1"), (10, "10"), (1_234_567_890, "1234567890"),
            (.int(.max), "9223372036854775807"),
            (.int(.min), "-9223372036854775808"), (0.5, "0.5"), (3.0, "3"), (-3.0, "-3"), (.double(-0.0), "0"), (1e21, "1e+21"),
            (1e-7, "1e-07"),
            (9007199254740991.0, "9007199254740991"), (.double(.nan), "null"), (.double(.infinity), "null"), (.double(-.infinity), "null"),
            (.double(.leastNonzeroMagnitude), "5e-324"),
            ("", #""""#), ("a", #""a""#), ("\"\\/\u{8}\u{c}\n\r\t", #""\"\\/\b\f\n\r\t""#),
            ("\u{0}\u{1f}\u{1a}\u{0b}", #""\u0000\u001f\u001a\u000b""#),
            ("é漢🙂\u{2028}\u{7f}", "\"é漢🙂\u{2028}\u{7f}\""), ("12345678\"", #""12345678\"""#), ([], "[]"), ([:], "{}"),
            ([[], [:]], "[[],{}]"),
            (["a", 1, nil], #"["a",1,null]"#), (["b": 1, "a\"": ["c": true]], #"{"b":1,"a\"":{"c":true}}"#),
        ] as [(SocketIOValue, String)])
    func writes(value: SocketIOValue, text: String) { #expect(write(value) == text) }

    @Test func bytesGetPlaceholdersDepthFirst() {
        let (one, two, three) = (ByteBuffer(bytes: [1]), ByteBuffer(bytes: [2]), ByteBuffer())
        let value: SocketIOValue = ["x", ["a": .binary(one), "b": [.binary(two)]], .binary(three), .binary(one)]
        let (text, attachments) = JSONWriter.write { $0.write(value) }
        let placeholders = (0..<4).map { #"{"_placeholder":true,"num":\#($0)}"# }
        #expect(
            String(buffer: text) == #"["x",{"a":\#(placeholders[0]),"b":[\#(placeholders[1])]},\#(placeholders[2]),\#(placeholders[3])]"#)
        #expect(attachments == [one, two, three, one])
    }

    /// Around the places where the stack's memory ends and where what was allocated ends.
    @Test(arguments: [1000, 1020, 1021, 1022, 1023, 1024, 1025, 2046, 2047, 2048, 5000, 100_000])
    func growsWhereverItMust(length: Int) {
        let text = String(repeating: "x", count: length)
        #expect(write(.string(text)) == "\"\(text)\"")
        #expect(write([.string(text), 12345, .string(text)]) == "[\"\(text)\",12345,\"\(text)\"]")
        #expect(write(.string(text + "\n" + text)) == "\"\(text)\\n\(text)\"")
        #expect(
            write(.array(Array(repeating: 1, count: length))) == "[" + Array(repeating: "1", count: length).joined(separator: ",") + "]")
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func isReadBackToTheSame(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for round in 0..<500 {
            let value = RandomValue.make(&generator, allowsBinary: false)
            let buffer = JSONWriter.write { $0.write(value) }.text
            let again = try buffer.withUnsafeReadableBytes { try JSONReader.read($0, maxDepth: 128) }
            if again != value { Issue.record("seed \(seed), round \(round): \(String(buffer: buffer))") }
        }
    }

    @Test(arguments: [5, 6] as [UInt64])
    func foundationReadsIt(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for round in 0..<300 {
            let value = RandomValue.make(&generator, allowsBinary: false)
            let text = write(value)
            let object = try JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)
            if !Oracle.isSame(value, object) { Issue.record("seed \(seed), round \(round): \(text)") }
        }
    }
}
