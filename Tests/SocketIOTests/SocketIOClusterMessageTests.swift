// What nodes say to each other, held against what two JavaScript nodes (socket.io 4.8.3, the sharded Redis adapter) were heard to say.

import NIOCore
import Testing
import WebSockets

@testable import SocketIO

@Suite struct SocketIOClusterMessageTests {
    private func json(_ text: String) throws -> SocketIOValue {
        try Array(text.utf8).withUnsafeBytes { try JSONReader.read($0, maxDepth: 128) }
    }

    private func text(_ value: SocketIOValue) -> String { String(buffer: JSONWriter.write { $0.write(value) }.text) }

    private static let node = "8fa03ee57a0490f3"
    private static let all = SocketIOBroadcastOptions()
    private static let room1 = SocketIOBroadcastOptions(rooms: ["room1"])

    private static let heard: [(String, SocketIOClusterMessage.Content)] = [
        (
            #"{"type":3,"data":{"packet":{"type":2,"data":["hello","all",1,{"a":null}]},"opts":{"rooms":[],"except":[],"flags":{}}}"#,
            .broadcast(event: ["hello", "all", 1, ["a": nil]], all, requestID: nil)
        ),
        (
            #"{"type":3,"data":{"packet":{"type":2,"data":["hello","multi"]},"opts":{"rooms":["room1","room2"],"except":["x"],"#
                + #""flags":{"volatile":true}}}"#,
            .broadcast(
                event: ["hello", "multi"], SocketIOBroadcastOptions(rooms: ["room1", "room2"], except: ["x"], isVolatile: true),
                requestID: nil)
        ),
        (
            #"{"type":4,"data":{"opts":{"rooms":["room1"],"except":[],"flags":{}},"rooms":["r9"]}"#,
            .socketsJoin(room1, rooms: ["r9"])
        ),
        (
            #"{"type":5,"data":{"opts":{"rooms":["room1"],"except":[],"flags":{}},"rooms":["r9"]}"#,
            .socketsLeave(room1, rooms: ["r9"])
        ),
        (
            #"{"type":6,"data":{"opts":{"rooms":["r404"],"except":[],"flags":{}},"close":true}"#,
            .disconnectSockets(SocketIOBroadcastOptions(rooms: ["r404"]), closingConnections: true)
        ),
        (
            #"{"type":7,"data":{"opts":{"rooms":[],"except":[],"flags":{}},"requestId":"b8c9181e15503a7d"}"#,
            .fetchSockets(all, requestID: "b8c9181e15503a7d")
        ),
        (
            #"{"type":8,"data":{"requestId":"b8c9181e15503a7d","sockets":[{"id":"RnCXZi243t38ECt8AAAA","handshake":{"secure":false,"#
                + #""issued":1795212971173,"auth":{}},"rooms":["RnCXZi243t38ECt8AAAA","room1"],"data":{}}]}"#,
            .fetchSocketsResponse(
                requestID: "b8c9181e15503a7d",
                sockets: [
                    .init(
                        id: "RnCXZi243t38ECt8AAAA", rooms: ["RnCXZi243t38ECt8AAAA", "room1"], data: .object([:]),
                        handshake: ["secure": false, "issued": 1_795_212_971_173, "auth": .object([:])])
                ])
        ),
        (#"{"type":9,"data":{"packet":["ping","x"]}"#, .serverSideEmit(event: ["ping", "x"], requestID: nil)),
        (
            #"{"type":9,"data":{"requestId":"c34932e483806f83","packet":["ping","x"]}"#,
            .serverSideEmit(event: ["ping", "x"], requestID: "c34932e483806f83")
        ),
        (
            #"{"type":10,"data":{"requestId":"c34932e483806f83","packet":"pong from 4002"}"#,
            .serverSideEmitResponse(requestID: "c34932e483806f83", answer: "pong from 4002")
        ),
        (
            #"{"type":3,"data":{"packet":{"type":2,"data":["q","who"]},"requestId":"c3fa6a3658811c5a","opts":{"rooms":[],"except":[],"#
                + #""flags":{"timeout":800}}}"#,
            .broadcast(event: ["q", "who"], SocketIOBroadcastOptions(timeout: .milliseconds(800)), requestID: "c3fa6a3658811c5a")
        ),
        (
            #"{"type":11,"data":{"requestId":"c3fa6a3658811c5a","clientCount":1}"#,
            .broadcastClientCount(requestID: "c3fa6a3658811c5a", count: 1)
        ),
        (
            #"{"type":12,"data":{"requestId":"c3fa6a3658811c5a","packet":"ackfrom4002"}"#,
            .broadcastAck(requestID: "c3fa6a3658811c5a", answer: "ackfrom4002")
        ),
        (#"{"type":1"#, .initialHeartbeat), (#"{"type":2"#, .heartbeat), (#"{"type":13"#, .adapterClose),
        (
            #"{"type":3,"data":{"packet":{"type":2,"data":["e"]},"opts":{"rooms":[],"except":[],"flags":{"compress":false}}}"#,
            .broadcast(event: ["e"], SocketIOBroadcastOptions(compression: .never), requestID: nil)
        ),
    ]

    @Test(arguments: heard.indices) func isWhatJavaScriptNodesSay(index: Int) throws {
        let (start, content) = Self.heard[index]
        let line = start + #","uid":"8fa03ee57a0490f3","nsp":"/"}"#
        let message = SocketIOClusterMessage(node: Self.node, namespace: "/", content)
        #expect(try SocketIOClusterMessage(json(line)) == message)
        #expect(text(message.value) == line)
    }

    // Bytes travel as MessagePack.
    @Test func isWhatJavaScriptNodesSayInMessagePack() throws {
        let hex =
            "84a47479706503a46461746182a67061636b657482a47479706502a46461746193a568656c6c6fa4726f6f6dc403010203a46f70747383a5726f6f6d73"
            + "91a5726f6f6d31a665786365707490a5666c61677380a3756964b038666130336565353761303439306633a36e7370a12f"
        let digits = Array(hex)
        let octets = stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(String(digits[$0...($0 + 1)]), radix: 16) }
        let bytes = ByteBuffer(bytes: octets)
        let message = SocketIOClusterMessage(
            node: Self.node, namespace: "/",
            .broadcast(event: ["hello", "room", .binary(ByteBuffer(bytes: [1, 2, 3]))], Self.room1, requestID: nil))
        #expect(try SocketIOClusterMessage(MessagePackReader.read(bytes, maxDepth: 128)) == message)
        var writer = MessagePackWriter(ByteBuffer())
        writer.write(message.value)
        #expect(writer.buffer == bytes)
    }

    // JSON has no place for what is undefined in JavaScript; and newer nodes may say more.
    @Test(arguments: [
        (
            #"{"type":12,"data":{"requestId":"a"},"uid":"n","nsp":"/x"}"#,
            SocketIOClusterMessage.Content.broadcastAck(requestID: "a", answer: nil)
        ),
        (
            #"{"type":6,"data":{"opts":{"rooms":[],"except":[]}},"uid":"n","nsp":"/x","more":1}"#,
            .disconnectSockets(all, closingConnections: false)
        ),
        (
            #"{"type":7,"data":{"opts":{"rooms":[],"except":[],"flags":{"expectSingleResponse":true,"compress":true}},"requestId":"a"},"#
                + #""uid":"n","nsp":"/x"}"#,
            .fetchSockets(all, requestID: "a")
        ),
    ]) func whatIsMissingOrUnknownIsNoFault(line: String, content: SocketIOClusterMessage.Content) throws {
        #expect(try SocketIOClusterMessage(json(line)) == SocketIOClusterMessage(node: "n", namespace: "/x", content))
    }

    @Test func whatIsLocalIsNotSaid() {
        let message = SocketIOClusterMessage(
            node: "n", namespace: "/", .fetchSockets(SocketIOBroadcastOptions(isLocal: true), requestID: "a"))
        #expect(message.value["data"]?["opts"]?["flags"] == .object([:]))
    }

    @Test(arguments: [
        ("[]", "type of the message is null, not a whole number"), ("null", "type of the message"), ("{}", "type of the message"),
        (#"{"type":0,"uid":"n","nsp":"/"}"#, "type 0"), (#"{"type":14,"uid":"n","nsp":"/"}"#, "type 14"),
        (#"{"type":"3","uid":"n","nsp":"/"}"#, "type of the message is a string"),
        (#"{"type":1,"nsp":"/"}"#, "uid of the message is null, not a string"), (#"{"type":1,"uid":"n","nsp":1}"#, "nsp of the message"),
        (#"{"type":3,"uid":"n","nsp":"/"}"#, "packet of data is null, not an object"),
        (#"{"type":3,"data":{"packet":{"type":3,"data":[]}},"uid":"n","nsp":"/"}"#, "only events are broadcast"),
        (#"{"type":3,"data":{"packet":{"type":2,"data":[]}},"uid":"n","nsp":"/"}"#, "data of packet of data is an array, not an event"),
        (#"{"type":3,"data":{"packet":{"type":2,"data":[null]}},"uid":"n","nsp":"/"}"#, "not an event"),
        (#"{"type":3,"data":{"packet":{"type":2,"data":["e"]}},"uid":"n","nsp":"/"}"#, "opts of data is null, not an object"),
        (#"{"type":7,"data":{"opts":{"rooms":[],"except":[]}},"uid":"n","nsp":"/"}"#, "requestId of data is null, not a string"),
        (#"{"type":4,"data":{"opts":{"rooms":[1],"except":[]},"rooms":[]},"uid":"n","nsp":"/"}"#, "not an array of strings"),
        (#"{"type":4,"data":{"opts":{"rooms":[]},"rooms":[]},"uid":"n","nsp":"/"}"#, "except of opts of data is null, not an array"),
        (#"{"type":4,"data":{"opts":{"rooms":[],"except":[]}},"uid":"n","nsp":"/"}"#, "rooms of data"),
        (
            #"{"type":4,"data":{"opts":{"rooms":[],"except":[],"flags":{"volatile":1}},"rooms":[]},"uid":"n","nsp":"/"}"#,
            "volatile of flags of opts of data is a number, not a boolean"
        ),
        (
            #"{"type":7,"data":{"opts":{"rooms":[],"except":[],"flags":{"timeout":-1}},"requestId":"a"},"uid":"n","nsp":"/"}"#,
            "timeout of flags of opts of data is -1"
        ),
        (
            #"{"type":7,"data":{"opts":{"rooms":[],"except":[],"flags":{"timeout":9e18}},"requestId":"a"},"uid":"n","nsp":"/"}"#,
            "timeout of flags of opts of data is 9000000000000000000"
        ),
        (#"{"type":8,"data":{"requestId":"a","sockets":[1]},"uid":"n","nsp":"/"}"#, "id of a socket is null"),
        (#"{"type":8,"data":{"requestId":"a","sockets":[{"id":"x"}]},"uid":"n","nsp":"/"}"#, "rooms of a socket is null"),
        (#"{"type":9,"data":{"packet":{}},"uid":"n","nsp":"/"}"#, "packet of data is an object, not an array"),
        (#"{"type":9,"data":{"packet":["e"],"requestId":1},"uid":"n","nsp":"/"}"#, "requestId of data is a number, not a string"),
        (#"{"type":11,"data":{"requestId":"a","clientCount":-1},"uid":"n","nsp":"/"}"#, "clientCount of data is -1"),
        (#"{"type":11,"data":{"requestId":"a","clientCount":2147483648},"uid":"n","nsp":"/"}"#, "clientCount of data is 2147483648"),
        (
            #"{"type":11,"data":{"requestId":"a","clientCount":1.5},"uid":"n","nsp":"/"}"#,
            "clientCount of data is a number, not a whole number"
        ),
    ]) func whatIsNoneIsRefused(line: String, why: String) throws {
        let value = try json(line)
        let error = #expect(throws: SocketIOParseError.self) { try SocketIOClusterMessage(value) }
        #expect(error?.rule == .invalidClusterMessage)
        #expect(error?.detail.contains(why) == true, "\(error?.detail ?? "")")
    }
}
