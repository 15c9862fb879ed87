// `Encoder` and its three containers over an `EncodingNode`.

/// Encodes one value.
struct NodeEncoder: Encoder {
    let node: EncodingNode
    let path: CodingPath

    var codingPath: [any CodingKey] { path.keys }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        node.becomeObject()
        return KeyedEncodingContainer(KeyedNodeContainer<Key>(node: node, path: path))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        node.becomeArray()
        return UnkeyedNodeContainer(node: node, path: path)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { SingleNodeContainer(node: node, path: path) }
}

private struct SingleNodeContainer: SingleValueEncodingContainer {
    let node: EncodingNode
    let path: CodingPath

    var codingPath: [any CodingKey] { path.keys }

    func encodeNil() { node.set(.null) }
    func encode(_ value: Bool) { node.set(.bool(value)) }
    func encode(_ value: String) { node.set(.string(value)) }
    func encode(_ value: Double) { node.set(.double(value)) }
    func encode(_ value: Float) { node.set(ValueEncoder.number(value)) }
    func encode(_ value: Int) { node.set(.int(value)) }
    func encode(_ value: Int8) { node.set(.int(Int(value))) }
    func encode(_ value: Int16) { node.set(.int(Int(value))) }
    func encode(_ value: Int32) { node.set(.int(Int(value))) }
    func encode(_ value: Int64) throws { node.set(try ValueEncoder.encode(integer: value, at: path)) }
    func encode(_ value: UInt) throws { node.set(try ValueEncoder.encode(integer: value, at: path)) }
    func encode(_ value: UInt8) { node.set(.int(Int(value))) }
    func encode(_ value: UInt16) { node.set(.int(Int(value))) }
    func encode(_ value: UInt32) throws { node.set(try ValueEncoder.encode(integer: value, at: path)) }
    func encode(_ value: UInt64) throws { node.set(try ValueEncoder.encode(integer: value, at: path)) }
    func encode<T: Encodable>(_ value: T) throws { node.set(try ValueEncoder.encode(value, at: path)) }
}

private struct UnkeyedNodeContainer: UnkeyedEncodingContainer {
    let node: EncodingNode
    let path: CodingPath

    var codingPath: [any CodingKey] { path.keys }
    var count: Int { node.count }
    private var next: CodingPath { path.appending(node.count) }

    func encodeNil() { node.append(.null) }
    func encode(_ value: Bool) { node.append(.bool(value)) }
    func encode(_ value: String) { node.append(.string(value)) }
    func encode(_ value: Double) { node.append(.double(value)) }
    func encode(_ value: Float) { node.append(ValueEncoder.number(value)) }
    func encode(_ value: Int) { node.append(.int(value)) }
    func encode(_ value: Int8) { node.append(.int(Int(value))) }
    func encode(_ value: Int16) { node.append(.int(Int(value))) }
    func encode(_ value: Int32) { node.append(.int(Int(value))) }
    func encode(_ value: Int64) throws { node.append(try ValueEncoder.encode(integer: value, at: next)) }
    func encode(_ value: UInt) throws { node.append(try ValueEncoder.encode(integer: value, at: next)) }
    func encode(_ value: UInt8) { node.append(.int(Int(value))) }
    func encode(_ value: UInt16) { node.append(.int(Int(value))) }
    func encode(_ value: UInt32) throws { node.append(try ValueEncoder.encode(integer: value, at: next)) }
    func encode(_ value: UInt64) throws { node.append(try ValueEncoder.encode(integer: value, at: next)) }
    func encode<T: Encodable>(_ value: T) throws { node.append(try ValueEncoder.encode(value, at: next)) }

    func nestedContainer<NestedKey: CodingKey>(keyedBy keyType: NestedKey.Type) -> KeyedEncodingContainer<NestedKey> {
        nestedEncoder().container(keyedBy: keyType)
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { nestedEncoder().unkeyedContainer() }
    func superEncoder() -> any Encoder { nestedEncoder() }

    private func nestedEncoder() -> NodeEncoder {
        let path = next
        return NodeEncoder(node: node.appendNode(), path: path)
    }
}

private struct KeyedNodeContainer<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let node: EncodingNode
    let path: CodingPath

    var codingPath: [any CodingKey] { path.keys }

    private func set(_ key: Key, _ value: SocketIOValue) { node.set(key.stringValue, value) }

    func encodeNil(forKey key: Key) { set(key, .null) }
    func encode(_ value: Bool, forKey key: Key) { set(key, .bool(value)) }
    func encode(_ value: String, forKey key: Key) { set(key, .string(value)) }
    func encode(_ value: Double, forKey key: Key) { set(key, .double(value)) }
    func encode(_ value: Float, forKey key: Key) { set(key, ValueEncoder.number(value)) }
    func encode(_ value: Int, forKey key: Key) { set(key, .int(value)) }
    func encode(_ value: Int8, forKey key: Key) { set(key, .int(Int(value))) }
    func encode(_ value: Int16, forKey key: Key) { set(key, .int(Int(value))) }
    func encode(_ value: Int32, forKey key: Key) { set(key, .int(Int(value))) }
    func encode(_ value: Int64, forKey key: Key) throws { set(key, try ValueEncoder.encode(integer: value, at: path.appending(key))) }
    func encode(_ value: UInt, forKey key: Key) throws { set(key, try ValueEncoder.encode(integer: value, at: path.appending(key))) }
    func encode(_ value: UInt8, forKey key: Key) { set(key, .int(Int(value))) }
    func encode(_ value: UInt16, forKey key: Key) { set(key, .int(Int(value))) }
    func encode(_ value: UInt32, forKey key: Key) throws { set(key, try ValueEncoder.encode(integer: value, at: path.appending(key))) }
    func encode(_ value: UInt64, forKey key: Key) throws { set(key, try ValueEncoder.encode(integer: value, at: path.appending(key))) }
    func encode<T: Encodable>(_ value: T, forKey key: Key) throws { set(key, try ValueEncoder.encode(value, at: path.appending(key))) }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy keyType: NestedKey.Type, forKey key: Key
    ) -> KeyedEncodingContainer<NestedKey> {
        nestedEncoder(key).container(keyedBy: keyType)
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { nestedEncoder(key).unkeyedContainer() }
    func superEncoder() -> any Encoder { nestedEncoder(ValueKey.super) }
    func superEncoder(forKey key: Key) -> any Encoder { nestedEncoder(key) }

    private func nestedEncoder(_ key: some CodingKey) -> NodeEncoder {
        NodeEncoder(node: node.setNode(key.stringValue), path: path.appending(key))
    }
}
