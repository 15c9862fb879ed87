// A publication as it crosses Redis: what the channel's name does not say, then the message's own bytes.
//
//   0        1        2                  10                 18              20
//   version  flags    the node, 8 bytes  number, 8 bytes    key's length    key, UTF-8    payload, the rest
//   1        1 text
//            2 key    the length and the key stand there only if there is one
//
// A node numbers what it publishes, so that who gets several copies of a message takes one of them.

import NIOCore
import PubSub

/// A publication, and the node that it comes from.
struct TopicEnvelope: Sendable, Hashable {
    static let version: UInt8 = 1
    /// Where a key is longer, it is not sent: the topic as a whole is replaced then, where only the latest is kept.
    static let maxKeyLength = Int(UInt16.max)
    private static let isText: UInt8 = 1
    private static let hasKey: UInt8 = 2

    let node: UInt64
    /// Grows with each publication of the node.
    let number: UInt64
    let publication: Publication

    init(node: UInt64, number: UInt64, _ publication: Publication) {
        self.node = node
        self.number = number
        self.publication = publication
    }

    /// The bytes.
    var encoded: ByteBuffer {
        let key = publication.key.flatMap { $0.utf8.count <= Self.maxKeyLength ? $0 : nil }
        var bytes = ByteBuffer()
        bytes.reserveCapacity(20 + (key?.utf8.count ?? 0) + publication.payload.readableBytes)
        bytes.writeInteger(Self.version)
        bytes.writeInteger((publication.isText ? Self.isText : 0) | (key == nil ? 0 : Self.hasKey))
        bytes.writeInteger(node)
        bytes.writeInteger(number)
        if let key {
            bytes.writeInteger(UInt16(key.utf8.count))
            bytes.writeString(key)
        }
        bytes.writeImmutableBuffer(publication.payload)
        return bytes
    }

    /// Reads the bytes of another node.
    ///
    /// - Throws: `TopicEnvelopeError` for what no node sends; text that is not UTF-8 would close the connections that it is sent to.
    init(_ bytes: ByteBuffer, topic: String) throws(TopicEnvelopeError) {
        var rest = bytes
        guard let version = rest.readInteger(as: UInt8.self), let flags = rest.readInteger(as: UInt8.self),
            let node = rest.readInteger(as: UInt64.self), let number = rest.readInteger(as: UInt64.self)
        else { throw TopicEnvelopeError("it ends early") }
        guard version == Self.version else { throw TopicEnvelopeError("its version is \(version), not \(Self.version)") }
        guard flags & ~(Self.isText | Self.hasKey) == 0 else { throw TopicEnvelopeError("it has unknown flags") }
        let key = flags & Self.hasKey == 0 ? nil : try Self.key(&rest)
        let isText = flags & Self.isText != 0
        if isText, !Self.isUTF8(rest) { throw TopicEnvelopeError("its text is not UTF-8") }
        // A copy: small messages would hold the large buffer that they were read into.
        let payload = rest.readableBytes < 16_384 ? ByteBuffer(bytes: rest.readableBytesView) : rest
        self.init(node: node, number: number, Publication(topic: topic, payload: payload, isText: isText, key: key))
    }

    private static func key(_ rest: inout ByteBuffer) throws(TopicEnvelopeError) -> String {
        guard let length = rest.readInteger(as: UInt16.self), let bytes = rest.readSlice(length: Int(length)),
            let key = String(validating: bytes.readableBytesView, as: UTF8.self)
        else { throw TopicEnvelopeError("its key is none") }
        return key
    }

    private static func isUTF8(_ bytes: ByteBuffer) -> Bool {
        bytes.withUnsafeReadableBytes { bytes in String(validating: bytes, as: UTF8.self) != nil }
    }
}

/// Bytes on a topic's channel that no node has sent.
struct TopicEnvelopeError: Error, Sendable, Hashable, CustomStringConvertible {
    let description: String

    init(_ what: String) { description = "a message of the cluster can not be one: \(what)" }
}
