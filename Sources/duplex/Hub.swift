// What `duplex serve` does with what it gets: an echo, a room for everyone, and topics.

import HTTPTypes
import NIOConcurrencyHelpers
import PubSub
import WebSocketCore
import WebSockets

/// Sends back what it gets.
struct EchoHandler: WebSocketHandler {
    func received(_ message: Message, from socket: WebSocket) { socket.trySend(message) }
}

/// Says to everyone what one of them says.
struct BroadcastHandler: WebSocketHandler {
    private static let topic = "broadcast"
    let people: People

    func opened(_ socket: WebSocket) {
        try? socket.subscribe(Self.topic)
        people.change(by: 1, socket)
    }

    func received(_ message: Message, from socket: WebSocket) { socket.publish(message, to: Self.topic, includingSelf: true) }

    func closed(_ socket: WebSocket, _ closure: Closure) { people.change(by: -1, socket) }
}

/// How many are on /broadcast, and those who want to know.
final class People: Sendable {
    static let topic = "people"
    private let count = NIOLockedValueBox(0)

    func change(by difference: Int, _ socket: WebSocket) {
        // Published under the lock: of two numbers, everyone gets the later one last.
        count.withLockedValue { count in
            count += difference
            socket.publish(.text(String(count)), to: Self.topic)
        }
    }

    func watch(_ socket: WebSocket) {
        count.withLockedValue { count in
            try? socket.subscribe(Self.topic, whenSlow: .latest)
            socket.trySend(.text(String(count)))
        }
    }
}

/// Is told how many there are.
struct PeopleHandler: WebSocketHandler {
    let people: People
    func opened(_ socket: WebSocket) { people.watch(socket) }
    func received(_ message: Message, from socket: WebSocket) {}
}

/// Subscribes to what the URL's query names, and publishes what it gets: `?topics=a,b/c&patterns=d/%23&publish=a`.
///
/// What the query says and this does not understand is refused: a client that is let in and hears nothing would not know why.
struct TopicsHandler: WebSocketHandler {
    let topics: [String]
    let patterns: [TopicPattern]
    let target: String?

    /// - Throws: `TopicError` for a query that names nothing, or something other than topics and patterns.
    init(_ request: ServerRequest) throws(TopicError) {
        var topics: [String] = []
        var patterns: [TopicPattern] = []
        var target: String?
        for (name, value) in try Self.parameters(request.head.path ?? "") {
            switch name {
            case "topics": topics += try Self.names(value, in: name)
            case "patterns":
                for text in try Self.names(value, in: name) { patterns.append(try TopicPattern(text)) }
            case "publish":
                guard target == nil else { throw TopicError("publish is there twice: what is received is published to one topic") }
                guard let topic = Self.decoded(value), !topic.isEmpty else { throw Self.undecodable(value, in: name) }
                target = topic
            default: throw TopicError("there is no parameter \(name): there are topics, patterns and publish")
            }
        }
        guard target != nil || !topics.isEmpty || !patterns.isEmpty else {
            throw TopicError("say what to subscribe to or where to publish, such as ?topics=a,b&patterns=c/%23&publish=a")
        }
        (self.topics, self.patterns, self.target) = (topics, patterns, target)
    }

    /// The query's names, decoded, and their values, as they are.
    private static func parameters(_ path: String) throws(TopicError) -> [(name: String, value: Substring)] {
        var parameters: [(name: String, value: Substring)] = []
        for part in path.drop(while: { $0 != "?" }).dropFirst().split(separator: "&") {
            let name = part.prefix { $0 != "=" }
            guard let decoded = decoded(name) else { throw undecodable(name, in: "a parameter's name") }
            parameters.append((decoded, part.dropFirst(name.count + 1)))
        }
        return parameters
    }

    /// A list's names; a comma within a name is written as `%2C`.
    private static func names(_ list: Substring, in parameter: String) throws(TopicError) -> [String] {
        var names: [String] = []
        for name in list.split(separator: ",", omittingEmptySubsequences: false) {
            // A form's plus is a space, which nobody means who writes a pattern.
            guard parameter != "patterns" || !name.split(separator: "/").contains("+") else {
                throw TopicError("the + of the pattern \(name) stands for a space here: write the wildcard as %2B")
            }
            guard let decoded = decoded(name), !decoded.isEmpty else { throw undecodable(name, in: parameter) }
            names.append(decoded)
        }
        return names
    }

    private static func decoded(_ text: Substring) -> String? { Route.percentDecoded(Substring(text.map { $0 == "+" ? " " : $0 })) }

    private static func undecodable(_ text: Substring, in parameter: String) -> TopicError {
        guard !text.isEmpty else { return TopicError("a name in \(parameter) is empty") }
        return TopicError(
            "\(text) in \(parameter) is no name: each % needs two hexadecimal digits, and they stand for UTF-8 without control characters")
    }

    func opened(_ socket: WebSocket) {
        do {
            for topic in topics { try socket.subscribe(topic) }
            for pattern in patterns { try socket.subscribe(matching: pattern) }
        } catch {
            try? socket.close(code: .policyViolation, reason: String(String(describing: error).prefix(100)))
        }
    }

    func received(_ message: Message, from socket: WebSocket) {
        if let target { socket.publish(message, to: target, includingSelf: true) }
    }
}
