// The default format, decoding: exact packets, and the bad inputs S2, S3 and S5.

import NIOCore
import SocketIO
import Testing
import WebSocketCore
import WebSockets

@Suite struct JSONPacketDecoderTests {
    private func decode(_ messages: Message..., limits: SocketIOParserLimits = .init()) throws(SocketIOParseError)
        -> [SocketIOPacket?]
    {
        var decoder = SocketIOJSONParser(limits: limits).makeDecoder()
        var packets: [SocketIOPacket?] = []
        for message in messages { packets.append(try decoder.add(message)) }
        return packets
    }

    private func decode(_ text: String, limits: SocketIOParserLimits = .init()) throws(SocketIOParseError) -> SocketIOPacket? {
        try decode(.text(text), limits: limits)[0]
    }

    /// The rule that the last of the messages breaks, none before it.
    private func fault(_ messages: Message..., limits: SocketIOParserLimits = .init()) -> SocketIOParseError? {
        var decoder = SocketIOJSONParser(limits: limits).makeDecoder()
        for (index, message) in messages.enumerated() {
            do throws(SocketIOParseError) {
                _ = try decoder.add(message)
            } catch {
                return index == messages.count - 1 ? error : nil
            }
        }
        return nil
    }

    private let bytes = ByteBuffer(bytes: [1, 2, 3, 4])

    @Test(
        arguments: [
            ("0", .init(content: .connect(nil))), ("0{}", .init(content: .connect([:]))),
            ("0/admin,", .init(namespace: "/admin", content: .connect(nil))),
            ("0/admin", .init(namespace: "/admin", content: .connect(nil))), ("0/,", .init(content: .connect(nil))),
            (#"0/admin,{"token":"123"}"#, .init(namespace: "/admin", content: .connect(["token": "123"]))),
            // Node's server cuts the query off for clients of protocol 4 and older alone, which are served with EIO=3.
            ("0/admin?token=1,", .init(namespace: "/admin?token=1", content: .connect(nil))),
            ("1", .init(content: .disconnect)), ("1/admin,", .init(namespace: "/admin", content: .disconnect)),
            ("1/admin", .init(namespace: "/admin", content: .disconnect)),
            (#"2["foo"]"#, .event("foo")), (#"2/admin,["bar"]"#, .event("bar", namespace: "/admin")),
            (#"212["foo"]"#, .event("foo", id: 12)),
            (#"2/test,1["a",1,{}]"#, .event("a", [1, [:]], namespace: "/test", id: 1)),
            (#"2[1,"a"]"#, .init(content: .event([1, "a"], id: nil))),
            (#"2[1.5]"#, .init(content: .event([1.5], id: nil))), (#"2[""]"#, .event("")), (#"2 ["foo"] "#, .event("foo")),
            (#"20["foo"]"#, .event("foo", id: 0)), (#"2007["foo"]"#, .event("foo", id: 7)),
            (#"29007199254740991["x"]"#, .event("x", id: SocketIOPacket.maxID)),
            (#"2/é,["x"]"#, .event("x", namespace: "/é")), (#"2/1,2["x"]"#, .event("x", namespace: "/1", id: 2)),
            (#"2["x",{"_placeholder":true,"num":0}]"#, .event("x", [["_placeholder": true, "num": 0]])),
            ("30[]", .init(content: .ack([], id: 0))),
            (#"3/admin,13["bar",null]"#, .init(namespace: "/admin", content: .ack(["bar", nil], id: 13))),
            (#"4{"message":"Not authorized"}"#, .init(content: .connectError(["message": "Not authorized"]))),
            (#"4/x,"Unauthorized""#, .init(namespace: "/x", content: .connectError("Unauthorized"))),
            ("4", .init(content: .connectError(nil))),
            (#"50-["x"]"#, .event("x")), (#"50-/a,7["x"]"#, .event("x", namespace: "/a", id: 7)),
            ("60-1[]", .init(content: .ack([], id: 1))),
        ] as [(String, SocketIOPacket)])
    func reads(text: String, packet: SocketIOPacket) throws { #expect(try decode(text) == packet) }

    @Test func attachmentsAreAwaited() throws {
        let text = Message.text(#"51-["baz",{"_placeholder":true,"num":0}]"#)
        #expect(try decode(text, .binary(bytes)) == [nil, .event("baz", [.binary(bytes)])])
        let two = Message.text(#"62-/a,15[{"b":[{"num":1,"_placeholder":true,"x":1}]},{"_placeholder":true,"num":0.0},"z"]"#)
        let filled = SocketIOPacket(namespace: "/a", content: .ack([["b": [.binary(ByteBuffer())]], .binary(bytes), "z"], id: 15))
        #expect(try decode(two, .binary(bytes), .binary(ByteBuffer())) == [nil, nil, filled])
        // Then it is idle again.
        #expect(try decode(text, .binary(bytes), .text(#"2["x"]"#), text, .binary(bytes)).last == .event("baz", [.binary(bytes)]))
    }

    // MARK: Bad inputs

    @Test func s2PlaceholdersThatDoNotFit() {
        let bad = [
            #"51-["hello",{"_placeholder":true,"num":"splice"}]"#, #"51-["hello",{"_placeholder":true,"num":1}]"#,
            #"51-["x",{"_placeholder":true}]"#,
            #"51-["x",{"_placeholder":true,"num":-1}]"#, #"51-["x",{"_placeholder":true,"num":0.5}]"#,
            #"51-["x",{"_placeholder":true,"num":1e99}]"#,
            #"51-["x",{"_placeholder":true,"num":null}]"#, #"51-["x",{"_placeholder":true,"num":{"_placeholder":true,"num":0}}]"#,
            // Missing, twice, hidden in what is none.
            #"51-["x"]"#, #"52-["x",{"_placeholder":true,"num":0}]"#, #"52-["x",{"_placeholder":true,"num":1}]"#,
            #"52-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#,
            #"51-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#, #"51-["x",{"_placeholder":1,"num":0}]"#,
            #"51-["x",{"_placeholder":"true","num":0}]"#, #"51-["x","{_placeholder:true,num:0}"]"#, "61-1[]",
            #"50-["x",{"_placeholder":true,"num":0}]"#,
        ]
        for text in bad.dropLast() { #expect(fault(.text(text))?.rule == .invalidPlaceholder, "\(text)") }
        // Without attachments, it is data.
        #expect(fault(.text(bad[bad.count - 1])) == nil)
    }

    @Test func s2TextWhileBytesAreAwaited() {
        let text = Message.text(#"52-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#)
        #expect(fault(text, .text(#"2["x"]"#))?.rule == .unexpectedText)
        #expect(fault(text, .binary(bytes), .text("1"))?.rule == .unexpectedText)
        #expect(fault(text, text)?.rule == .unexpectedText)
    }

    @Test func s2BytesWhileNoneAreAwaited() {
        #expect(fault(.binary(bytes))?.rule == .unexpectedBinary)
        #expect(fault(.text(#"2["x"]"#), .binary(bytes))?.rule == .unexpectedBinary)
        #expect(fault(.text(#"50-["x"]"#), .binary(bytes))?.rule == .unexpectedBinary)
        #expect(fault(.text(#"51-["x",{"_placeholder":true,"num":0}]"#), .binary(bytes), .binary(bytes))?.rule == .unexpectedBinary)
    }

    @Test(arguments: [
        (#"2[{"toString":"foo"}]"#, SocketIOParseError.Rule.invalidEventName), (#"2[true,"foo"]"#, .invalidEventName),
        (#"2[null,"bar"]"#, .invalidEventName),
        (#"2["connect"]"#, .reservedEventName), (#"2["connect_error"]"#, .reservedEventName),
        (#"2["disconnect","123"]"#, .reservedEventName),
        (#"2["disconnecting"]"#, .reservedEventName), (#"2["newListener"]"#, .reservedEventName),
        (#"2["removeListener"]"#, .reservedEventName),
        (#"2["\u0063onnect"]"#, .reservedEventName), ("2[[]]", .invalidEventName), ("2[1e999]", .invalidEventName),
        (#"51-[{"_placeholder":true,"num":0}]"#, .invalidEventName),
        ("2[]", .invalidPayload), ("2", .invalidPayload), ("2{}", .invalidPayload), ("2/admin,{}", .invalidPayload),
        ("212", .invalidPayload),
        (#"2"x""#, .invalidPayload), ("2null", .invalidPayload), ("2/admin", .invalidPayload), (#"2/admin["x"]"#, .invalidPayload),
        ("50-", .invalidPayload), ("60-1", .invalidPayload), ("3", .invalidPayload), ("31{}", .invalidPayload), ("31", .invalidPayload),
        ("0[]", .invalidPayload), (#"0/admin,"invalid""#, .invalidPayload), ("0null", .invalidPayload), ("1/admin,{}", .invalidPayload),
        ("1null", .invalidPayload),
        ("4[]", .invalidPayload), ("4/x,null", .invalidPayload), ("4true", .invalidPayload),
        (#"442["some","data""#, .invalidJSON), (#"2/admin,"invalid"#, .invalidJSON), (#"2["x"]]"#, .invalidJSON),
        (#"2["x"],"#, .invalidJSON), ("2x", .invalidJSON),
        (#"2-1["x"]"#, .invalidJSON), (#"2+1["x"]"#, .invalidJSON), ("2\u{0}", .invalidJSON), ("2[\"x\",\u{1}]", .invalidJSON),
        ("0,", .invalidJSON),
        ("01{}", .invalidID), ("15", .invalidID), (#"45{"message":"x"}"#, .invalidID), ("3[]", .invalidID), ("61-[]", .invalidID),
        (#"29007199254740992["x"]"#, .invalidID), (#"299999999999999999999999999["x"]"#, .invalidID),
        (#"2/a,18446744073709551617["x"]"#, .invalidID),
        ("", .unknownType), ("7", .unknownType), ("999", .unknownType), ("x", .unknownType), ("-1", .unknownType),
        (" 2[\"x\"]", .unknownType), ("\u{0}", .unknownType),
        ("é", .unknownType),
    ])
    func s3PayloadsThatPacketsDoNotHave(text: String, rule: SocketIOParseError.Rule) { #expect(fault(.text(text))?.rule == rule) }

    @Test(arguments: [
        ("5-", SocketIOParseError.Rule.invalidAttachmentCount), ("5x-", .invalidAttachmentCount), ("5", .invalidAttachmentCount),
        ("51", .invalidAttachmentCount),
        (#"51["x",{"_placeholder":true,"num":0}]"#, .invalidAttachmentCount), ("5a-", .invalidAttachmentCount),
        ("51.23-", .invalidAttachmentCount),
        ("5-1-", .invalidAttachmentCount), ("6-[]", .invalidAttachmentCount), ("51e1-", .invalidAttachmentCount),
        ("5 1-", .invalidAttachmentCount),
        (#"511-["x"]"#, .tooManyAttachments), ("611-1[]", .tooManyAttachments), ("5999999999999999999999-[]", .tooManyAttachments),
        ("518446744073709551617-[]", .tooManyAttachments),
    ])
    func s5AttachmentCounts(text: String, rule: SocketIOParseError.Rule) { #expect(fault(.text(text))?.rule == rule) }

    @Test func s5TenAttachmentsAreTaken() throws {
        let text = "510-[\"x\"," + (0..<10).map { #"{"_placeholder":true,"num":\#($0)}"# }.joined(separator: ",") + "]"
        var decoder = SocketIOJSONParser().makeDecoder()
        #expect(try decoder.add(.text(text)) == nil)
        for _ in 0..<9 { #expect(try decoder.add(.binary(bytes)) == nil) }
        #expect(try decoder.add(.binary(bytes)) == .event("x", Array(repeating: .binary(bytes), count: 10)))
    }

    // MARK: Limits

    @Test func limitsCanBeSet() throws {
        let text = #"53-["hello",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}]"#
        #expect(fault(.text(text), limits: .init(maxAttachments: 2))?.rule == .tooManyAttachments)
        #expect(try decode(text, limits: .init(maxAttachments: 3)) == nil)
        #expect(fault(.text(#"51-["x",{"_placeholder":true,"num":0}]"#), limits: .init(maxAttachments: 0))?.rule == .tooManyAttachments)
        #expect(fault(.text(#"2["x",[[1]]]"#), limits: .init(maxDepth: 2))?.rule == .tooDeep)
        #expect(try decode(#"2["x",[[1]]]"#, limits: .init(maxDepth: 3)) != nil)
        #expect(SocketIOParserLimits(maxDepth: 100_000).maxDepth == 256)
    }

    @Test func namespacesHaveALimit() throws {
        let longest = "/" + String(repeating: "n", count: 511)
        #expect(try decode("0\(longest),")?.namespace == longest)
        #expect(fault(.text("0\(longest)n,"))?.rule == .namespaceTooLong)
        #expect(fault(.text("0\(longest)n"))?.rule == .namespaceTooLong)
        #expect(fault(.text("0" + String(repeating: "/", count: 1_000_000)))?.rule == .namespaceTooLong)
        #expect(fault(Message(kind: .text, payload: ByteBuffer(bytes: [0x30, 0x2F, 0xFF, 0x2C])))?.rule == .invalidNamespace)
    }

    @Test func refusesTextThatIsNotUTF8() {
        #expect(
            fault(Message(kind: .text, payload: ByteBuffer(bytes: Array("2[\"".utf8) + [0xC0, 0x80] + Array("\"]".utf8))))?.rule
                == .invalidJSON)
    }

    // MARK: Messages

    @Test(arguments: [
        (#"2["connect"]"#, "the peer sent an event with a name that is reserved at byte 1: connect"),
        (#"2/a,["x",try]"#, "the peer sent a payload that is not JSON at byte 9: only true, false and null are words"),
        ("511-[]", "the peer sent a packet with more attachments than the limit maxAttachments at byte 1: 11, and the limit is 10"),
        (
            #"52-["x",{"_placeholder":true,"num":0}]"#,
            "the peer sent a binary packet whose placeholders are not one for each attachment at byte 3: none for attachment 1 of 2"
        ),
        ("9", "the peer sent a packet of an unknown type at byte 0: byte 57"),
        ("5-", "the peer sent a binary packet without a number of attachments and a dash at byte 1"),
        ("2{}", "the peer sent a payload that does not belong to the packet's type at byte 1: EVENT with an object"),
        ("0/a", ""),
    ])
    func saysWhatAndWhere(text: String, message: String) {
        let description = fault(.text(text)).map(\.description) ?? ""
        #expect(description == message)
    }
}
