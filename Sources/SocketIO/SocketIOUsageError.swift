// Faults of the program that uses this library.

/// This program used Socket.IO in a way that it can not be used.
public struct SocketIOUsageError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Which rule; more may be added.
    public struct Rule: Sendable, Hashable {
        let text: String

        /// Makes a rule of a parser of your own.
        public init(_ text: String) { self.text = text }
    }

    /// The rule.
    public let rule: Rule
    /// What was seen, where that tells more; empty elsewhere.
    public let detail: String

    /// Makes an error of a rule.
    public init(_ rule: Rule, _ detail: String = "") {
        self.rule = rule
        self.detail = detail
    }

    /// What was done and why it can not be.
    public var description: String { detail.isEmpty ? rule.text : "\(rule.text): \(detail)" }
}

extension SocketIOUsageError.Rule {
    /// A namespace that the default parser can not write.
    public static let namespaceWithComma = Self("a namespace must not contain a comma, which ends it in a packet")
    /// A namespace that does not begin with a slash.
    public static let namespaceWithoutSlash = Self("a namespace must begin with a slash")
    /// An id outside 0 to `SocketIOPacket.maxID`.
    public static let invalidID = Self("the id of a packet must be from 0 to 2⁵³ − 1")
    /// An event without a name that is a string or a number.
    public static let invalidEventName = Self("an event must begin with its name, a string or a number")
    /// An event with one of `SocketIOPacket.reservedEventNames`.
    public static let reservedEventName = Self("an event must not have a name that is reserved")
    /// Bytes where the default parser has no place for attachments.
    public static let binaryOutsideEvent = Self("binary data can be sent in events and acknowledgements only")
    /// Bytes beside data that looks like what stands for bytes in a packet's text.
    public static let placeholderLookalike = Self("an object with _placeholder: true can not be sent together with binary data")
    /// Arrays and objects in each other beyond `SocketIOParserLimits.deepest`.
    public static let tooDeep = Self("the values are nested deeper than 256 levels")
    /// A payload of CONNECT_ERROR that is neither an object nor a string.
    public static let invalidPayload = Self("a CONNECT_ERROR carries an object or a string")
}
