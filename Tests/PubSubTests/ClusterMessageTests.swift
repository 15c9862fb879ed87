import NIOCore
import TestSupport
import Testing

@testable import PubSub

@Suite struct ClusterMessageTests {
    private static let entry = PresenceEntry(topic: "t", member: PresenceMember(id: "ä", info: ""))
    private static let head: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]
    private static let number: [UInt8] = [0, 0, 0, 0, 0, 0, 1, 0]
    private static let entryBytes: [UInt8] = [0, 0, 0, 1, 0x74, 0, 0, 0, 2, 0xC3, 0xA4, 0, 0, 0, 0]

    private static let messages: [(ClusterMessage.Content, [UInt8])] = [
        (.alive(number: 256), [1, 1] + head + number),
        (.changed(.came(entry), number: 256), [1, 2] + head + number + entryBytes),
        (.changed(.went(topic: "t", id: "ä"), number: 256), [1, 3] + head + number + entryBytes.prefix(11)),
        (.wantsState, [1, 4] + head),
        (
            .state([entry, entry], number: 256, part: 2, isLast: true),
            [1, 5] + head + number + [0, 0, 0, 2, 1, 0, 0, 0, 2] + entryBytes + entryBytes
        ),
        (.state([], number: 256, part: 0, isLast: false), [1, 5] + head + number + [0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (.count(topic: "t", question: 256), [1, 6] + head + number + [0, 0, 0, 1, 0x74]),
        (.counted(7, question: 256), [1, 7] + head + number + [0, 0, 0, 0, 0, 0, 0, 7]),
        (.gone, [1, 8] + head),
    ]

    @Test func messagesAreTheseBytes() {
        for (content, bytes) in Self.messages {
            let message = ClusterMessage(node: 0x0102_0304_0506_0708, content)
            #expect(Array(message.encoded.readableBytesView) == bytes)
            #expect(ClusterMessage(ByteBuffer(bytes: bytes)) == message)
        }
    }

    @Test func whatNoNodeSaysIsNone() {
        for (_, bytes) in Self.messages {
            for count in 0..<bytes.count { #expect(ClusterMessage(ByteBuffer(bytes: bytes.prefix(count))) == nil) }
            #expect(ClusterMessage(ByteBuffer(bytes: bytes + [0])) == nil)
            #expect(ClusterMessage(ByteBuffer(bytes: [2] + bytes.dropFirst())) == nil)
            for kind in [0, 9, 255] as [UInt8] { #expect(ClusterMessage(ByteBuffer(bytes: [1, kind] + bytes.dropFirst(2))) == nil) }
        }
        let state = [1, 5] + Self.head + Self.number
        // Neither last nor not; more members than there are bytes; a text that is not UTF-8; more connections than there can be.
        for rest in [[0, 0, 0, 0, 2, 0, 0, 0, 0], [0, 0, 0, 0, 1, 255, 255, 255, 255]] as [[UInt8]] {
            #expect(ClusterMessage(ByteBuffer(bytes: state + rest)) == nil)
        }
        #expect(ClusterMessage(ByteBuffer(bytes: [1, 6] + Self.head + Self.number + [0, 0, 0, 1, 0xFF])) == nil)
        #expect(ClusterMessage(ByteBuffer(bytes: [1, 7] + Self.head + Self.number + [128, 0, 0, 0, 0, 0, 0, 0])) == nil)
    }

    @Test func anyBytesAreReadOrRefused() {
        var generator = SeededGenerator(seed: 8)
        for _ in 0..<20_000 {
            var bytes = Self.messages.randomElement(using: &generator)?.1 ?? []
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: .min ... .max, using: &generator)
            }
            if let message = ClusterMessage(ByteBuffer(bytes: bytes)) { #expect(Array(message.encoded.readableBytesView) == bytes) }
        }
    }

    @Test func theNodesTopicsAreNobodyElses() {
        for topic in [ClusterMessage.topic, ClusterMessage.topic(of: 0), ClusterMessage.topic(of: .max)] {
            #expect(ClusterMessage.isReserved(topic))
        }
        for topic in ["", "\0", "\0duplexes", "duplex", "a/\0duplex", "\0duplex\u{301}"] { #expect(!ClusterMessage.isReserved(topic)) }
    }
}
