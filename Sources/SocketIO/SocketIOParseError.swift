// The peer's faults in the format of packets. This program's own are `SocketIOUsageError`.

/// The peer sent a packet that can not be read, or that is over a limit; its connection is to be closed.
public struct SocketIOParseError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Which rule or limit; more may be added.
    public struct Rule: Sendable, Hashable, CustomStringConvertible {
        /// What the peer did, to go on after "the peer ".
        public let description: String

        /// Makes a rule of a parser of your own.
        public init(_ description: String) { self.description = description }
    }

    /// The rule.
    public let rule: Rule
    /// Where in the message it was seen, in bytes from its begin; nil where it is the message as a whole.
    public let offset: Int?
    /// What was seen, where that tells more; empty elsewhere.
    public let detail: String

    /// Makes an error.
    public init(_ rule: Rule, at offset: Int? = nil, _ detail: String = "") {
        self.rule = rule
        self.offset = offset
        self.detail = detail
    }

    /// What happened, where, and whose fault it was.
    public var description: String {
        let place = offset.map { " at byte \($0)" } ?? ""
        return "the peer \(rule)\(place)\(detail.isEmpty ? "" : ": \(detail)")"
    }
}

extension SocketIOParseError.Rule {
    /// A text without a first character, or with one that is no packet type.
    public static let unknownType = Self("sent a packet of an unknown type")
    /// A BINARY_EVENT or BINARY_ACK whose number of attachments is missing, or no number.
    public static let invalidAttachmentCount = Self("sent a binary packet without a number of attachments and a dash")
    /// More attachments than `SocketIOParserLimits.maxAttachments`.
    public static let tooManyAttachments = Self("sent a packet with more attachments than the limit maxAttachments")
    /// Placeholders that do not fit the attachments.
    public static let invalidPlaceholder = Self("sent a binary packet whose placeholders are not one for each attachment")
    /// Text before all attachments have come.
    public static let unexpectedText = Self("sent text while attachments are awaited")
    /// Bytes where no attachment is awaited.
    public static let unexpectedBinary = Self("sent binary data while no attachment is awaited")
    /// Text where the format has none.
    public static let textInMessagePack = Self("sent text where every packet is binary: it uses another parser than this end")
    /// A namespace over `SocketIOParserLimits.maxNamespaceLength`.
    public static let namespaceTooLong = Self("named a namespace longer than the limit maxNamespaceLength")
    /// A namespace that is not UTF-8, or that does not begin with a slash.
    public static let invalidNamespace = Self("named a namespace that can not be one")
    /// An id over `SocketIOPacket.maxID`, one where there may be none, or none where there must be one.
    public static let invalidID = Self("sent a packet whose id can not be one")
    /// A payload that is not JSON.
    public static let invalidJSON = Self("sent a payload that is not JSON")
    /// A payload that is not MessagePack.
    public static let invalidMessagePack = Self("sent a payload that is not MessagePack")
    /// Arrays and objects deeper in each other than `SocketIOParserLimits.maxDepth`.
    public static let tooDeep = Self("sent a payload nested deeper than the limit maxDepth")
    /// A payload that packets of the type do not have, or none where there must be one.
    public static let invalidPayload = Self("sent a payload that does not belong to the packet's type")
    /// An event whose name is neither a string nor a number.
    public static let invalidEventName = Self("sent an event whose name is neither a string nor a number")
    /// An event with one of `SocketIOPacket.reservedEventNames`.
    public static let reservedEventName = Self("sent an event with a name that is reserved")
}
