// The answer to a request that cannot become a WebSocket (RFC 6455 §4.2.1, §4.2.2, §4.4).

public import HTTPTypes

/// A request that the server refuses to upgrade: the peer's fault, with the HTTP response that says so.
public struct HandshakeRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// The part of the handshake that was wrong. Its raw value is short and stable: a label for metrics.
    public struct Rule: RawRepresentable, Hashable, Sendable {
        /// The label.
        public let rawValue: String

        /// Creates a rule of your own, for a refusal that the protocol does not know.
        public init(rawValue: String) {
            self.rawValue = rawValue
        }

        /// The HTTP version is below 1.1.
        public static let httpVersion = Rule(rawValue: "http_version")
        /// The method is not GET.
        public static let method = Rule(rawValue: "method")
        /// The request has content.
        public static let content = Rule(rawValue: "content")
        /// There is no `Host`, it is malformed, or there are several.
        public static let host = Rule(rawValue: "host")
        /// `Upgrade` is missing or does not name `websocket`.
        public static let upgrade = Rule(rawValue: "upgrade")
        /// `Connection` does not name `upgrade`.
        public static let connection = Rule(rawValue: "connection")
        /// `Sec-WebSocket-Version` is not 13.
        public static let version = Rule(rawValue: "version")
        /// There is not exactly one `Sec-WebSocket-Key` of sixteen bytes.
        public static let key = Rule(rawValue: "key")
        /// `Sec-WebSocket-Protocol` is malformed.
        public static let subprotocols = Rule(rawValue: "subprotocols")
        /// `Sec-WebSocket-Extensions` is malformed.
        public static let extensions = Rule(rawValue: "extensions")
        /// The page that asks is of an origin that is not allowed.
        public static let origin = Rule(rawValue: "origin")
    }

    /// The status to answer with.
    public let status: HTTPResponse.Status
    /// The rule that was broken.
    public let rule: Rule
    /// The header fields that the answer must carry, such as `Allow` with 405.
    public let headerFields: HTTPFields
    /// What was wrong, as a sentence for the log. It is one line and safe to print.
    public let description: String

    /// Creates a refusal.
    public init(_ status: HTTPResponse.Status, _ rule: Rule, headerFields: HTTPFields = [:], _ description: String) {
        self.status = status
        self.rule = rule
        self.headerFields = headerFields
        self.description = description
    }

    /// The response as it goes to the peer, without content.
    ///
    /// The connection should be closed after it: what follows a refused handshake may already be frames, and must never be
    /// taken for a request.
    public var response: HTTPResponse {
        HTTPResponse(status: status, headerFields: headerFields)
    }
}
