// Why a text is no JSON.

/// A text that is not JSON (RFC 8259), or deeper than allowed.
struct JSONError: Error, Hashable {
    enum Reason: String {
        case endsEarly = "it ends before the value does"
        case unexpectedCharacter = "this character can not stand here"
        case badLiteral = "only true, false and null are words"
        case badNumber = "this is no number"
        case badEscape = "this is no escape"
        case controlCharacter = "a control character must be escaped in a string"
        case invalidUTF8 = "a string is not UTF-8"
        case trailingBytes = "something follows the value"
        case tooDeep = "arrays and objects stand too deep in each other"
    }

    let reason: Reason
    /// Where, in bytes from the begin of what was read.
    let offset: Int
}
