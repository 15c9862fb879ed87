// What the nodes of a cluster say to each other about themselves: who is on their topics, and how many listen. It travels as publications do, on topics
// that no program can use: one for all nodes, and one of each node.
//
//   0        1     2                10
//   version  kind  the sender, 8    the rest; a text is its length in 4 bytes, and UTF-8
//   1        1     alive            the number of the sender's last change, 8
//            2     came             its number, 8; topic, id, info
//            3     went             its number, 8; topic, id
//            4     wants the state
//            5     the state        the last change that is in it, 8; which part it is, 4; 1 if the last, else 0; how many, 4; topic, id, info of each
//            6     how many listen  the question's number, 8; topic
//            7     so many listen   the question's number, 8; how many, 8
//            8     gone

package import NIOCore

/// A message between nodes.
package struct ClusterMessage: Hashable, Sendable {
    /// What is said.
    package enum Content: Hashable, Sendable {
        case alive(number: UInt64)
        case changed(PresenceChange, number: UInt64)
        case wantsState
        case state([PresenceEntry], number: UInt64, part: UInt32, isLast: Bool)
        case count(topic: String, question: UInt64)
        case counted(UInt64, question: UInt64)
        case gone
    }

    private static let version: UInt8 = 1
    /// What all nodes hear.
    package static let topic = "\0duplex"
    private static let ownPrefix = "\0duplex/"

    /// Who says it.
    package let node: UInt64
    /// What is said.
    package let content: Content

    package init(node: UInt64, _ content: Content) {
        self.node = node
        self.content = content
    }

    /// What one node hears.
    package static func topic(of node: UInt64) -> String { ownPrefix + String(node, radix: 16) }

    /// Whether a topic is the nodes' own.
    package static func isReserved(_ topic: String) -> Bool {
        guard topic.utf8.first == 0 else { return false }
        return topic.utf8.elementsEqual(Self.topic.utf8) || topic.utf8.starts(with: ownPrefix.utf8)
    }

    static func isReserved(_ filter: TopicFilter) -> Bool { if case .topic(let name) = filter { isReserved(name) } else { false } }

    // MARK: Writing

    /// The bytes.
    package var encoded: ByteBuffer {
        var bytes = ByteBuffer()
        bytes.writeMultipleIntegers(Self.version, content.kind, node)
        switch content {
        case .alive(let number): bytes.writeInteger(number)
        case .changed(.came(let entry), let number):
            bytes.writeInteger(number)
            bytes.write(entry)
        case .changed(.went(let topic, let id), let number):
            bytes.writeInteger(number)
            bytes.writeText(topic)
            bytes.writeText(id)
        case .state(let entries, let number, let part, let isLast):
            bytes.writeMultipleIntegers(number, part, UInt8(isLast ? 1 : 0), UInt32(entries.count))
            for entry in entries { bytes.write(entry) }
        case .count(let topic, let question):
            bytes.writeInteger(question)
            bytes.writeText(topic)
        case .counted(let count, let question): bytes.writeMultipleIntegers(question, count)
        case .wantsState, .gone: break
        }
        return bytes
    }

    // MARK: Reading

    /// Reads what another node has said; nil for what none says.
    package init?(_ bytes: ByteBuffer) {
        var rest = bytes
        guard let (version, kind, node) = rest.readMultipleIntegers(as: (UInt8, UInt8, UInt64).self), version == Self.version,
            let content = Content(kind, &rest), rest.readableBytes == 0
        else { return nil }
        self.init(node: node, content)
    }
}

extension ClusterMessage.Content {
    fileprivate var kind: UInt8 {
        switch self {
        case .alive: 1
        case .changed(.came, _): 2
        case .changed(.went, _): 3
        case .wantsState: 4
        case .state: 5
        case .count: 6
        case .counted: 7
        case .gone: 8
        }
    }

    fileprivate init?(_ kind: UInt8, _ rest: inout ByteBuffer) {
        switch kind {
        case 4: self = .wantsState
        case 8: self = .gone
        default:
            guard let number = rest.readInteger(as: UInt64.self) else { return nil }
            self.init(kind, number, &rest)
        }
    }

    private init?(_ kind: UInt8, _ number: UInt64, _ rest: inout ByteBuffer) {
        switch kind {
        case 1: self = .alive(number: number)
        case 2:
            guard let entry = rest.readEntry() else { return nil }
            self = .changed(.came(entry), number: number)
        case 3:
            guard let topic = rest.readText(), let id = rest.readText() else { return nil }
            self = .changed(.went(topic: topic, id: id), number: number)
        case 5:
            guard let state = Self.state(number, &rest) else { return nil }
            self = state
        case 6:
            guard let topic = rest.readText() else { return nil }
            self = .count(topic: topic, question: number)
        case 7:
            guard let count = rest.readInteger(as: UInt64.self), count <= UInt64(UInt32.max) else { return nil }
            self = .counted(count, question: number)
        default: return nil
        }
    }

    private static func state(_ number: UInt64, _ rest: inout ByteBuffer) -> Self? {
        guard let (part, isLast, count) = rest.readMultipleIntegers(as: (UInt32, UInt8, UInt32).self), isLast <= 1 else { return nil }
        var entries: [PresenceEntry] = []
        // The number may be anything: only what is there takes memory.
        for _ in 0..<count {
            guard let entry = rest.readEntry() else { return nil }
            entries.append(entry)
        }
        return .state(entries, number: number, part: part, isLast: isLast == 1)
    }
}

extension ByteBuffer {
    fileprivate mutating func writeText(_ text: String) {
        writeInteger(UInt32(text.utf8.count))
        writeString(text)
    }

    fileprivate mutating func write(_ entry: PresenceEntry) {
        for text in [entry.topic, entry.member.id, entry.member.info] { writeText(text) }
    }

    fileprivate mutating func readText() -> String? {
        guard let length = readInteger(as: UInt32.self), let bytes = readSlice(length: Int(length)) else { return nil }
        return String(validating: bytes.readableBytesView, as: UTF8.self)
    }

    fileprivate mutating func readEntry() -> PresenceEntry? {
        guard let topic = readText(), let id = readText(), let info = readText() else { return nil }
        return PresenceEntry(topic: topic, member: PresenceMember(id: id, info: info))
    }
}
