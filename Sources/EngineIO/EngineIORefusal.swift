// What Node's server answers to requests that it can not serve: the codes and words that clients know.

import HTTPTypes

/// A request that is not served.
struct EngineIORefusal: Error, Hashable, Sendable {
    let code: Int
    let message: String
    var status = HTTPResponse.Status.badRequest

    static let transportUnknown = Self(code: 0, message: "Transport unknown")
    static let sessionUnknown = Self(code: 1, message: "Session ID unknown")
    static let badHandshakeMethod = Self(code: 2, message: "Bad handshake method")
    static let badRequest = Self(code: 3, message: "Bad request")
    static func forbidden(_ message: String?) -> Self { Self(code: 4, message: message ?? "Forbidden", status: .forbidden) }
    static let unsupportedVersion = Self(code: 5, message: "Unsupported protocol version")
    /// Not one of Node's, which takes sessions without end.
    static let tooManySessions = Self(code: 3, message: "Too many sessions", status: .serviceUnavailable)
    /// Nor this one.
    static let tooManyForwarded = Self(code: 3, message: "Too many requests between nodes", status: .serviceUnavailable)

    /// The body of the answer to long-polling.
    var json: String { #"{"code":\#(code),"message":"\#(Self.escaped(message))"}"# }

    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": escaped += "\\\(scalar)"
            case "\u{0}"..<" ":
                let digits = String(scalar.value, radix: 16)
                escaped += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
