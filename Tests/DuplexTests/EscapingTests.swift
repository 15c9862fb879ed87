import Testing

@testable import duplex

struct EscapingTests {
    @Test(arguments: [
        ("plain", "plain"),
        ("grüße 漢字 👩‍👩‍👧 e\u{301}", "grüße 漢字 👩‍👩‍👧 e\u{301}"),
        ("two\nlines\r\n", "two\\nlines\\r\\n"),
        ("a\tb", "a\\tb"),
        ("\u{1B}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
        ("\u{1B}[2J", "\\u{1b}[2J"),
        ("\u{9B}2J", "\\u{9b}2J"),
        ("\0\u{7F}", "\\u{0}\\u{7f}"),
        ("a\u{202E}b\u{2066}c\u{2028}d", "a\\u{202e}b\\u{2066}c\\u{2028}d"),
        // A carriage return and a line feed are one Character, and must not pass as one.
        ("\r\n", "\\r\\n"),
    ])
    func escapes(_ text: String, _ expected: String) { #expect(Escaping.escape(text) == expected) }

    @Test func marksEscapesOnly() { #expect(Escaping.escape("a\nb") { "<\($0)>" } == "a<\\n>b") }

    /// No control character of Unicode's category Cc gets through.
    @Test func leavesNoControl() {
        for value in UInt32(0)...0x2FF {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let isControl = scalar.properties.generalCategory == .control
            #expect((Escaping.escape(String(scalar)) != String(scalar)) == isControl, "U+\(String(value, radix: 16))")
        }
    }
}
