// Faults of the program that uses this library.

/// This program used a connection in a way that it can not be used.
public struct UsageError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Which rule; more may be added.
    public struct Rule: Sendable, Hashable {
        let text: String
    }

    /// The rule.
    public let rule: Rule

    /// Makes an error of a rule.
    public init(_ rule: Rule) { self.rule = rule }

    /// What was done and why it can not be.
    public var description: String { rule.text }
}

extension UsageError.Rule {
    /// A message after the close was sent or received (RFC 6455 §5.5.1).
    public static let sendAfterClose = Self(text: "a message can not be sent: the connection is closing or closed")
    /// A close code that may not be sent (RFC 6455 §7.4).
    public static let invalidCloseCode = Self(text: "this close code may not be sent: use 1000–1003, 1007–1014 or 3000–4999")
    /// A close reason over 123 bytes (RFC 6455 §5.5).
    public static let closeReasonTooLong = Self(text: "the close reason is over 123 bytes of UTF-8")
    /// A ping or pong payload over 125 bytes (RFC 6455 §5.5).
    public static let controlTooLong = Self(text: "the payload of a ping or pong is over 125 bytes")
    /// A second message while one is sent piece by piece (RFC 6455 §5.4).
    public static let unfinishedMessage = Self(text: "a message is being sent in fragments: finish it before the next one")
    /// A further piece where no message was begun.
    public static let noMessageBegun = Self(text: "no message is being sent in fragments: begin one first")
    /// Text that is not UTF-8 (RFC 6455 §8.1).
    public static let invalidUTF8 = Self(text: "a text message must be UTF-8")
    /// Messages awaited where a callback handler gets them.
    public static let messagesGoToHandler = Self(
        text: "the messages of this WebSocket go to its callback handler: register a closure to await them instead")
    /// A second consumer of the messages of one connection.
    public static let concurrentIteration = Self(text: "the messages of a WebSocket can be awaited by one task at a time")
    /// A subscription on a client.
    public static let topicsOfClient = Self(text: "a client has no topics: subscribe where the server has accepted the connection")
    /// More subscriptions than a connection may have.
    public static let tooManyTopics = Self(text: "the connection has too many subscriptions (limit maxTopics)")
    /// A topic's name, or a pattern, that is too long.
    public static let topicTooLong = Self(text: "the topic's name is too long (limit maxTopicLength)")
    /// Somebody subscribed to a topic whose name begins with U+0000.
    public static let reservedTopic = Self(text: "topics whose names begin with U+0000 are the library's own")
}
