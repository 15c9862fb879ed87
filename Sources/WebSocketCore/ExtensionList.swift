// Extensions as the opening handshake lists them (RFC 6455 §9.1).
//
//     Sec-WebSocket-Extensions = extension-list
//     extension-list = 1#extension
//     extension = extension-token *( ";" extension-param )
//     extension-param = token [ "=" (token | quoted-string) ]
//
// What a parameter means is its extension's business (RFC 7692 for permessage-deflate). Nothing here is lenient: a list
// that does not follow the grammar is refused as a whole, never half understood.

/// One extension with its parameters, as offered by a client or accepted by a server (RFC 6455 §9.1).
public struct ExtensionOffer: Hashable, Sendable {
    /// A parameter of an extension: a name, and a value if it was given one.
    public struct Parameter: Hashable, Sendable {
        /// The parameter's name, a token.
        public var name: String
        /// The parameter's value, a token, or nil where only the name was given.
        public var value: String?

        /// Creates a parameter. Name and value should be tokens; a handshake refuses to send anything else.
        public init(_ name: String, _ value: String? = nil) {
            self.name = name
            self.value = value
        }
    }

    /// The extension's registered name, a token.
    public var name: String
    /// The parameters in the order in which they were written. One name can be there twice: its extension says what then.
    public var parameters: [Parameter]

    /// Creates an extension with its parameters. All the names should be tokens; a handshake refuses to send anything else.
    public init(_ name: String, parameters: [Parameter] = []) {
        self.name = name
        self.parameters = parameters
    }

    /// Whether every name and value is a token, so that the extension can be written to a header field.
    var isWellFormed: Bool {
        HeaderTokens.isToken(name.utf8)
            && parameters.allSatisfy { HeaderTokens.isToken($0.name.utf8) && HeaderTokens.isToken(($0.value ?? "-").utf8) }
    }
}

/// The grammar of `Sec-WebSocket-Extensions` (RFC 6455 §9.1).
public enum ExtensionList {
    /// How many extensions one handshake may list. Browsers offer one, and no more than a handful were ever registered.
    public static let maximumOffers = 32
    /// How many parameters one extension may have. permessage-deflate has four.
    public static let maximumParameters = 16

    private static let field = "Sec-WebSocket-Extensions"

    /// Parses the values of all `Sec-WebSocket-Extensions` lines, in order.
    ///
    /// No lines make an empty list. Takes time linear in the length of the lines.
    ///
    /// - Throws: ``HeaderSyntaxError`` if a line departs from the grammar, the field is there but lists nothing, or
    ///   ``maximumOffers`` or ``maximumParameters`` is exceeded.
    public static func parse(_ lines: [String]) throws(HeaderSyntaxError) -> [ExtensionOffer] {
        var offers: [ExtensionOffer] = []
        for line in lines {
            var scanner = HeaderScanner(line)
            while scanner.skip(",") {}
            while !scanner.isAtEnd {
                guard offers.count < maximumOffers else { throw malformed("it lists more than \(maximumOffers) extensions") }
                offers.append(try parseExtension(&scanner))
                guard scanner.skip(",") || scanner.isAtEnd else { throw malformed("after an extension comes neither , nor ;") }
                while scanner.skip(",") {}
            }
        }
        guard lines.isEmpty || !offers.isEmpty else { throw malformed("it lists no extension") }
        return offers
    }

    private static func parseExtension(_ scanner: inout HeaderScanner) throws(HeaderSyntaxError) -> ExtensionOffer {
        guard let name = scanner.token() else { throw malformed("an extension's name is not a token") }
        var offer = ExtensionOffer(name)
        while scanner.skip(";") {
            guard offer.parameters.count < maximumParameters else {
                throw malformed("an extension has more than \(maximumParameters) parameters")
            }
            offer.parameters.append(try parseParameter(&scanner))
        }
        return offer
    }

    private static func parseParameter(_ scanner: inout HeaderScanner) throws(HeaderSyntaxError) -> ExtensionOffer.Parameter {
        guard let name = scanner.token() else { throw malformed("a parameter's name is not a token") }
        guard scanner.skip("=") else { return .init(name) }
        guard scanner.next == UInt8(ascii: "\"") else {
            guard let value = scanner.token() else { throw malformed("a parameter's value is not a token") }
            return .init(name, value)
        }
        // > RFC 6455 §9.1: When using the quoted-string syntax variant, the value after quoted-string unescaping MUST conform to
        // > the 'token' ABNF.
        guard let value = scanner.quotedString(), HeaderTokens.isToken(value) else {
            throw malformed("a parameter's quoted value does not end or is not a token")
        }
        return .init(name, String(decoding: value, as: UTF8.self))
    }

    private static func malformed(_ reason: String) -> HeaderSyntaxError {
        HeaderSyntaxError(field: field, reason: reason)
    }

    /// Writes extensions as the value of one `Sec-WebSocket-Extensions` line. The inverse of ``parse(_:)``.
    public static func serialize(_ offers: [ExtensionOffer]) -> String {
        offers.map { offer in
            let parameters = offer.parameters.map { "; " + $0.name + ($0.value.map { "=" + $0 } ?? "") }
            return offer.name + parameters.joined()
        }.joined(separator: ", ")
    }
}
