// Subprotocols as the opening handshake negotiates them (RFC 6455 §1.9, §4.1, §4.2.2).
//
// The client lists what it speaks, the server names one of these or none. Names are compared exactly, case included.

/// The grammar of `Sec-WebSocket-Protocol` and the server's choice from it (RFC 6455 §4.1, §4.2.2).
public enum Subprotocols {
    /// How many subprotocols one handshake may list. Real clients list a few; some carry a credential in one of them.
    public static let maximumOffers = 64

    private static let field = "Sec-WebSocket-Protocol"

    /// Parses the values of all `Sec-WebSocket-Protocol` lines, in the client's order of preference.
    ///
    /// No lines make an empty list. Takes time linear in the length of the lines.
    ///
    /// > RFC 6455 §4.1: The elements that comprise this value MUST be non-empty strings with characters in the range U+0021 to
    /// > U+007E not including separator characters as defined in [RFC2616] and MUST all be unique strings.
    ///
    /// - Throws: ``HeaderSyntaxError`` if an element is not a token or is listed twice, the field is there but lists
    ///   nothing, or ``maximumOffers`` is exceeded.
    public static func parse(_ lines: [String]) throws(HeaderSyntaxError) -> [String] {
        var names: [String] = []
        var seen: Set<String> = []
        for line in lines {
            var scanner = HeaderScanner(line)
            while scanner.skip(",") {}
            while !scanner.isAtEnd {
                guard let name = scanner.token() else { throw malformed("a subprotocol is not a token") }
                guard seen.insert(name).inserted else { throw malformed("it lists a subprotocol twice") }
                guard names.count < maximumOffers else { throw malformed("it lists more than \(maximumOffers) subprotocols") }
                names.append(name)
                guard scanner.skip(",") || scanner.isAtEnd else { throw malformed("a subprotocol is not a token") }
                while scanner.skip(",") {}
            }
        }
        guard lines.isEmpty || !names.isEmpty else { throw malformed("it lists no subprotocol") }
        return names
    }

    /// Picks the first of the server's subprotocols that the client offered, or nil if they have none in common.
    ///
    /// - Parameters:
    ///   - offered: What the client listed.
    ///   - supported: What the server speaks, the preferred one first.
    public static func select(offered: [String], supported: [String]) -> String? {
        supported.first(where: Set(offered).contains)
    }

    private static func malformed(_ reason: String) -> HeaderSyntaxError {
        HeaderSyntaxError(field: field, reason: reason)
    }
}
