import NIOCore
import PubSub
import Testing

@testable import RedisPubSub

@Suite struct TopicEnvelopeTests {
    private func publication(_ text: String, isText: Bool = true, key: String? = nil) -> Publication {
        Publication(topic: "t", payload: ByteBuffer(string: text), isText: isText, key: key)
    }

    @Test func hasTheseBytes() {
        let node: UInt64 = 0x0102_0304_0506_0708
        #expect(
            Array(buffer: TopicEnvelope(node: node, number: 9, publication("hi")).encoded) == [
                1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9, 0x68, 0x69,
            ])
        #expect(
            Array(buffer: TopicEnvelope(node: node, number: 9, publication("hi", isText: false, key: "k")).encoded)
                == [1, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0x6B, 0x68, 0x69])
    }

    @Test func readsWhatItWrites() throws {
        let large = String(repeating: "x", count: 100_000)
        for publication in [publication(""), publication("ä", key: ""), publication(large, key: large.prefix(65_535).description)] {
            let envelope = TopicEnvelope(node: 7, number: 1, publication)
            #expect(try TopicEnvelope(envelope.encoded, topic: "t") == envelope)
        }
        // A key that is too long is left out.
        #expect(
            try TopicEnvelope(TopicEnvelope(node: 7, number: 1, publication("x", key: large)).encoded, topic: "t").publication.key == nil)
    }

    private static let ids = [UInt8](repeating: 0, count: 16)

    @Test(
        arguments: [
            [], [1], [1, 1] + ids.dropLast(), [0, 1] + ids, [2, 1] + ids, [1, 4] + ids, [1, 2] + ids, [1, 2] + ids + [0, 2, 0x6B],
            [1, 2] + ids + [0, 1, 0xFF], [1, 1] + ids + [0xFF],
        ] as [[UInt8]]) func refusesWhatNoNodeSends(bytes: [UInt8])
    {
        #expect(throws: TopicEnvelopeError.self) { try TopicEnvelope(ByteBuffer(bytes: bytes), topic: "t") }
    }
}
