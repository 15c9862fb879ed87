// Pages of other sites: the fetch standard's CORS protocol, §3.2, https://fetch.spec.whatwg.org/#http-cors-protocol.
//
// Without it a browser lets no page of another site read an answer; and as the WebSocket handshake knows no CORS, the same origins are what
// the same-origin rule there lets pass.

public import HTTPTypes
public import WebSocketCore

/// Which other sites' pages may connect.
public struct EngineIOCORS: Sendable {
    /// A site, or all of them.
    public enum Origins: Sendable {
        /// Pages of every site. With it, browsers send no cookies, whatever `allowsCredentials` says.
        case any
        /// Pages of these sites.
        case these(Set<Origin>)
        /// Pages of the sites of which the closure says so. It is called on the connection's thread, and must not block.
        case matching(@Sendable (Origin) -> Bool)
    }

    /// Whose pages may connect.
    public var origins: Origins
    /// Whether they may send cookies: not unless set.
    public var allowsCredentials: Bool
    /// The header fields of theirs that they may send; nil for those that they ask for.
    public var allowedHeaders: [HTTPField.Name]?
    /// The methods that a preflight request is told of: all that Node names.
    public var methods: [HTTPRequest.Method]
    /// How many seconds a browser may remember the answer to a preflight request; its own default if nil.
    public var maxAge: Int?

    /// Makes a configuration.
    public init(
        origins: Origins, allowsCredentials: Bool = false, allowedHeaders: [HTTPField.Name]? = nil,
        methods: [HTTPRequest.Method] = [.get, .head, .put, .patch, .post, .delete], maxAge: Int? = nil
    ) {
        self.origins = origins
        self.allowsCredentials = allowsCredentials
        self.allowedHeaders = allowedHeaders
        self.methods = methods
        self.maxAge = maxAge
    }

    /// Whether a page of this origin may connect; for the WebSocket handshake, where no header field asks the browser.
    func allows(_ text: String) -> Bool {
        switch origins {
        case .any: true
        case .these(let known): Origin(text).map(known.contains) ?? false
        case .matching(let matches): Origin(text).map(matches) ?? false
        }
    }

    /// What every answer to such a page says.
    func fields(for request: HTTPRequest) -> HTTPFields {
        var fields = HTTPFields()
        if case .any = origins {
            fields[.accessControlAllowOrigin] = "*"
        } else {
            // A cache must not give one site's answer to another.
            fields[.vary] = "Origin"
            if let origin = request.headerFields[.origin], allows(origin) { fields[.accessControlAllowOrigin] = origin }
        }
        if allowsCredentials { fields[.accessControlAllowCredentials] = "true" }
        return fields
    }

    /// What a preflight request is told beside that.
    func preflightFields(for request: HTTPRequest) -> HTTPFields {
        var fields = HTTPFields()
        fields[.accessControlAllowMethods] = methods.map(\.rawValue).joined(separator: ",")
        if let allowedHeaders {
            fields[.accessControlAllowHeaders] = allowedHeaders.map(\.rawName).joined(separator: ",")
        } else if let wanted = request.headerFields[.accessControlRequestHeaders] {
            fields[.vary] = "Access-Control-Request-Headers"
            fields[.accessControlAllowHeaders] = wanted
        }
        if let maxAge { fields[.accessControlMaxAge] = String(maxAge) }
        return fields
    }
}
