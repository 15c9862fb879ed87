// What `duplex serve` does with what it gets: an echo, a room for everyone, and topics.

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
struct TopicsHandler: WebSocketHandler {
    let topics: [String]
    let patterns: [TopicPattern]
    let target: String?

    /// - Throws: `TopicError` for what is no pattern.
    init(_ request: ServerRequest) throws(TopicError) {
        topics = Self.names(request.query("topics"))
        target = request.query("publish")
        var patterns: [TopicPattern] = []
        for name in Self.names(request.query("patterns")) { patterns.append(try TopicPattern(name)) }
        self.patterns = patterns
    }

    private static func names(_ list: String?) -> [String] { list?.split(separator: ",").map { String($0) } ?? [] }

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
