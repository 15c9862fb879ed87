// What the Streams adapter writes and reads, by what Node.js servers wrote when they were captured (shared/wire).

import NIOCore
import RedisPubSub
import SocketIO
import TestSupport
import Testing

@testable import RedisSocketIO

struct StreamEntryTests {
    private static let node = "bbae9dc55a5a70e7"

    /// Messages, and the type and the data of their entries.
    private static let captured: [(SocketIOClusterMessage.Content, type: String, data: String)] = [
        (
            .broadcast(event: ["hello", "all", 1, ["a": nil]], SocketIOBroadcastOptions(), requestID: nil), "3",
            #"{"packet":{"type":2,"data":["hello","all",1,{"a":null}]},"opts":{"rooms":[],"except":[],"flags":{}}}"#
        ),
        (
            .broadcast(
                event: ["hello", "room", .binary(ByteBuffer(bytes: [1, 2, 3]))], SocketIOBroadcastOptions(rooms: ["room1"]), requestID: nil),
            "3", "gqZwYWNrZXSCpHR5cGUCpGRhdGGTpWhlbGxvpHJvb23EAwECA6RvcHRzg6Vyb29tc5Glcm9vbTGmZXhjZXB0kKVmbGFnc4A="
        ),
        (
            .broadcast(
                event: ["hello", "multi"], SocketIOBroadcastOptions(rooms: ["room1", "room2"], except: ["x"], isVolatile: true),
                requestID: nil),
            "3",
            #"{"packet":{"type":2,"data":["hello","multi"]},"opts":{"rooms":["room1","room2"],"except":["x"],"flags":{"volatile":true}}}"#
        ),
        (
            .socketsJoin(SocketIOBroadcastOptions(rooms: ["room1"]), rooms: ["r9"]), "4",
            #"{"opts":{"rooms":["room1"],"except":[],"flags":{}},"rooms":["r9"]}"#
        ),
        (
            .socketsLeave(SocketIOBroadcastOptions(rooms: ["room1"]), rooms: ["r9"]), "5",
            #"{"opts":{"rooms":["room1"],"except":[],"flags":{}},"rooms":["r9"]}"#
        ),
        (
            .disconnectSockets(SocketIOBroadcastOptions(rooms: ["r404"]), closingConnections: true), "6",
            #"{"opts":{"rooms":["r404"],"except":[],"flags":{}},"close":true}"#
        ),
    ]

    @Test func entriesAreThoseOfNode() throws {
        for (content, type, data) in Self.captured {
            let message = SocketIOClusterMessage(node: Self.node, namespace: "/", content)
            let fields = ["uid", Self.node, "nsp", "/", "type", type, "data", data].map { ByteBuffer(string: $0) }
            #expect(message.fields == fields)
            #expect(try StreamEntry(id: .zero, fields: fields).message() == message)
        }
    }

    @Test func aMessageWithoutDataHasNone() throws {
        let message = SocketIOClusterMessage(node: "n", namespace: "/", .heartbeat)
        #expect(message.fields.map { String(buffer: $0) } == ["uid", "n", "nsp", "/", "type", "2"])
        #expect(try StreamEntry(id: .zero, fields: message.fields).message() == message)
    }

    /// What is asked and answered over channels, in hex.
    @Test(arguments: [
        (
            "84a47479706507a46461746182a46f70747383a5726f6f6d7390a665786365707490a5666c61677380a9726571756573744964b030373162313261386631616262326366"
                + "a3756964b037613334356437653932393461633030a36e7370a12f",
            SocketIOClusterMessage(
                node: "7a345d7e9294ac00", namespace: "/", .fetchSockets(SocketIOBroadcastOptions(), requestID: "071b12a8f1abb2cf"))
        ),
        (
            "84a47479706509a46461746182a9726571756573744964b037383236313834386361323932346338a67061636b657492a470696e67a178a3756964b037613334356437"
                + "653932393461633030a36e7370a12f",
            SocketIOClusterMessage(
                node: "7a345d7e9294ac00", namespace: "/", .serverSideEmit(event: ["ping", "x"], requestID: "78261848ca2924c8"))
        ),
        (
            "84a4747970650aa46461746182a9726571756573744964b037383236313834386361323932346338a67061636b6574ae706f6e672066726f6d2034303032a3756964b0"
                + "62633866343634646463396437343466a36e7370a12f",
            SocketIOClusterMessage(
                node: "bc8f464ddc9d744f", namespace: "/",
                .serverSideEmitResponse(requestID: "78261848ca2924c8", answer: "pong from 4002"))
        ),
        (
            "84a4747970650ba46461746182a9726571756573744964b031316639393666626562333237313733ab636c69656e74436f756e7401a3756964b0626338663436346464"
                + "63396437343466a36e7370a12f",
            SocketIOClusterMessage(
                node: "bc8f464ddc9d744f", namespace: "/", .broadcastClientCount(requestID: "11f996fbeb327173", count: 1))
        ),
    ])
    func questionsAreThoseOfNode(hex: String, message: SocketIOClusterMessage) throws {
        #expect(message.value.messagePack == ByteBuffer(hex: hex))
        #expect(try SocketIOClusterMessage(SocketIOValue(messagePack: ByteBuffer(hex: hex))) == message)
    }

    @Test func sessionsAreThoseOfNode() throws {
        let text =
            "hKNzaWS0b2ZQSGlLaTFieExNWEh5UUFBQUOjcGlktGkzM21OZ1l2S3RnaGc2RktBQUFEpXJvb21zkrRvZlBIaUtpMWJ4TE1YSHlRQUFBQ6Vyb29tMaRkYXRhgA=="
        let session = SocketIOSession(
            id: "ofPHiKi1bxLMXHyQAAAC", privateID: "i33mNgYvKtghg6FKAAAD", rooms: ["ofPHiKi1bxLMXHyQAAAC", "room1"], data: nil)
        #expect(session.encoded == ByteBuffer(string: text))
        let read = try SocketIOSession(encoded: ByteBuffer(string: text), privateID: session.privateID)
        #expect(read.id == session.id && read.rooms == session.rooms && read.data == nil)
        #expect(throws: SocketIOParseError.self) { try SocketIOSession(encoded: ByteBuffer(string: text), privateID: "another") }
        #expect(throws: SocketIOParseError.self) { try SocketIOSession(encoded: ByteBuffer(string: "hKN"), privateID: session.privateID) }
    }

    @Test(arguments: ["", "{", "{}", "3", "gqZw", "!!!!", #"{"packet":{"type":3,"data":["hi"]},"opts":{"rooms":[],"except":[]}}"#])
    func whatIsNoMessageIsRefused(data: String) {
        for type in ["3", "4", "x", "99", ""] {
            let fields = ["uid", "n", "nsp", "/", "type", type, "data", data].map { ByteBuffer(string: $0) }
            #expect(throws: SocketIOParseError.self) { try StreamEntry(id: .zero, fields: fields).message() }
        }
        let short = ["uid", "n", "nsp"].map { ByteBuffer(string: $0) }
        #expect(throws: SocketIOParseError.self) { try StreamEntry(id: .zero, fields: short).message() }
    }

    @Test func idsAreRead() {
        #expect(StreamID("1795217382224-0") == StreamID(milliseconds: 1_795_217_382_224, sequence: 0))
        for text in ["", "-", "1", "1-", "-1", "1-2-3", "a-1", "+1-1", "1- 1", "99999999999999999999999-1", "18446744073709551616-0"] {
            #expect(StreamID(text) == nil, "\(text)")
        }
        #expect(StreamID("9-10") ?? .zero < StreamID("10-9") ?? .zero)
        #expect(StreamID("9-9") ?? .zero < StreamID("9-10") ?? .zero)
    }

    /// RESP2 and RESP3 put a stream's entries into different things.
    @Test func answersOfBothVersionsAreRead() throws {
        func bulk(_ text: String) -> RESPValue { .bulk(ByteBuffer(string: text)) }
        let entries = RESPValue.array([.array([bulk("5-1"), .array([bulk("uid"), bulk("n")])]), .array([bulk("5-2"), .null])])
        let expected = [
            StreamEntry(id: StreamID(milliseconds: 5, sequence: 1), fields: [ByteBuffer(string: "uid"), ByteBuffer(string: "n")]),
            StreamEntry(id: StreamID(milliseconds: 5, sequence: 2), fields: []),
        ]
        #expect(try StreamEntry.entries(read: .array([.array([bulk("socket.io"), entries])])) == expected)
        #expect(try StreamEntry.entries(read: .map([bulk("socket.io"), entries])) == expected)
        #expect(try StreamEntry.entries(read: .null) == [])
        for value in [.integer(1), .array([entries, entries]), .map([entries]), .map([bulk("s"), .array([bulk("5-1")])])] as [RESPValue] {
            #expect(throws: RedisError.self) { try StreamEntry.entries(read: value) }
        }
    }
}
