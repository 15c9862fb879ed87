// The peer's faults. Yours are `UsageError`; the network's belong to whoever owns the socket.

/// The peer broke a rule of the protocol, or a limit that was set for it.
public struct ProtocolError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Which rule or limit; more may be added.
    public struct Rule: Sendable, Hashable, CustomStringConvertible {
        let name: StaticName
        /// The rule's name.
        public var description: String { name.text }
    }

    /// The rule.
    public let rule: Rule
    /// What was seen, for rules where a number tells more (a length, an opcode, a code); 0 elsewhere.
    public let value: UInt64

    package init(_ rule: Rule, _ value: UInt64 = 0) {
        self.rule = rule
        self.value = value
    }

    /// The code that the connection is closed with.
    public var closeCode: CloseCode { rule.name.closeCode }
    /// Where the rule stands.
    public var section: String { rule.name.section }
    /// What happened, whose fault it was, and by which rule.
    public var description: String {
        let seen = rule.name.showsValue ? " (\(value))" : ""
        return "the peer \(rule.name.text)\(seen); \(rule.name.section), close code \(closeCode)"
    }
    /// The text for the close frame's reason: short, without numbers that the peer chose.
    public var reason: String { rule.name.text }

    struct StaticName: Hashable, Sendable {
        let text: String
        let section: String
        let closeCode: CloseCode
        let showsValue: Bool
    }
}

extension ProtocolError.Rule {
    private static func rule(
        _ text: String, _ section: String, _ code: CloseCode = .protocolError, showsValue: Bool = false
    ) -> Self {
        Self(name: .init(text: text, section: section, closeCode: code, showsValue: showsValue))
    }

    /// A reserved bit is set and no extension gave it a meaning.
    public static let reservedBit = rule("set a reserved bit", "RFC 6455 §5.2", showsValue: true)
    /// An opcode that has no meaning.
    public static let reservedOpcode = rule("sent a reserved opcode", "RFC 6455 §5.2", showsValue: true)
    /// A client's frame without a mask.
    public static let unmaskedFrame = rule("sent an unmasked frame to a server", "RFC 6455 §5.1")
    /// A server's frame with a mask.
    public static let maskedFrame = rule("sent a masked frame to a client", "RFC 6455 §5.1")
    /// A length in more bytes than it needs.
    public static let nonMinimalLength = rule("encoded a length in more bytes than needed", "RFC 6455 §5.2", showsValue: true)
    /// A 64-bit length with the most significant bit set.
    public static let negativeLength = rule("sent a length with its top bit set", "RFC 6455 §5.2")
    /// A control frame of more than 125 bytes.
    public static let controlTooLong = rule("sent a control frame over 125 bytes", "RFC 6455 §5.5")
    /// A control frame in fragments.
    public static let controlFragmented = rule("fragmented a control frame", "RFC 6455 §5.5")
    /// A continuation where no message was begun.
    public static let unexpectedContinuation = rule("continued a message that was not begun", "RFC 6455 §5.4")
    /// A new message inside a fragmented one.
    public static let unfinishedMessage = rule("began a message inside another", "RFC 6455 §5.4")
    /// Text, or a close reason, that is not UTF-8.
    public static let invalidUTF8 = rule("sent text that is not UTF-8", "RFC 6455 §8.1", .invalidFramePayloadData)
    /// A close frame with one byte of payload.
    public static let truncatedCloseCode = rule("sent half a close code", "RFC 6455 §5.5.1")
    /// A close code that may not be sent.
    public static let invalidCloseCode = rule("sent a close code that may not be sent", "RFC 6455 §7.4", showsValue: true)
    /// A message over `Limits.maxMessageSize`.
    public static let messageTooBig = rule(
        "sent a message over the limit maxMessageSize", "RFC 6455 §7.4.1", .messageTooBig, showsValue: true)
    /// A frame over `Limits.maxFrameSize`.
    public static let frameTooBig = rule(
        "sent a frame over the limit maxFrameSize", "RFC 6455 §7.4.1", .messageTooBig, showsValue: true)
    /// A message of more pieces than `Limits.maxFragments`.
    public static let tooManyFragments = rule(
        "sent a message in more fragments than the limit maxFragments", "RFC 6455 §7.4.1", .policyViolation, showsValue: true)
    /// A compressed message that is not DEFLATE's, or not whole.
    public static let invalidDeflate = rule(
        "sent a compressed message that can not be decompressed", "RFC 7692 §7.2.2", .invalidFramePayloadData)
}
