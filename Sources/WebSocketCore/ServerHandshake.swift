// The server's side of the opening handshake (RFC 6455 §4.2): a request is checked, then answered.
//
// Nothing is sent or decided here. `ServerHandshake(request:version:)` either yields what the client offered or throws the
// refusal; the application then decides; `response(…)` builds the 101 and refuses to build one that the client would have to
// fail. What is stricter than the RFC: the request must have no content, since its bytes would stand where frames are expected.

public import HTTPTypes

/// A client's opening handshake that follows all the rules, ready to be answered (RFC 6455 §4.2).
public struct ServerHandshake: Hashable, Sendable {
    /// The client's `Sec-WebSocket-Key`.
    public let key: String
    /// The host, and port if written, that the request was sent to.
    public let authority: String
    /// The subprotocols that the client offers, the preferred one first.
    public let subprotocols: [String]
    /// The extensions that the client offers, the preferred one first.
    public let extensions: [ExtensionOffer]
    /// The values of all `Origin` lines: none unless the client is a browser, and never more than one from a browser.
    public let origins: [String]

    /// Whether a request asks to change to another protocol, so that it is to be judged as a handshake.
    ///
    /// On a path that has no WebSocket, `Upgrade` can be ignored (RFC 9110 §7.8): there the question need not be asked.
    public static func isUpgrade(_ request: HTTPRequest) -> Bool {
        request.headerFields.contains(.upgrade)
    }

    /// Checks a request against the rules for a client's opening handshake (RFC 6455 §4.2.1).
    ///
    /// - Parameters:
    ///   - request: The request. `Host` is taken from `authority`, or from the header fields where that is nil.
    ///   - version: The HTTP version of the request.
    /// - Throws: ``HandshakeRefusal`` for the first rule that the request breaks.
    public init(request: HTTPRequest, version: (major: Int, minor: Int)) throws(HandshakeRefusal) {
        let fields = request.headerFields
        try Self.checkRequestLine(request, version)
        authority = try Self.host(request)
        try Self.checkUpgrade(fields)
        try Self.checkVersion(fields[values: .secWebSocketVersion])
        key = try Self.key(fields[values: .secWebSocketKey])
        do throws(HeaderSyntaxError) {
            subprotocols = try Subprotocols.parse(fields[values: .secWebSocketProtocol])
        } catch {
            throw HandshakeRefusal(.badRequest, .subprotocols, error.description)
        }
        do throws(HeaderSyntaxError) {
            extensions = try ExtensionList.parse(fields[values: .secWebSocketExtensions])
        } catch {
            throw HandshakeRefusal(.badRequest, .extensions, error.description)
        }
        origins = fields[values: .origin]
    }

    // > RFC 6455 §4.1: The method of the request MUST be GET, and the HTTP version MUST be at least 1.1.
    private static func checkRequestLine(_ request: HTTPRequest, _ version: (major: Int, minor: Int)) throws(HandshakeRefusal) {
        guard version >= (1, 1) else {
            let text = "the handshake needs HTTP 1.1 or later, not \(version.major).\(version.minor)"
            throw HandshakeRefusal(.httpVersionNotSupported, .httpVersion, text)
        }
        guard request.method == .get else {
            let method = HandshakeText.quoted(request.method.rawValue)
            throw HandshakeRefusal(.methodNotAllowed, .method, headerFields: [.allow: "GET"], "the method must be GET, not \(method)")
        }
        let fields = request.headerFields
        guard !fields.contains(.transferEncoding), fields[values: .contentLength].allSatisfy({ $0 == "0" }) else {
            throw HandshakeRefusal(.badRequest, .content, "the handshake has content; a handshake has none")
        }
    }

    // > RFC 6455 §4.2.1: A |Host| header field containing the server's authority.
    //
    // Whoever makes an `HTTPRequest` of HTTP/1 bytes moves the first `Host` to `authority` and leaves any other behind.
    private static func host(_ request: HTTPRequest) throws(HandshakeRefusal) -> String {
        let others = request.headerFields.lazy.filter { $0.name.canonicalName == "host" }.map(\.value)
        let hosts = (request.authority.map { [$0] } ?? []) + others
        guard hosts.count == 1, let host = hosts.first else {
            throw HandshakeRefusal(.badRequest, .host, "there must be exactly one Host, not \(hosts.count)")
        }
        guard Authority(host.utf8) != nil else {
            throw HandshakeRefusal(.badRequest, .host, "Host must be host or host:port, not \(HandshakeText.quoted(host))")
        }
        return host
    }

    // > RFC 6455 §4.2.1: An |Upgrade| header field containing the value "websocket", treated as an ASCII case-insensitive
    // > value. A |Connection| header field that includes the token "Upgrade", treated as an ASCII case-insensitive value.
    private static func checkUpgrade(_ fields: HTTPFields) throws(HandshakeRefusal) {
        guard fields.contains(.upgrade) else {
            let text = "this path speaks WebSocket, and the request has no Upgrade: websocket"
            throw HandshakeRefusal(.upgradeRequired, .upgrade, headerFields: upgradeFields, text)
        }
        guard HeaderTokens.contains("websocket", in: fields[values: .upgrade]) else {
            throw HandshakeRefusal(.badRequest, .upgrade, "Upgrade does not name websocket")
        }
        guard HeaderTokens.contains("upgrade", in: fields[values: .connection]) else {
            throw HandshakeRefusal(.badRequest, .connection, "Connection does not name upgrade")
        }
    }

    // > RFC 6455 §4.4: If the server doesn't support the requested version, it MUST respond with a |Sec-WebSocket-Version| header
    // > field (or multiple |Sec-WebSocket-Version| header fields) containing all versions it is willing to use.
    private static func checkVersion(_ values: [String]) throws(HandshakeRefusal) {
        guard values == ["13"] else {
            var fields = upgradeFields
            fields[.secWebSocketVersion] = "13"
            let found = values.isEmpty ? "missing" : HandshakeText.quoted(values.joined(separator: ", "))
            throw HandshakeRefusal(.upgradeRequired, .version, headerFields: fields, "Sec-WebSocket-Version must be 13, it is \(found)")
        }
    }

    private static func key(_ values: [String]) throws(HandshakeRefusal) -> String {
        guard values.count == 1, let key = values.first else {
            throw HandshakeRefusal(.badRequest, .key, "there must be exactly one Sec-WebSocket-Key, not \(values.count)")
        }
        guard AcceptKey.isValid(key) else {
            throw HandshakeRefusal(.badRequest, .key, "Sec-WebSocket-Key must be the base64 of 16 bytes")
        }
        return key
    }

    /// RFC 9110 §7.8 and §15.5.22: whoever sends `Upgrade` names it in `Connection`, and a 426 always sends it.
    private static let upgradeFields: HTTPFields = [.upgrade: "websocket", .connection: "Upgrade"]
}

extension ServerHandshake {
    /// Checks that the page which opens the connection may do so: the defence against cross-site WebSocket hijacking.
    ///
    /// A request without `Origin` is not from a browser's page and passes. Otherwise the one origin must be the server's own (see
    /// ``Origin/isSameOrigin(origin:host:isSecure:strictly:)``) or be among `allowed`. `null` never passes.
    ///
    /// > RFC 6455 §4.2.2: If the server does not wish to accept this connection, it MUST return an appropriate HTTP error code
    /// > (e.g., 403 Forbidden) and abort the WebSocket handshake described in this section.
    ///
    /// - Parameters:
    ///   - allowed: Origins other than the server's own.
    ///   - isSecure: Whether this server's own connection is TLS.
    ///   - strictly: Whether an `https` page must come over TLS that this server itself ends.
    /// - Throws: ``HandshakeRefusal`` with 403.
    public func checkOrigin(allowed: Set<Origin> = [], isSecure: Bool, strictly: Bool = false) throws(HandshakeRefusal) {
        guard let origin = origins.first else { return }
        guard origins.count == 1 else {
            throw HandshakeRefusal(.forbidden, .origin, "there must be at most one Origin, not \(origins.count)")
        }
        if let origin = Origin(origin), allowed.contains(origin) { return }
        guard Origin.isSameOrigin(origin: origin, host: authority, isSecure: isSecure, strictly: strictly) else {
            let text = "the origin \(HandshakeText.quoted(origin)) is neither that of \(authority) nor allowed"
            throw HandshakeRefusal(.forbidden, .origin, text)
        }
    }

    /// Builds the 101 that opens the connection (RFC 6455 §4.2.2).
    ///
    /// - Parameters:
    ///   - subprotocol: One of the offered ``subprotocols``, or nil for none.
    ///   - extensions: The extensions in use, each among the offered ones, with the parameters agreed on.
    ///   - additional: More header fields, such as `Set-Cookie`.
    /// - Throws: ``HandshakeUsageError`` for what was not offered, and for header fields that are malformed or belong to the
    ///   handshake. Nothing of that is ever emitted.
    public func response(
        subprotocol: String? = nil, extensions: [ExtensionOffer] = [], additional: HTTPFields = [:]
    ) throws(HandshakeUsageError) -> HTTPResponse {
        try HandshakeText.check(additional: additional)
        // What was offered is a token, so that a chosen subprotocol cannot carry anything into the header.
        if let subprotocol, !subprotocols.contains(subprotocol) { throw .subprotocolNotOffered(subprotocol) }
        var left = Set(self.extensions.map(\.name))
        for chosen in extensions {
            guard left.remove(chosen.name) != nil else { throw .extensionNotOffered(chosen.name) }
            guard chosen.isWellFormed else { throw .invalidExtension }
        }
        var fields = Self.upgradeFields
        fields[.secWebSocketAccept] = AcceptKey.accept(for: key)
        if let subprotocol { fields[.secWebSocketProtocol] = subprotocol }
        if !extensions.isEmpty { fields[.secWebSocketExtensions] = ExtensionList.serialize(extensions) }
        fields.append(contentsOf: additional)
        return HTTPResponse(status: .switchingProtocols, headerFields: fields)
    }
}
