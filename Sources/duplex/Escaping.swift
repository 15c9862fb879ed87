// Text from elsewhere, made harmless for a terminal.
//
// Whoever writes to a terminal commands it: escape sequences move the cursor, change the title, and on some terminals answer as if they had
// been typed. A server must not have that power over whoever connects to it. Line breaks are shown too, as one message is one line.

/// Makes text harmless for a terminal.
enum Escaping {
    /// The text with every character that would control a terminal, or the direction of the text around it, replaced by its escape.
    ///
    /// - Parameters:
    ///   - text: what a peer sent.
    ///   - mark: how to set an escape off from the text, so that a sent `\n` is not taken for a line break; colours it, or nothing.
    static func escape(_ text: String, mark: (String) -> String = { $0 }) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if isControl(scalar) {
                result.append(contentsOf: mark(escape(scalar)).unicodeScalars)
            } else {
                result.append(scalar)
            }
        }
        return String(result)
    }

    private static func escape(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\n": "\\n"
        case "\r": "\\r"
        case "\t": "\\t"
        default: "\\u{\(String(scalar.value, radix: 16))}"
        }
    }

    static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x00...0x1F, 0x7F: true
        // C1: some terminals take U+009B for ESC [.
        case 0x80...0x9F: true
        // Line and paragraph separators, and what turns the direction of writing (as in “Trojan Source”).
        case 0x2028...0x202E, 0x2066...0x2069, 0x200E, 0x200F, 0x061C: true
        default: false
        }
    }
}
