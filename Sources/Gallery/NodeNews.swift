// What nodes tell each other. Whoever may write to Redis can say anything there: what is no news of a node is not taken.

import PubSub
import WebSocketCore
import WebSockets

/// What a node says of itself.
struct NodeFigures: Codable, Equatable {
    /// Made up when the server started.
    var id: String
    /// Where it listens.
    var name: String
    var connections: Int
    /// How many tabs are on the page, and the names of the first of them.
    var tabs: Int, names: [String]
}

/// What somebody said, and on which node.
struct NodeLine: Codable, Equatable {
    /// The node's id and name.
    var node: String, place: String
    /// The tab's id and name.
    var user: String, name: String
    var text: String
}

enum NodeNews: Codable, Equatable {
    case here(node: NodeFigures)
    case said(line: NodeLine)
    /// The node is about to end.
    case gone(id: String)

    static let topic = "nodes"
    /// The longest line, with all its characters escaped, has half as many.
    static let maxBytes = 8192
    static let maxNames = 12
    static let maxConnections = 10_000_000

    var publication: Publication { Publication(topic: Self.topic, payload: Message.json(self).payload, isText: true) }

    /// Reads what came from another node.
    ///
    /// - Throws: `Refusal` for what is too large or no news, and where something in it is longer or more than a node says.
    init(_ publication: Publication) throws(Refusal) {
        let message = Message(kind: publication.isText ? .text : .binary, payload: publication.payload)
        self = try message.decoded(as: Self.self, atMost: Self.maxBytes)
        switch self {
        case .here(let node):
            try Self.check(node.id)
            _ = try node.name.checked("A node's name", 1...64)
            guard (0...Self.maxConnections).contains(node.connections), (0...Self.maxConnections).contains(node.tabs) else {
                throw Refusal("No node has so many connections.")
            }
            guard node.names.count <= min(Self.maxNames, node.tabs) else { throw Refusal("No node names so many tabs.") }
            for name in node.names { _ = try name.checked("A name", 1...32) }
        case .said(let line):
            try Self.check(line.node)
            _ = try line.place.checked("A node's name", 1...64)
            guard line.user.unicodeScalars.count <= 64 else { throw Refusal("No tab's id is so long.") }
            _ = try line.name.checked("A name", 1...32)
            _ = try line.text.checked("A line", 1...500)
        case .gone(let id): try Self.check(id)
        }
    }

    private static func check(_ id: String) throws(Refusal) {
        guard id.utf8.count == 8, id.utf8.allSatisfy({ (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) }) else {
            throw Refusal("A node's id has 8 letters and digits.")
        }
    }

    /// An id for a node.
    static func makeID() -> String { String((0..<8).map { _ in "abcdefghijklmnopqrstuvwxyz0123456789".randomElement() ?? "a" }) }
}
