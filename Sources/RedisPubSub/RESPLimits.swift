// What a reply may take: the server is a machine that we chose, but a proxy or a mistake may stand in its place.

/// The limits of what is read from Redis.
struct RESPLimits: Sendable, Hashable {
    /// How deep arrays stand in each other: 16; Redis's own replies need seven.
    var maxDepth = 16
    /// The most bytes of a line, which is an error's text at the longest: 64 KiB.
    var maxLineLength = 65_536
    /// The most bytes of one reply, with `elementSize` for each value in it: 64 MiB.
    var maxReplySize = 67_108_864

    /// What a value takes beside its bytes, roughly.
    static let elementSize = 32
}

/// Bytes that are not RESP, or that are over a limit; the connection is to be closed.
struct RESPError: Error, Sendable, Hashable, CustomStringConvertible {
    enum Rule: String, Sendable {
        case unknownType = "a value of an unknown type"
        case badNumber = "a number or a length that is none"
        case badText = "a line that is not UTF-8"
        case badEnd = "a string without CR LF behind it"
        case streamed = "a string or an array without a length, which Redis never sends"
        case lineTooLong = "a line longer than 64 KiB"
        case tooDeep = "arrays deeper in each other than 16"
        case tooLarge = "a reply over the limit maxReplySize"
    }

    let rule: Rule

    init(_ rule: Rule) { self.rule = rule }

    var description: String { "Redis sent what is not its protocol: \(rule.rawValue)" }
}
