// The client's side of the opening handshake (RFC 6455 §4.1): a request is built, then the answer to it checked.
//
// Everything that goes into the request is checked when the handshake is made, so that `request` cannot fail. The key's
// randomness is an argument. Redirects and authentication (a status other than 101) are the caller's business; what is said
// here of such an answer is only that it opens no WebSocket.

public import HTTPTypes

/// A client's opening handshake: the request to send, and the rules for the answer (RFC 6455 §4.1).
public struct ClientHandshake: Hashable, Sendable {
    /// What client and server agreed on.
    public struct Agreement: Hashable, Sendable {
        /// The subprotocol that the server chose from those offered, or nil.
        public let subprotocol: String?
        /// The extensions that the server accepted. What their parameters mean, and whether they may be so, is for the extension.
        public let extensions: [ExtensionOffer]
    }

    /// The request to send.
    public let request: HTTPRequest
    /// The `Sec-WebSocket-Key` in the request.
    public let key: String
    /// The subprotocols offered, the preferred one first.
    public let subprotocols: [String]
    /// The extensions offered, the preferred one first.
    public let extensions: [ExtensionOffer]

    /// Creates a handshake.
    ///
    /// - Parameters:
    ///   - authority: `host` or `host:port`, as it goes into `Host`. The port is left out where it is the scheme's own.
    ///   - path: The path with its query, beginning with `/`, percent-encoded.
    ///   - isSecure: Whether the connection is TLS.
    ///   - subprotocols: The subprotocols to offer, the preferred one first.
    ///   - extensions: The extensions to offer, the preferred one first.
    ///   - additional: More header fields, such as `Origin`, `Authorization` or `Cookie`.
    ///   - random: Sixteen bytes from a cryptographic random number generator, fresh for each connection.
    /// - Throws: ``HandshakeUsageError`` for anything that must not be sent.
    public init(
        authority: String, path: String = "/", isSecure: Bool, subprotocols: [String] = [], extensions: [ExtensionOffer] = [],
        additional: HTTPFields = [:], random: SIMD16<UInt8>
    ) throws(HandshakeUsageError) {
        guard Authority(authority.utf8) != nil else { throw .invalidAuthority }
        guard HandshakeText.isPath(path) else { throw .invalidPath }
        let areTokens = subprotocols.allSatisfy { HeaderTokens.isToken($0.utf8) }
        guard areTokens, Set(subprotocols).count == subprotocols.count else { throw .invalidSubprotocol }
        guard extensions.allSatisfy(\.isWellFormed) else { throw .invalidExtension }
        try HandshakeText.check(additional: additional)
        self.subprotocols = subprotocols
        self.extensions = extensions
        key = AcceptKey.clientKey(random: random)
        var fields: HTTPFields = [
            .upgrade: "websocket", .connection: "Upgrade", .secWebSocketKey: key, .secWebSocketVersion: "13",
        ]
        if !subprotocols.isEmpty { fields[.secWebSocketProtocol] = subprotocols.joined(separator: ", ") }
        if !extensions.isEmpty { fields[.secWebSocketExtensions] = ExtensionList.serialize(extensions) }
        fields.append(contentsOf: additional)
        let scheme = isSecure ? "https" : "http"
        request = HTTPRequest(method: .get, scheme: scheme, authority: authority, path: path, headerFields: fields)
    }

    /// Checks the server's answer to the request.
    ///
    /// - Returns: What was agreed on. From here on the connection carries frames.
    /// - Throws: ``HandshakeFailure`` for the first rule that the answer breaks. The connection must then be closed.
    public func validate(_ response: HTTPResponse) throws(HandshakeFailure) -> Agreement {
        guard response.status.code == 101 else {
            throw HandshakeFailure(.status, "the server answered \(response.status.code) instead of 101: it did not open a WebSocket")
        }
        try checkUpgrade(response.headerFields)
        try checkAccept(response.headerFields[values: .secWebSocketAccept])
        return Agreement(
            subprotocol: try chosenSubprotocol(response.headerFields[values: .secWebSocketProtocol]),
            extensions: try acceptedExtensions(response.headerFields[values: .secWebSocketExtensions])
        )
    }

    // > RFC 6455 §4.1: If the response lacks an |Upgrade| header field or the |Upgrade| header field contains a value that is not
    // > an ASCII case-insensitive match for the value "websocket", the client MUST _Fail the WebSocket Connection_.
    private func checkUpgrade(_ fields: HTTPFields) throws(HandshakeFailure) {
        let values = fields[values: .upgrade]
        guard values.count == 1, let value = values.first, HeaderTokens.equals(value.utf8, "websocket") else {
            throw HandshakeFailure(.upgrade, "the server's Upgrade is not websocket")
        }
        guard HeaderTokens.contains("upgrade", in: fields[values: .connection]) else {
            throw HandshakeFailure(.connection, "the server's Connection does not name upgrade")
        }
    }

    // > RFC 6455 §4.1: If the response lacks a |Sec-WebSocket-Accept| header field or the |Sec-WebSocket-Accept| contains a value
    // > other than the base64-encoded SHA-1 of the concatenation of the |Sec-WebSocket-Key| [...] the client MUST _Fail the
    // > WebSocket Connection_.
    private func checkAccept(_ values: [String]) throws(HandshakeFailure) {
        guard values.count == 1, values.first == AcceptKey.accept(for: key) else {
            throw HandshakeFailure(.accept, "the server's Sec-WebSocket-Accept does not belong to the key that was sent")
        }
    }

    // > RFC 6455 §4.1: If the response includes a |Sec-WebSocket-Protocol| header field and this header field indicates the use of
    // > a subprotocol that was not present in the client's handshake [...], the client MUST _Fail the WebSocket Connection_.
    private func chosenSubprotocol(_ values: [String]) throws(HandshakeFailure) -> String? {
        guard let value = values.first else { return nil }
        guard values.count == 1 else {
            throw HandshakeFailure(.subprotocol, section: "RFC 6455 §11.3.4", "the server sent Sec-WebSocket-Protocol more than once")
        }
        guard subprotocols.contains(value) else {
            throw HandshakeFailure(.subprotocol, "the server chose the subprotocol \(HandshakeText.quoted(value)), which was not offered")
        }
        return value
    }

    // > RFC 6455 §4.1: If the response includes a |Sec-WebSocket-Extensions| header field and this header field indicates the use of
    // > an extension that was not present in the client's handshake [...], the client MUST _Fail the WebSocket Connection_.
    private func acceptedExtensions(_ values: [String]) throws(HandshakeFailure) -> [ExtensionOffer] {
        let accepted: [ExtensionOffer]
        do throws(HeaderSyntaxError) {
            accepted = try ExtensionList.parse(values)
        } catch {
            throw HandshakeFailure(.extensions, section: "RFC 6455 §9.1", "the server's \(error)")
        }
        var left = Set(extensions.map(\.name))
        for one in accepted where left.remove(one.name) == nil {
            let name = HandshakeText.quoted(one.name)
            throw HandshakeFailure(.extensions, "the server uses the extension \(name), which was not offered, or uses it twice")
        }
        return accepted
    }
}
