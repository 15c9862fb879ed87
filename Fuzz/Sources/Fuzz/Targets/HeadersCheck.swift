// The grammar of header fields: what is taken is written and read again to the same, tokens are found as a plain search finds
// them, and UTF-8 is what the standard library says it is.

@testable import WebSocketCore

enum HeadersCheck {
    /// The input: a byte that says which grammar, then the lines of the field.
    static func run(_ input: inout FuzzInput) throws(Finding) {
        switch input.byte() % 5 {
        case 0: try checkExtensions(input.lines())
        case 1: try checkSubprotocols(input.lines())
        case 2: try checkOrigin(input.lines())
        case 3: try checkTokens(input.lines())
        default: try checkUTF8(&input)
        }
    }

    private static func checkExtensions(_ lines: [String]) throws(Finding) {
        guard let offers = try? ExtensionList.parse(lines) else { return }
        guard offers.allSatisfy({ $0.isWellFormed }), !offers.isEmpty, offers.count <= ExtensionList.maximumOffers else {
            throw Finding("took what can not be written: \(offers)")
        }
        let written = ExtensionList.serialize(offers)
        guard (try? ExtensionList.parse([written])) == offers else { throw Finding("\(offers) is written as \(written)") }
    }

    private static func checkSubprotocols(_ lines: [String]) throws(Finding) {
        guard let names = try? Subprotocols.parse(lines) else { return }
        guard names.allSatisfy({ HeaderTokens.isToken($0.utf8) }), Set(names).count == names.count else {
            throw Finding("took what is no list of names: \(names)")
        }
        guard (try? Subprotocols.parse([names.joined(separator: ", ")])) == names else { throw Finding("not read again: \(names)") }
        guard Subprotocols.select(offered: names, supported: names.reversed()) == names.last else {
            throw Finding("the server's preference does not count: \(names)")
        }
    }

    /// The first line is an origin, the second a `Host`.
    private static func checkOrigin(_ lines: [String]) throws(Finding) {
        let host = lines.count > 1 ? lines[1] : "example.com"
        guard let origin = Origin(lines[0]) else {
            for isSecure in [false, true] where Origin.isSameOrigin(origin: lines[0], host: host, isSecure: isSecure) {
                throw Finding("what is no origin passes: \(lines[0])")
            }
            return
        }
        guard Origin(origin.description) == origin else { throw Finding("\(lines[0]) is written as \(origin)") }
        guard Origin.isSameOrigin(origin: lines[0], host: host, isSecure: origin.scheme == "https") else { return }
        let isHostOfOrigin = host.lowercased().split(separator: ":").first.map(String.init) == origin.host || origin.host.hasPrefix("[")
        if !isHostOfOrigin { throw Finding("the origin \(lines[0]) passes for \(host)") }
    }

    private static func checkTokens(_ lines: [String]) throws(Finding) {
        let found = HeaderTokens.contains("upgrade", in: lines)
        let plain = lines.joined(separator: ",").utf8.split(separator: UInt8(ascii: ",")).contains { element in
            var characters = element.map { $0 >= 0x41 && $0 <= 0x5A ? $0 + 0x20 : $0 }
            while characters.first == 0x20 || characters.first == 0x09 { characters.removeFirst() }
            while characters.last == 0x20 || characters.last == 0x09 { characters.removeLast() }
            return characters == Array("upgrade".utf8)
        }
        if found != plain { throw Finding("“upgrade” is \(found ? "" : "not ")found in \(lines)") }
    }

    private static func checkUTF8(_ input: inout FuzzInput) throws(Finding) {
        let sizes = input.sizes()
        let bytes = input.bytes()
        let isText = String(validating: bytes, as: UTF8.self) != nil
        for sizes in [[], sizes, [1]] {
            var validator = UTF8Validator()
            let isValid = bytes.pieces(of: sizes).allSatisfy { piece in Array(piece).withUnsafeBytes { validator.validate($0) } }
            if (isValid && validator.isComplete) != isText { throw Finding("cut by \(sizes), \(bytes) is \(isText ? "" : "no ")text") }
        }
    }
}
