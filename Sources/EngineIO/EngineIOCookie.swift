// The cookie with the session's id, for proxies that keep a client at one server by it: RFC 6265 §4.1.

/// A cookie that carries the session's id.
public struct EngineIOCookie: Sendable, Hashable {
    /// When browsers send it along with requests that other sites cause.
    public enum SameSite: String, Sendable, Hashable {
        /// Never.
        case strict = "Strict"
        /// When the user follows a link.
        case lax = "Lax"
        /// Always; browsers then want `isSecure`.
        case none = "None"
    }

    /// Its name: `io`.
    public var name: String
    /// Under which paths it is sent: `/`.
    public var path: String?
    /// To which hosts; the server's own if nil.
    public var domain: String?
    /// Whether pages' scripts can not see it: yes, as the id is a secret.
    public var isHTTPOnly: Bool
    /// Whether it is sent over TLS only.
    public var isSecure: Bool
    /// When it is sent along with what other sites cause: `lax`.
    public var sameSite: SameSite?
    /// How many seconds it lives; as long as the browser runs if nil.
    public var maxAge: Int?

    /// Makes a cookie.
    public init(
        name: String = "io", path: String? = "/", domain: String? = nil, isHTTPOnly: Bool = true, isSecure: Bool = false,
        sameSite: SameSite? = .lax, maxAge: Int? = nil
    ) {
        self.name = name
        self.path = path
        self.domain = domain
        self.isHTTPOnly = isHTTPOnly
        self.isSecure = isSecure
        self.sameSite = sameSite
        self.maxAge = maxAge
    }

    /// The value of `Set-Cookie`.
    func field(_ sid: String) -> String {
        var parts = ["\(name)=\(sid)"]
        if let maxAge { parts.append("Max-Age=\(maxAge)") }
        if let domain { parts.append("Domain=\(domain)") }
        if let path { parts.append("Path=\(path)") }
        if isHTTPOnly { parts.append("HttpOnly") }
        if isSecure { parts.append("Secure") }
        if let sameSite { parts.append("SameSite=\(sameSite.rawValue)") }
        return parts.joined(separator: "; ")
    }
}
