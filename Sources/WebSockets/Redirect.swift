// Redirects of the opening handshake: RFC 6455 §4.1 lets a client follow them, RFC 9110 §15.4 says which they are, RFC 3986 §5.2 where
// a relative one leads.

package import HTTPTypes
import WebSocketCore

/// Where an answer sends the client, and what it may take along.
package struct Redirect {
    /// Where it leads.
    package let url: WebSocketURL

    /// Whether a status asks to try elsewhere. 300 and 304 do not, and 305 and 306 are dead.
    package static func isRedirect(_ status: HTTPResponse.Status) -> Bool { [301, 302, 303, 307, 308].contains(status.code) }

    /// Reads the `Location` of an answer.
    package init(from base: WebSocketURL, _ response: HTTPResponse) throws(ConnectError) {
        let values = response.headerFields[values: .location]
        guard values.count == 1, let location = values.first else {
            throw ConnectError(
                .redirect, base,
                "the server answered \(response.status.code) with \(values.count) Location fields, instead of one\(Self.shown(response))")
        }
        let target: WebSocketURL
        do throws(InvalidURL) {
            target = try WebSocketURL(Self.resolve(location, base))
        } catch {
            throw ConnectError(
                .redirect, base, "the server redirects to an address that is none\(Self.shown(response)): \(error.reason)",
                underlying: error)
        }
        // Whoever sits on the network could read and write everything from here on, which the user has ruled out with `wss`.
        guard target.isSecure || !base.isSecure else {
            throw ConnectError(
                .redirect, base,
                "the server redirects from wss to \(target.withoutQuery), which is not encrypted: connect there yourself if you want to")
        }
        url = target
    }

    /// The `Location` fields of an answer, for an error's text; empty if there are none. Their queries may hold secrets and are left out.
    package static func shown(_ response: HTTPResponse) -> String {
        let places = response.headerFields[values: .location].map { value in
            let place = HandshakeRefused.printable(WebSocketURL.withoutPassword(value))
            let path = place.prefix { $0 != "?" }
            return path.endIndex == place.endIndex ? place : path + "?…"
        }
        return places.isEmpty ? "" : " (Location: \(places.joined(separator: ", ")))"
    }

    /// The error for one redirect more than are followed.
    package static func tooMany(_ limit: Int, from base: WebSocketURL, to url: WebSocketURL) -> ConnectError {
        ConnectError(.redirect, base, "over \(limit) redirects (maxRedirects), the last one to \(url.withoutQuery)")
    }

    /// The header fields for the next request: credentials go only where they were meant to go.
    package func fields(from base: WebSocketURL, _ fields: HTTPFields) -> HTTPFields {
        var fields = fields
        if !url.isSameOrigin(as: base) {
            for name in Self.credentialNames { fields[name] = nil }
        }
        if let credentials = url.credentials { fields[.authorization] = BasicCredentials.field(credentials) }
        return fields
    }

    private static let credentialNames: [HTTPField.Name] = [.authorization, .cookie, .proxyAuthorization]

    // MARK: Relative addresses

    /// Resolves a reference (RFC 3986 §5.2.2). A fragment is left out: it would be for the user, not for the server.
    static func resolve(_ reference: String, _ base: WebSocketURL) -> String {
        let reference = reference.prefix { $0 != "#" }
        let scheme = base.isSecure ? "wss" : "ws"
        if hasScheme(reference) { return String(reference) }
        if reference.hasPrefix("//") { return "\(scheme):\(reference)" }
        let origin = "\(scheme)://\(base.authority)"
        let basePath = base.path.prefix { $0 != "?" }
        if reference.isEmpty { return origin + base.path }
        if reference.hasPrefix("?") { return origin + basePath + reference }
        let path = reference.prefix { $0 != "?" }
        let query = reference[path.endIndex...]
        // §5.2.3: all of the base's path up to its last slash, then the reference's
        let directory = basePath.lastIndex(of: "/").map { basePath[...$0] } ?? "/"
        return origin + removeDotSegments(path.hasPrefix("/") ? path : directory + path) + query
    }

    private static func hasScheme(_ reference: Substring) -> Bool {
        guard let end = reference.firstIndex(where: { ":/?".contains($0) }), reference[end] == ":" else { return false }
        return reference.first?.isLetter == true
    }

    /// RFC 3986 §5.2.4.
    private static func removeDotSegments(_ path: Substring) -> String {
        var kept: [Substring] = []
        let segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        for segment in segments {
            switch segment {
            case ".": continue
            case "..": _ = kept.popLast()
            default: kept.append(segment)
            }
        }
        if segments.last == "." || segments.last == ".." { kept.append("") }
        return "/" + kept.joined(separator: "/")
    }
}

/// Basic credentials (RFC 7617).
package enum BasicCredentials {
    /// The value of the header field for `user:password`.
    package static func field(_ credentials: String) -> String { "Basic " + AcceptKey.base64(Array(credentials.utf8)) }
}
