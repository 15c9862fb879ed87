// A value that `Codable` is about to make: containers may be asked for and filled in any order, also after those around them.

/// A place for one value, which an encoder or its containers fill.
final class EncodingNode {
    private enum Content {
        case empty
        case value(SocketIOValue)
        case array([Content])
        case object([(name: String, content: Content)])
        case node(EncodingNode)

        var value: SocketIOValue {
            switch self {
            // A type that encodes nothing is an object without members.
            case .empty: .object(SocketIOObject())
            case .value(let value): value
            case .array(let elements): .array(elements.map(\.value))
            case .object(let members): .object(SocketIOObject(members.lazy.map { (key: $0.name, value: $0.content.value) }))
            case .node(let node): node.value
            }
        }
    }

    private var content = Content.empty

    /// What was encoded.
    var value: SocketIOValue { content.value }

    /// How many elements there are, of an array.
    var count: Int {
        if case .array(let elements) = content { elements.count } else { 0 }
    }

    func set(_ value: SocketIOValue) { content = .value(value) }

    /// Becomes an object, if it is none.
    func becomeObject() {
        if case .object = content { return }
        content = .object([])
    }

    /// Becomes an array, if it is none.
    func becomeArray() {
        if case .array = content { return }
        content = .array([])
    }

    func append(_ value: SocketIOValue) { append(.value(value)) }
    func set(_ name: String, _ value: SocketIOValue) { set(name, .value(value)) }

    func appendNode() -> EncodingNode {
        let node = EncodingNode()
        append(.node(node))
        return node
    }

    func setNode(_ name: String) -> EncodingNode {
        let node = EncodingNode()
        set(name, .node(node))
        return node
    }

    private func append(_ element: Content) {
        guard case .array(var elements) = content else { return }
        // What is changed must have one owner, or it is copied.
        content = .empty
        elements.append(element)
        content = .array(elements)
    }

    private func set(_ name: String, _ member: Content) {
        guard case .object(var members) = content else { return }
        content = .empty
        members.append((name, member))
        content = .object(members)
    }
}
