// Tokens and comma-separated lists in header fields (RFC 9110 §5.6.1, §5.6.2), in one pass over the bytes.
//
// A field may be spread over several lines; their elements count as one list, in order (RFC 9110 §5.3). Empty elements
// are skipped, as §5.6.1.2 asks of a recipient.

/// A header field whose value does not follow its grammar, and where it departs from it.
public struct HeaderSyntaxError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The field's name.
    public let field: String
    /// What is wrong with the value, without quoting it: it came from the peer and may hold anything.
    public let reason: String

    /// The field and what is wrong with it, as a sentence for the log.
    public var description: String { "\(field) is malformed: \(reason)" }
}

/// Tokens, and comma-separated lists of them, in header fields (RFC 9110 §5.6).
public enum HeaderTokens {
    /// Whether the bytes are a token: one or more of the characters that RFC 9110 §5.6.2 allows.
    public static func isToken(_ bytes: some Collection<UInt8>) -> Bool {
        !bytes.isEmpty && bytes.allSatisfy(isTokenByte)
    }

    /// Whether a comma-separated list, spread over any number of lines, has this element. ASCII case does not count.
    ///
    /// Other elements may be anything: `Connection: keep-alive, Upgrade` is asked for `upgrade`, not judged.
    ///
    /// - Parameters:
    ///   - token: The element to look for, in lower case.
    ///   - lines: The values of all the field's lines.
    public static func contains(_ token: String, in lines: [String]) -> Bool {
        lines.contains { line in
            line.utf8.lazy.split(separator: UInt8(ascii: ",")).contains { equals(trimmed($0), token) }
        }
    }

    /// Whether text equals a text in lower case when ASCII case does not count.
    static func equals(_ bytes: some Sequence<UInt8>, _ lowercased: String) -> Bool {
        bytes.lazy.map(lowercase).elementsEqual(lowercased.utf8)
    }

    /// The byte in lower case, if it is an ASCII letter.
    static func lowercase(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    /// Whether the byte may stand in a token.
    ///
    /// > RFC 9110 §5.6.2: tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~" /
    /// > DIGIT / ALPHA
    static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E, 0x5F, 0x60, 0x7C, 0x7E: true
        default: false
        }
    }

    /// The bytes without the spaces and tabs at both ends.
    private static func trimmed<Bytes: BidirectionalCollection<UInt8>>(_ bytes: Bytes) -> Bytes.SubSequence {
        var rest = bytes[...]
        while let first = rest.first, isSpace(first) { rest.removeFirst() }
        while let last = rest.last, isSpace(last) { rest.removeLast() }
        return rest
    }

    static func isSpace(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
    }
}

/// A cursor over a field value. It only moves forward, so whatever is parsed with it takes linear time.
struct HeaderScanner {
    private let bytes: [UInt8]
    private var index = 0

    init(_ line: String) {
        bytes = Array(line.utf8)
    }

    var isAtEnd: Bool { index == bytes.count }

    /// The byte at the cursor.
    var next: UInt8? { index < bytes.count ? bytes[index] : nil }

    /// Moves over spaces and tabs.
    mutating func skipSpaces() {
        while let byte = next, HeaderTokens.isSpace(byte) { index += 1 }
    }

    /// Moves over the byte and the spaces around it, if the byte is next.
    mutating func skip(_ separator: Character) -> Bool {
        skipSpaces()
        guard let byte = next, byte == separator.asciiValue else { return false }
        index += 1
        skipSpaces()
        return true
    }

    /// Takes the byte at the cursor.
    mutating func take() -> UInt8? {
        guard let byte = next else { return nil }
        index += 1
        return byte
    }

    /// Takes the token at the cursor, or nil if there is none.
    mutating func token() -> String? {
        let start = index
        while let byte = next, HeaderTokens.isTokenByte(byte) { index += 1 }
        return index > start ? String(decoding: bytes[start..<index], as: UTF8.self) : nil
    }

    /// Takes the content of the quoted string at the cursor, or nil if there is none or it does not end.
    ///
    /// > RFC 9110 §5.6.4: quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE
    mutating func quotedString() -> [UInt8]? {
        guard take() == UInt8(ascii: "\"") else { return nil }
        var content: [UInt8] = []
        while let byte = take() {
            switch byte {
            case UInt8(ascii: "\""): return content
            case UInt8(ascii: "\\"):
                guard let escaped = take() else { return nil }
                content.append(escaped)
            default: content.append(byte)
            }
        }
        return nil
    }
}
