// The default format, encoding: exact packets, and what can not be sent.

import NIOCore
import SocketIO
import TestSupport
import Testing
import WebSocketCore
import WebSockets

@Suite struct SocketIOJSONParserTests {
    private let parser = SocketIOJSONParser()

    private func texts(_ packet: SocketIOPacket) throws -> [String] {
        try parser.encode(packet).map { $0.kind == .text ? String(buffer: $0.payload) : "<\($0.payload.readableBytesView.map { $0 })>" }
    }

    private func error(_ packet: SocketIOPacket) -> SocketIOUsageError.Rule? {
        do throws(SocketIOUsageError) {
            _ = try parser.encode(packet)
            return nil
        } catch {
            return error.rule
        }
    }

    /// The protocol document's own examples, and Node's tests'.
    @Test(
        arguments: [
            (.init(content: .connect(nil)), "0"),
            (.init(namespace: "/admin", content: .connect(["sid": "oSO0OpakMV_3jnilAAAA"])), #"0/admin,{"sid":"oSO0OpakMV_3jnilAAAA"}"#),
            (.init(namespace: "/woot", content: .connect(["token": "123"])), #"0/woot,{"token":"123"}"#),
            (.init(content: .connect([:])), "0{}"),
            (.init(content: .connectError(["message": "Not authorized"])), #"4{"message":"Not authorized"}"#),
            (.init(content: .connectError("Unauthorized")), #"4"Unauthorized""#),
            (.init(content: .connectError(nil)), "4"),
            (.event("foo"), #"2["foo"]"#),
            (.event("bar", namespace: "/admin"), #"2/admin,["bar"]"#),
            (.event("foo", id: 12), #"212["foo"]"#),
            (.event("a", [1, [:]], namespace: "/test", id: 1), #"2/test,1["a",1,{}]"#),
            (.init(content: .event([1, "a", [:]], id: nil)), #"2[1,"a",{}]"#),
            (.init(content: .event(["x"], id: SocketIOPacket.maxID)), #"29007199254740991["x"]"#),
            (.init(namespace: "/admin", content: .ack(["bar"], id: 13)), #"3/admin,13["bar"]"#),
            (.init(content: .ack([], id: 0)), "30[]"),
            (.init(content: .disconnect), "1"),
            (.init(namespace: "/admin", content: .disconnect), "1/admin,"),
        ] as [(SocketIOPacket, String)])
    func writes(packet: SocketIOPacket, text: String) throws { #expect(try texts(packet) == [text]) }

    @Test func bytesTravelBeside() throws {
        let (one, two) = (SocketIOValue.binary(ByteBuffer(bytes: [1, 2])), SocketIOValue.binary(ByteBuffer(bytes: [3, 4])))
        #expect(try texts(.event("baz", [one])) == [#"51-["baz",{"_placeholder":true,"num":0}]"#, "<[1, 2]>"])
        #expect(
            try texts(.event("baz", [one, two], namespace: "/admin")) == [
                #"52-/admin,["baz",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#, "<[1, 2]>", "<[3, 4]>",
            ])
        #expect(
            try texts(.init(content: .ack(["bar", ["a": [two], "b": one]], id: 15))) == [
                #"62-15["bar",{"a":[{"_placeholder":true,"num":0}],"b":{"_placeholder":true,"num":1}}]"#, "<[3, 4]>", "<[1, 2]>",
            ])
        let all = try parser.encode(.event("x", [one]))
        #expect(all.count == 2 && all.first.kind == .text && all[1] == .binary(ByteBuffer(bytes: [1, 2])))
    }

    @Test func refusesWhatCanNotBeSent() {
        #expect(error(.event("a", namespace: "/a,b")) == .namespaceWithComma)
        #expect(error(.event("a", [.binary(ByteBuffer())], namespace: "/a,b")) == .namespaceWithComma)
        #expect(error(.event("a", namespace: "a")) == .namespaceWithoutSlash && error(.event("a", namespace: "")) == .namespaceWithoutSlash)
        #expect(error(.event("a", id: -1)) == .invalidID && error(.event("a", id: SocketIOPacket.maxID + 1)) == .invalidID)
        #expect(error(.init(content: .ack([], id: -1))) == .invalidID && error(.init(content: .ack([], id: .max))) == .invalidID)
        #expect(error(.init(content: .event([], id: nil))) == .invalidEventName)
        for name in [nil, true, [], [:], .binary(ByteBuffer()), .double(.nan), .double(.infinity)] as [SocketIOValue] {
            #expect(error(.init(content: .event([name], id: nil))) == .invalidEventName)
        }
        for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
            #expect(error(.event(name)) == .reservedEventName)
            #expect(error(.event(name + "x")) == nil && error(.event(name.uppercased())) == nil)
        }
        #expect(error(.init(content: .connectError([]))) == .invalidPayload && error(.init(content: .connectError(1))) == .invalidPayload)
        #expect(error(.init(content: .connect(["a": [.binary(ByteBuffer())]]))) == .binaryOutsideEvent)
        #expect(error(.init(content: .connectError(["a": .binary(ByteBuffer())]))) == .binaryOutsideEvent)
    }

    @Test func whatLooksLikeAPlaceholderStaysAmongItsKind() throws {
        let lookalike: SocketIOValue = ["_placeholder": true, "num": 99]
        #expect(try texts(.event("a", [lookalike])) == [#"2["a",{"_placeholder":true,"num":99}]"#])
        #expect(error(.event("a", [lookalike, .binary(ByteBuffer())])) == .placeholderLookalike)
        #expect(error(.event("a", [["x": [lookalike]], .binary(ByteBuffer())])) == .placeholderLookalike)
        #expect(error(.event("a", [["_placeholder": false], ["_placeholder": 1], .binary(ByteBuffer())])) == nil)
    }

    @Test func depthHasALimit() {
        func nested(_ levels: Int, _ wrap: (SocketIOValue) -> SocketIOValue) -> SocketIOValue {
            (0..<levels).reduce(1) { value, _ in wrap(value) }
        }
        for wrap in [{ .array([$0]) }, { ["a": $0] }] as [(SocketIOValue) -> SocketIOValue] {
            #expect(error(.event("a", [nested(255, wrap)])) == nil)
            #expect(error(.event("a", [nested(256, wrap)])) == .tooDeep)
        }
        #expect(error(.init(content: .connect(["a": nested(255) { [$0] }]))) == nil)
        #expect(error(.init(content: .connect(["a": nested(256) { [$0] }]))) == .tooDeep)
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func isReadBackToTheSame(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let parser = SocketIOJSONParser(limits: SocketIOParserLimits(maxAttachments: 1000))
        for round in 0..<300 {
            let packet = RandomPacket.make(&generator)
            var decoder = parser.makeDecoder()
            var decoded: SocketIOPacket?
            for message in try parser.encode(packet) {
                #expect(decoded == nil)
                decoded = try decoder.add(message)
            }
            if decoded != packet { Issue.record("seed \(seed), round \(round): \(packet) became \(String(describing: decoded))") }
        }
    }

    @Test func saysWhatWasWrong() {
        let error = #expect(throws: SocketIOUsageError.self) { try parser.encode(.event("disconnect")) }
        #expect(error?.description == "an event must not have a name that is reserved: disconnect")
    }
}
