// Packets in the format of socket.io-msgpack-parser.

import NIOCore
import TestSupport
import Testing
import WebSockets

@testable import SocketIO

@Suite struct SocketIOMessagePackParserTests {
    private let parser = SocketIOMessagePackParser()

    private func decode(_ message: Message, limits: SocketIOParserLimits = .init()) throws(SocketIOParseError) -> SocketIOPacket? {
        var decoder = SocketIOMessagePackParser(limits: limits).makeDecoder()
        return try decoder.add(message)
    }

    /// A packet as the JavaScript parser would write this map.
    private func decode(_ map: SocketIOObject, limits: SocketIOParserLimits = .init()) throws(SocketIOParseError) -> SocketIOPacket? {
        var writer = MessagePackWriter(ByteBuffer())
        writer.write(.object(map))
        return try decode(.binary(writer.buffer), limits: limits)
    }

    private func fault(_ map: SocketIOObject, limits: SocketIOParserLimits = .init()) -> SocketIOParseError.Rule? {
        do throws(SocketIOParseError) {
            _ = try decode(map, limits: limits)
            return nil
        } catch {
            return error.rule
        }
    }

    /// The example of the package's documentation.
    @Test func writesWhatThePackageWrites() throws {
        let expected: [UInt8] = [
            0x83, 0xA4, 0x74, 0x79, 0x70, 0x65, 0x02, 0xA3, 0x6E, 0x73, 0x70, 0xA1, 0x2F, 0xA4, 0x64, 0x61, 0x74, 0x61, 0x92, 0xA5, 0x68,
            0x65, 0x6C, 0x6C,
            0x6F, 0xA3, 0x79, 0x6F, 0x75,
        ]
        let messages = try parser.encode(.event("hello", ["you"]))
        #expect(messages.count == 1 && messages.first == .binary(ByteBuffer(bytes: expected)))
        #expect(try decode(messages.first) == .event("hello", ["you"]))
    }

    @Test(
        arguments: [
            (["type": 0, "nsp": "/"], .init(content: .connect(nil))),
            (["type": 0, "nsp": "/", "data": nil], .init(content: .connect(nil))),
            (["type": 0, "nsp": "/a,b", "data": ["sid": "x"]], .init(namespace: "/a,b", content: .connect(["sid": "x"]))),
            (["type": 1, "nsp": "/"], .init(content: .disconnect)),
            (["type": 1, "nsp": "/x", "data": nil, "id": nil], .init(namespace: "/x", content: .disconnect)),
            (
                ["type": 2, "data": ["a", ["b": .binary(ByteBuffer(bytes: [1]))]], "options": ["compress": true], "id": nil, "nsp": "/"],
                .event("a", [["b": .binary(ByteBuffer(bytes: [1]))]])
            ),
            (["type": 2.0, "nsp": "/", "data": [1], "id": 7.0, "more": 1], .init(content: .event([1], id: 7))),
            (["type": 3, "nsp": "/", "data": [], "id": 0], .init(content: .ack([], id: 0))),
            (["type": 4, "nsp": "/", "data": ["message": "no"]], .init(content: .connectError(["message": "no"]))),
            (["type": 4, "nsp": "/", "data": "no"], .init(content: .connectError("no"))),
            (["type": 4, "nsp": "/"], .init(content: .connectError(nil))),
            (["type": 2, "nsp": "/", "data": ["a", ["_placeholder": true, "num": 0]]], .event("a", [["_placeholder": true, "num": 0]])),
        ] as [(SocketIOObject, SocketIOPacket)])
    func reads(map: SocketIOObject, packet: SocketIOPacket) throws { #expect(try decode(map) == packet) }

    @Test(
        arguments: [
            ([:], .unknownType), (["nsp": "/"], .unknownType), (["type": 5, "nsp": "/", "data": ["a"]], .unknownType),
            (["type": -1, "nsp": "/"], .unknownType),
            (["type": "2", "nsp": "/"], .unknownType), (["type": 0.5, "nsp": "/"], .unknownType),
            (["type": nil, "nsp": "/"], .unknownType),
            (["type": .int(.max), "nsp": "/"], .unknownType),
            (["type": 0], .invalidNamespace), (["type": 0, "nsp": 1], .invalidNamespace), (["type": 0, "nsp": ""], .invalidNamespace),
            (["type": 0, "nsp": "x"], .invalidNamespace),
            (["type": 0, "nsp": .string("/" + String(repeating: "x", count: 512))], .namespaceTooLong),
            (["type": 2, "nsp": "/"], .invalidPayload), (["type": 2, "nsp": "/", "data": []], .invalidPayload),
            (["type": 2, "nsp": "/", "data": "a"], .invalidPayload),
            (["type": 2, "nsp": "/", "data": ["0": "a"]], .invalidPayload),
            (["type": 2, "nsp": "/", "data": [["toString": "foo"]]], .invalidEventName),
            (["type": 2, "nsp": "/", "data": [.binary(ByteBuffer())]], .invalidEventName),
            (["type": 2, "nsp": "/", "data": ["connect"]], .reservedEventName),
            (["type": 0, "nsp": "/", "data": []], .invalidPayload), (["type": 1, "nsp": "/", "data": [:]], .invalidPayload),
            (["type": 4, "nsp": "/", "data": 1], .invalidPayload),
            (["type": 3, "nsp": "/", "data": []], .invalidID), (["type": 3, "nsp": "/", "data": [], "id": "1"], .invalidID),
            (["type": 2, "nsp": "/", "data": ["a"], "id": -1], .invalidID),
            (["type": 2, "nsp": "/", "data": ["a"], "id": 0.5], .invalidID),
            (["type": 2, "nsp": "/", "data": ["a"], "id": 9_007_199_254_740_992], .invalidID),
            (["type": 0, "nsp": "/", "id": 1], .invalidID),
        ] as [(SocketIOObject, SocketIOParseError.Rule)])
    func refuses(map: SocketIOObject, rule: SocketIOParseError.Rule) { #expect(fault(map) == rule) }

    @Test func refusesWhatIsNoMap() {
        let bad: [([UInt8], SocketIOParseError.Rule)] = [
            ([], .invalidMessagePack), ([0xC1], .invalidMessagePack), ([0x90], .invalidPayload), ([0xC0], .invalidPayload),
            ([0x80, 0x80], .invalidMessagePack),
        ]
        for (bytes, rule) in bad {
            let error = #expect(throws: SocketIOParseError.self) { _ = try decode(.binary(ByteBuffer(bytes: bytes))) }
            #expect(error?.rule == rule)
        }
        let error = #expect(throws: SocketIOParseError.self) { _ = try decode(.text(#"2["x"]"#)) }
        #expect(error?.description == "the peer sent text where every packet is binary: it uses another parser than this end")
    }

    @Test func depthCountsFromThePayload() throws {
        let map: SocketIOObject = ["type": 2, "nsp": "/", "data": ["x", [[1]]]]
        #expect(try decode(map, limits: .init(maxDepth: 3)) == .event("x", [[[1]]]))
        #expect(fault(map, limits: .init(maxDepth: 2)) == .tooDeep)
    }

    @Test func refusesToSendWhatCanNotBe() {
        func error(_ packet: SocketIOPacket) -> SocketIOUsageError.Rule? {
            do throws(SocketIOUsageError) {
                _ = try parser.encode(packet)
                return nil
            } catch {
                return error.rule
            }
        }
        func nested(_ levels: Int) -> SocketIOValue { (0..<levels).reduce(1) { value, _ in [value] } }
        #expect(error(.event("connect")) == .reservedEventName && error(.event("a", namespace: "a")) == .namespaceWithoutSlash)
        #expect(error(.event("a", namespace: "/a,b")) == nil && error(.init(content: .connect(["a": .binary(ByteBuffer())]))) == nil)
        #expect(error(.event("a", [nested(255)])) == nil && error(.event("a", [nested(256)])) == .tooDeep)
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func isReadBackToTheSame(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for round in 0..<300 {
            let packet = RandomPacket.make(&generator)
            let messages = try parser.encode(packet)
            let decoded = try decode(messages.first)
            if messages.count != 1 || decoded != packet {
                Issue.record("seed \(seed), round \(round): \(packet) became \(String(describing: decoded))")
            }
        }
    }
}
