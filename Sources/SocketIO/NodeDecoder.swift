// `Decoder` and its three containers over a value.

/// Decodes one value.
struct NodeDecoder: Decoder {
    let value: SocketIOValue
    let path: CodingPath

    var codingPath: [any CodingKey] { path.keys }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .object(let members) = value else { throw ValueDecoder.mismatch([String: Any].self, "an object", value, path) }
        return KeyedDecodingContainer(KeyedValueContainer<Key>(members: members, path: path))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .array(let elements) = value else { throw ValueDecoder.mismatch([Any].self, "an array", value, path) }
        return UnkeyedValueContainer(elements: elements, path: path)
    }

    func singleValueContainer() -> any SingleValueDecodingContainer { SingleValueContainer(value: value, path: path) }
}

private struct SingleValueContainer: SingleValueDecodingContainer {
    let value: SocketIOValue
    let path: CodingPath

    var codingPath: [any CodingKey] { path.keys }

    func decodeNil() -> Bool { value.isNull }
    func decode(_ type: Bool.Type) throws -> Bool { try ValueDecoder.bool(value, path) }
    func decode(_ type: String.Type) throws -> String { try ValueDecoder.string(value, path) }
    func decode(_ type: Double.Type) throws -> Double { try ValueDecoder.floatingPoint(value, path) }
    func decode(_ type: Float.Type) throws -> Float { try ValueDecoder.floatingPoint(value, path) }
    func decode(_ type: Int.Type) throws -> Int { try ValueDecoder.integer(value, path) }
    func decode(_ type: Int8.Type) throws -> Int8 { try ValueDecoder.integer(value, path) }
    func decode(_ type: Int16.Type) throws -> Int16 { try ValueDecoder.integer(value, path) }
    func decode(_ type: Int32.Type) throws -> Int32 { try ValueDecoder.integer(value, path) }
    func decode(_ type: Int64.Type) throws -> Int64 { try ValueDecoder.integer(value, path) }
    func decode(_ type: UInt.Type) throws -> UInt { try ValueDecoder.integer(value, path) }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try ValueDecoder.integer(value, path) }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try ValueDecoder.integer(value, path) }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try ValueDecoder.integer(value, path) }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try ValueDecoder.integer(value, path) }
    func decode<T: Decodable>(_ type: T.Type) throws -> T { try ValueDecoder.decode(type, from: value, at: path) }
}

private struct UnkeyedValueContainer: UnkeyedDecodingContainer {
    let elements: [SocketIOValue]
    let path: CodingPath
    private(set) var currentIndex = 0

    init(elements: [SocketIOValue], path: CodingPath) {
        self.elements = elements
        self.path = path
    }

    var codingPath: [any CodingKey] { path.keys }
    var count: Int? { elements.count }
    var isAtEnd: Bool { currentIndex == elements.count }

    /// Gives the next element to the body; it counts as taken if the body does not throw.
    private mutating func next<T>(_ type: T.Type, _ body: (SocketIOValue, CodingPath) throws -> T) throws -> T {
        let path = path.appending(currentIndex)
        guard currentIndex < elements.count else {
            let reason = "expected \(T.self), but the array has \(elements.count) elements"
            throw DecodingError.valueNotFound(type, .init(codingPath: path.keys, debugDescription: reason))
        }
        let result = try body(elements[currentIndex], path)
        currentIndex += 1
        return result
    }

    mutating func decodeNil() throws -> Bool {
        guard !isAtEnd else { return try next(Never?.self) { _, _ in nil } == nil }
        guard elements[currentIndex].isNull else { return false }
        currentIndex += 1
        return true
    }

    mutating func decode(_ type: Bool.Type) throws -> Bool { try next(type, ValueDecoder.bool) }
    mutating func decode(_ type: String.Type) throws -> String { try next(type, ValueDecoder.string) }
    mutating func decode(_ type: Double.Type) throws -> Double { try next(type, ValueDecoder.floatingPoint) }
    mutating func decode(_ type: Float.Type) throws -> Float { try next(type, ValueDecoder.floatingPoint) }
    mutating func decode(_ type: Int.Type) throws -> Int { try next(type, ValueDecoder.integer) }
    mutating func decode(_ type: Int8.Type) throws -> Int8 { try next(type, ValueDecoder.integer) }
    mutating func decode(_ type: Int16.Type) throws -> Int16 { try next(type, ValueDecoder.integer) }
    mutating func decode(_ type: Int32.Type) throws -> Int32 { try next(type, ValueDecoder.integer) }
    mutating func decode(_ type: Int64.Type) throws -> Int64 { try next(type, ValueDecoder.integer) }
    mutating func decode(_ type: UInt.Type) throws -> UInt { try next(type, ValueDecoder.integer) }
    mutating func decode(_ type: UInt8.Type) throws -> UInt8 { try next(type, ValueDecoder.integer) }
    mutating func decode(_ type: UInt16.Type) throws -> UInt16 { try next(type, ValueDecoder.integer) }
    mutating func decode(_ type: UInt32.Type) throws -> UInt32 { try next(type, ValueDecoder.integer) }
    mutating func decode(_ type: UInt64.Type) throws -> UInt64 { try next(type, ValueDecoder.integer) }
    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
        try next(type) { try ValueDecoder.decode(type, from: $0, at: $1) }
    }

    mutating func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type
    ) throws -> KeyedDecodingContainer<NestedKey> {
        try next(KeyedDecodingContainer<NestedKey>.self) { try NodeDecoder(value: $0, path: $1).container(keyedBy: type) }
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try next((any UnkeyedDecodingContainer).self) { try NodeDecoder(value: $0, path: $1).unkeyedContainer() }
    }

    mutating func superDecoder() throws -> any Decoder {
        try next((any Decoder).self) { NodeDecoder(value: $0, path: $1) }
    }
}

private struct KeyedValueContainer<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let members: SocketIOObject
    let path: CodingPath

    var codingPath: [any CodingKey] { path.keys }
    var allKeys: [Key] { members.keys.compactMap { Key(stringValue: $0) } }
    func contains(_ key: Key) -> Bool { members[key.stringValue] != nil }

    private func value<T>(_ key: Key, _ body: (SocketIOValue, CodingPath) throws -> T) throws -> T {
        guard let value = members[key.stringValue] else {
            throw DecodingError.keyNotFound(key, .init(codingPath: path.keys, debugDescription: "expected \(T.self), found nothing"))
        }
        return try body(value, path.appending(key))
    }

    func decodeNil(forKey key: Key) throws -> Bool { try value(key) { value, _ in value.isNull } }
    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try value(key, ValueDecoder.bool) }
    func decode(_ type: String.Type, forKey key: Key) throws -> String { try value(key, ValueDecoder.string) }
    func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try value(key, ValueDecoder.floatingPoint) }
    func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try value(key, ValueDecoder.floatingPoint) }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try value(key, ValueDecoder.integer) }
    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try value(key, ValueDecoder.integer) }
    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try value(key, ValueDecoder.integer) }
    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try value(key, ValueDecoder.integer) }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try value(key, ValueDecoder.integer) }
    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try value(key, ValueDecoder.integer) }
    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try value(key, ValueDecoder.integer) }
    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try value(key, ValueDecoder.integer) }
    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try value(key, ValueDecoder.integer) }
    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try value(key, ValueDecoder.integer) }
    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
        try value(key) { try ValueDecoder.decode(type, from: $0, at: $1) }
    }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<NestedKey> {
        try value(key) { try NodeDecoder(value: $0, path: $1).container(keyedBy: type) }
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try value(key) { try NodeDecoder(value: $0, path: $1).unkeyedContainer() }
    }

    /// What the superclass has encoded; null where it has encoded nothing.
    func superDecoder() throws -> any Decoder {
        NodeDecoder(value: members[ValueKey.super.stringValue] ?? .null, path: path.appending(ValueKey.super))
    }

    func superDecoder(forKey key: Key) throws -> any Decoder {
        NodeDecoder(value: members[key.stringValue] ?? .null, path: path.appending(key))
    }
}
