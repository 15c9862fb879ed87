// Where a client's requests go: Engine.IO protocol 4, "Handshake", and RFC 3986 §3.4.

import HTTPTypes
import WebSockets

/// The address of a session's requests, but for what each of them adds.
struct EngineIOClientAddress: Sendable {
    /// The server as it was given, parsed.
    let server: WebSocketURL
    /// The header fields of every request, but for the session's cookies.
    let headers: HTTPFields
    private let origin: String
    private let base: String

    /// - Throws: `EngineIOClientError` of the kind `usage`.
    init(_ url: String, _ configuration: EngineIOClientConfiguration) throws(EngineIOClientError) {
        do {
            server = try WebSocketURL(url)
        } catch {
            throw EngineIOClientError(.usage, "\(error)", underlying: error)
        }
        origin = "://\(server.authority)"
        let path = configuration.path.hasPrefix("/") ? configuration.path : "/" + configuration.path
        var query = String(server.path.drop { $0 != "?" }.dropFirst())
        if !query.isEmpty { query += "&" }
        for (name, value) in configuration.query.sorted(by: { $0.key < $1.key }) {
            query += "\(Self.encoded(name))=\(Self.encoded(value))&"
        }
        base = "\(path)?\(query)EIO=4"
        var headers = configuration.headers
        if let credentials = server.credentials, headers[.authorization] == nil {
            headers[.authorization] = BasicCredentials.field(credentials)
        }
        if headers[.userAgent] == nil { headers[.userAgent] = "duplex" }
        self.headers = headers
    }

    private init(_ server: WebSocketURL, _ headers: HTTPFields, base: String) {
        self.server = server
        self.headers = headers
        self.base = base
        origin = "://\(server.authority)"
    }

    /// The address to which an answer to the first request redirects the session.
    func redirected(by response: HTTPResponse) throws(ConnectError) -> Self {
        let asked = WebSocketURL(server, path: String(base.prefix { $0 != "?" }))
        let redirect = try Redirect(from: asked, response)
        let url = redirect.url
        // What each request adds is there already, where the server has left the query as it was.
        let own: Set<Substring> = ["EIO", "transport", "t", "sid"]
        var query = Self.parameters(url.path).filter { !own.contains(Self.name($0)) }
        // A server that answers with an address of its own leaves the query out: another origin has no right to it.
        if url.isSameOrigin(as: server) {
            let names = Set(query.map(Self.name))
            query += Self.parameters(base).filter { !names.contains(Self.name($0)) && !own.contains(Self.name($0)) }
        }
        let path = url.path.prefix { $0 != "?" }
        return Self(
            WebSocketURL(url, path: String(path)), redirect.fields(from: server, headers),
            base: "\(path)?\((query + ["EIO=4"]).joined(separator: "&"))")
    }

    private static func parameters(_ path: String) -> [Substring] {
        path.drop { $0 != "?" }.dropFirst().split(separator: "&")
    }

    private static func name(_ parameter: Substring) -> Substring { parameter.prefix { $0 != "=" } }

    /// The header fields of a request.
    ///
    /// - Parameter cookies: the cookies that the server has set in this session.
    func fields(cookies: String?) -> HTTPFields {
        var fields = headers
        // > RFC 6265 §5.4: the user agent MUST NOT attach more than one Cookie header field.
        // The subscript would make one field of each cookie, as HTTP/2 may have it.
        let all = [fields[.cookie], cookies].compactMap(\.self).joined(separator: "; ")
        fields[.cookie] = nil
        if !all.isEmpty { fields.append(HTTPField(name: .cookie, value: all)) }
        return fields
    }

    /// What a session's WebSocket memory is kept under.
    var key: String { "\(server.isSecure)\(origin)" }

    /// - Parameter number: makes each request's address its own, for caches that do not believe header fields.
    /// - Parameter host: what stands in the host's place, if it is another.
    func polling(sid: String?, number: Int, host: String? = nil) -> String {
        let origin = host.map { "://\($0):\(server.port)" } ?? origin
        return "\(server.isSecure ? "https" : "http")\(origin)\(base)&transport=polling&t=\(String(number, radix: 36))\(Self.session(sid))"
    }

    func webSocket(sid: String?) -> String {
        "\(server.isSecure ? "wss" : "ws")\(origin)\(base)&transport=websocket\(Self.session(sid))"
    }

    private static func session(_ sid: String?) -> String { sid.map { "&sid=\(encoded($0))" } ?? "" }

    /// RFC 3986 §2.3: what need not be percent-encoded anywhere is left.
    static func encoded(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default: result += (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
            }
        }
        return result
    }
}
