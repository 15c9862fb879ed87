// An object's members in their order, with the rules of JavaScript: a name that comes again keeps its first place and takes the last value
// (ECMA-262, "JSON.parse"). Names that look like array indices stay where they are, though JavaScript would list them first.
//
// Most objects have a few members, which are found fastest by looking at each; larger ones have an index, so that an object of a hundred
// thousand names, which a stranger may send, does not cost the square of that.

/// The members of an object in order, each name once.
///
/// Names are compared as Swift compares strings.
public struct SocketIOObject: Sendable, Hashable {
    private struct Member: Sendable, Hashable {
        let name: String
        var value: SocketIOValue
    }

    /// How many members are looked through without an index.
    static let indexThreshold = 16

    private var members: [Member] = []
    /// Where each name stands, once there are more than `indexThreshold`.
    private var places: [String: Int]?

    /// Makes an object without members.
    public init() {}

    /// Makes an object; of members with the same name the last one counts.
    public init(_ members: some Sequence<(key: String, value: SocketIOValue)>) {
        for (name, value) in members { self[name] = value }
    }

    /// The member of this name, or nil; setting nil removes it, and a new one goes to the end.
    public subscript(name: String) -> SocketIOValue? {
        get { place(of: name).map { members[$0].value } }
        set {
            guard let newValue else { return remove(name) }
            set(name, newValue)
        }
    }

    /// The names in order.
    public var keys: [String] { members.map(\.name) }
    /// The values in order.
    public var values: [SocketIOValue] { members.map(\.value) }

    private func place(of name: String) -> Int? {
        if let places { return places[name] }
        return members.firstIndex { $0.name == name }
    }

    mutating func set(_ name: String, _ value: SocketIOValue) {
        if let place = place(of: name) {
            members[place].value = value
            return
        }
        members.append(Member(name: name, value: value))
        if places != nil {
            places?[name] = members.count - 1
        } else if members.count > Self.indexThreshold {
            index()
        }
    }

    private mutating func remove(_ name: String) {
        guard let place = place(of: name) else { return }
        members.remove(at: place)
        // What follows has moved; removing is rare.
        if members.count > Self.indexThreshold { index() } else { places = nil }
    }

    private mutating func index() {
        places = Dictionary(uniqueKeysWithValues: members.enumerated().map { ($1.name, $0) })
    }

    /// Changes each value in place.
    mutating func forEachValue<Failure: Error>(_ body: (inout SocketIOValue) throws(Failure) -> Void) throws(Failure) {
        for index in members.indices { try body(&members[index].value) }
    }

    /// Whether the names and values are the same, in the same order.
    public static func == (left: Self, right: Self) -> Bool { left.members == right.members }
    /// Hashes the names and values.
    public func hash(into hasher: inout Hasher) { hasher.combine(members) }
}

extension SocketIOObject: RandomAccessCollection {
    /// The first member's position.
    public var startIndex: Int { 0 }
    /// The position behind the last member.
    public var endIndex: Int { members.count }

    /// The member at a position.
    public subscript(position: Int) -> (key: String, value: SocketIOValue) {
        let member = members[position]
        return (member.name, member.value)
    }
}

extension SocketIOObject: ExpressibleByDictionaryLiteral {
    /// Makes an object; of members with the same name the last one counts.
    public init(dictionaryLiteral members: (String, SocketIOValue)...) {
        self.init(members.lazy.map { (key: $0.0, value: $0.1) })
    }
}
