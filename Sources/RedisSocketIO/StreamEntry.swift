// The entries of the stream, as @socket.io/redis-streams-adapter 0.3 writes them: the fields uid, nsp, type (a number in digits) and data (JSON, or
// MessagePack in Base64 where there are bytes in it; missing where there is nothing to say).

import EngineIO
import NIOCore
import RedisPubSub
import SocketIO

/// An entry of the stream.
struct StreamEntry: Sendable, Hashable {
    let id: StreamID
    /// Names and values in turn, as they came.
    let fields: [ByteBuffer]

    /// Reads the entries of an answer to XRANGE or XREVRANGE.
    ///
    /// - Throws: `RedisError` if it is none.
    static func entries(_ value: RESPValue) throws(RedisError) -> [StreamEntry] {
        guard let values = value.values else { throw .unexpected("no entries of a stream") }
        var entries: [StreamEntry] = []
        for value in values {
            guard let parts = value.values, parts.count == 2, let id = parts[0].text.flatMap({ StreamID($0) }) else {
                throw .unexpected("an entry of a stream that is none")
            }
            // An entry that was deleted while it was read has no fields.
            let fields = (parts[1].values ?? []).compactMap { if case .bulk(let bytes) = $0 { bytes } else { nil } }
            entries.append(StreamEntry(id: id, fields: fields))
        }
        return entries
    }

    /// Reads the entries of an answer to XREAD of one stream.
    ///
    /// - Throws: `RedisError` if it is none.
    static func entries(read value: RESPValue) throws(RedisError) -> [StreamEntry] {
        switch value {
        case .null: return []
        // RESP3: the stream's name and its entries.
        case .map(let pair) where pair.count == 2: return try entries(pair[1])
        case .array(let streams):
            guard streams.count == 1, let pair = streams[0].values, pair.count == 2 else { throw .unexpected("no answer to XREAD") }
            return try entries(pair[1])
        default: throw .unexpected("no answer to XREAD")
        }
    }

    private func text(_ name: String) -> String? {
        for index in stride(from: 0, to: fields.count - 1, by: 2) where fields[index].readableBytesView.elementsEqual(name.utf8) {
            return String(validating: fields[index + 1].readableBytesView, as: UTF8.self)
        }
        return nil
    }

    /// Who has written it.
    var node: String? { text("uid") }
    var namespace: String? { text("nsp") }

    /// Whether it is a broadcast, as far as one sees without reading it.
    var isBroadcast: Bool { text("type") == "3" }

    /// Reads what it says: strictly, as whoever can write to Redis can write anything.
    ///
    /// - Throws: `SocketIOParseError` that says what is missing or of another kind.
    func message() throws(SocketIOParseError) -> SocketIOClusterMessage {
        guard let node, let namespace else { throw SocketIOClusterMembers.error("an entry without uid or nsp") }
        guard let type = text("type").flatMap({ Int($0) }) else { throw SocketIOClusterMembers.error("type of an entry is no number") }
        var value: SocketIOObject = ["type": .int(type), "uid": .string(node), "nsp": .string(namespace)]
        if let data = text("data") { value["data"] = try Self.data(data) }
        return try SocketIOClusterMessage(.object(value))
    }

    private static func data(_ text: String) throws(SocketIOParseError) -> SocketIOValue {
        if text.utf8.first == UInt8(ascii: "{") { return try SocketIOValue(jsonBytes: ByteBuffer(string: text)) }
        return try SocketIOValue(base64: ByteBuffer(string: text), of: "data")
    }
}

extension SocketIOClusterMessage {
    /// The fields of the entry that says it.
    var fields: [ByteBuffer] {
        let value = value
        var texts = ["uid", node, "nsp", namespace, "type", "\(value["type"]?.int ?? 0)"].map { ByteBuffer(string: $0) }
        guard let data = value["data"] else { return texts }
        texts.append(ByteBuffer(string: "data"))
        texts.append(data.jsonBytes ?? data.base64)
        return texts
    }
}

extension SocketIOValue {
    /// MessagePack in Base64.
    var base64: ByteBuffer {
        var text = ByteBuffer()
        Base64.encode(messagePack, into: &text)
        return text
    }

    /// Reads MessagePack in Base64.
    init(base64 text: ByteBuffer, of place: String) throws(SocketIOParseError) {
        guard let bytes = Base64.decode(text) else { throw SocketIOClusterMembers.error("\(place) is no Base64") }
        self = try SocketIOValue(messagePack: bytes)
    }
}
