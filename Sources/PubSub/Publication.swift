// What is said to a topic, as nodes pass it to each other.

public import NIOCore

/// A message for a topic.
public struct Publication: Sendable, Hashable {
    /// The topic's name.
    public let topic: String
    /// The message's bytes; UTF-8 if it is text.
    public let payload: ByteBuffer
    /// Whether it is text rather than binary.
    public let isText: Bool
    /// What it replaces, for subscribers that keep only the latest; the topic if nil.
    public let key: String?

    /// Makes one.
    public init(topic: String, payload: ByteBuffer, isText: Bool, key: String? = nil) {
        self.topic = topic
        self.payload = payload
        self.isText = isText
        self.key = key
    }
}
