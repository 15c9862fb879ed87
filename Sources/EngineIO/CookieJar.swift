// The cookies of one session, of one server: RFC 6265, as far as load balancers need it. All of them are sent with every request of the
// session, which go to one host and path; nothing outlives the session.

/// The cookies that a server has set in one session.
struct CookieJar: Sendable {
    /// The most cookies: 50, as RFC 6265 §6.1 asks of browsers for a domain; the first ones stay.
    private static let maxCount = 50
    /// The most bytes of one, with its name: 4,096 (RFC 6265 §6.1).
    private static let maxLength = 4096

    private var cookies: [(name: Substring, value: Substring)] = []

    /// The value of `Cookie`; nil if there is none.
    var field: String? {
        cookies.isEmpty ? nil : cookies.map { "\($0.name)=\($0.value)" }.joined(separator: "; ")
    }

    /// Takes the value of a `Set-Cookie`.
    mutating func take(_ field: String) {
        let parts = field.split(separator: ";", omittingEmptySubsequences: false)
        guard let pair = parts.first, pair.utf8.count <= Self.maxLength, let equals = pair.firstIndex(of: "=") else { return }
        let name = Self.trimmed(pair[..<equals])
        guard !name.isEmpty else { return }
        cookies.removeAll { $0.name == name }
        guard !parts.dropFirst().contains(where: Self.isExpiry), cookies.count < Self.maxCount else { return }
        cookies.append((name, Self.trimmed(pair[equals...].dropFirst())))
    }

    /// Whether an attribute removes the cookie: `Max-Age` of nothing or less. `Expires` lies far ahead, or comes with that.
    private static func isExpiry(_ attribute: Substring) -> Bool {
        let parts = attribute.split(separator: "=", maxSplits: 1).map(trimmed)
        guard parts.count == 2, parts[0].lowercased() == "max-age", let seconds = Int(parts[1]) else { return false }
        return seconds <= 0
    }

    private static func trimmed(_ text: Substring) -> Substring {
        let start = text.drop { $0 == " " || $0 == "\t" }
        guard let last = start.lastIndex(where: { $0 != " " && $0 != "\t" }) else { return "" }
        return start[...last]
    }
}
