// Why a client fails the opening handshake (RFC 6455 §4.1, "Once the client's opening handshake has been sent").

/// A server's answer with which the client must fail the connection: the peer's fault (RFC 6455 §4.1).
public struct HandshakeFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The part of the answer that was wrong. Its raw value is short and stable.
    public struct Rule: RawRepresentable, Hashable, Sendable {
        /// The label.
        public let rawValue: String

        /// Creates a rule of your own.
        public init(rawValue: String) {
            self.rawValue = rawValue
        }

        /// The status is not 101.
        public static let status = Rule(rawValue: "status")
        /// `Upgrade` is not `websocket`.
        public static let upgrade = Rule(rawValue: "upgrade")
        /// `Connection` does not name `upgrade`.
        public static let connection = Rule(rawValue: "connection")
        /// `Sec-WebSocket-Accept` does not belong to the key that was sent.
        public static let accept = Rule(rawValue: "accept")
        /// The extensions are malformed or were not offered.
        public static let extensions = Rule(rawValue: "extensions")
        /// The subprotocol is malformed or was not offered.
        public static let subprotocol = Rule(rawValue: "subprotocol")
    }

    /// The rule that was broken.
    public let rule: Rule
    /// Where the rule stands, such as `RFC 6455 §4.1`.
    public let section: String
    /// What was wrong, as a sentence for the log. It is one line and safe to print.
    public let description: String

    /// Creates a failure.
    public init(_ rule: Rule, section: String = "RFC 6455 §4.1", _ description: String) {
        self.rule = rule
        self.section = section
        self.description = description
    }
}
