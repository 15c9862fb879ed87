// Names of topics, and patterns over them, as MQTT 5.0 has them (§4.7).
//
// A topic's name is any text; `/` separates its levels. Wildcards are a pattern's alone: in a name, `+` and `#` are characters like any
// other, so that a name that a client chose never subscribes it to more than that name.

/// A pattern over topics: `+` stands for any one level, `#` at the end for any number of them, none included (MQTT 5.0 §4.7.1).
///
/// `sensors/+/temperature` takes `sensors/7/temperature`; `sensors/#` takes `sensors`, `sensors/7` and `sensors/7/temperature`.
public struct TopicPattern: Sendable, Hashable, CustomStringConvertible {
    /// The pattern's text.
    public let description: String

    /// Parses a pattern.
    ///
    /// - Throws: `TopicError` if a wildcard does not stand alone on its level, or `#` is not on the last one.
    public init(_ text: String) throws(TopicError) {
        guard !text.isEmpty else { throw TopicError("a topic pattern must not be empty") }
        let levels = Self.levels(text)
        for (index, level) in levels.enumerated() {
            guard level == "+" || level == "#" || !level.utf8.contains(where: { $0 == 0x2B || $0 == 0x23 }) else {
                throw TopicError("the topic pattern \(text) has a wildcard beside other text: + and # stand alone between slashes")
            }
            guard level != "#" || index == levels.count - 1 else {
                throw TopicError("the topic pattern \(text) has # before its end: it stands for all that follows")
            }
        }
        description = text
    }

    var levels: [Substring] { Self.levels(description) }

    static func levels(_ text: String) -> [Substring] { text.split(separator: "/", omittingEmptySubsequences: false) }

    /// Whether the pattern takes a topic; names that begin with U+0000 belong to the library, and no pattern takes them.
    public func matches(_ topic: String) -> Bool {
        guard !TopicFilter.isReserved(topic) else { return false }
        let names = Self.levels(topic)
        let levels = levels
        for (index, level) in levels.enumerated() {
            if level == "#" { return true }
            guard index < names.count else { return false }
            guard level == "+" || level == names[index] else { return false }
        }
        // `a/#` takes `a`, too; the loop has then come to `#` with no name left.
        return levels.count == names.count
    }
}

/// A topic or a pattern can not be subscribed to.
public struct TopicError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong with it.
    public let description: String

    /// Makes an error.
    public init(_ description: String) { self.description = description }
}

/// What somebody subscribes to: one topic, or all that a pattern takes.
public enum TopicFilter: Sendable, Hashable, CustomStringConvertible {
    /// The topic of this name.
    case topic(String)
    /// All topics that the pattern takes.
    case pattern(TopicPattern)

    /// Whether a topic is the library's own, such as a Socket.IO room, which whoever subscribes to patterns must not hear.
    @inline(__always)
    package static func isReserved(_ topic: String) -> Bool { topic.utf8.first == 0 }

    /// The name or the pattern's text.
    public var description: String {
        switch self {
        case .topic(let name): name
        case .pattern(let pattern): pattern.description
        }
    }

    /// Whether a topic is meant.
    public func matches(_ topic: String) -> Bool {
        switch self {
        case .topic(let name): name == topic
        case .pattern(let pattern): pattern.matches(topic)
        }
    }
}
