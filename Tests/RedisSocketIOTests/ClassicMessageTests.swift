// Golden tests: what two Node.js nodes said to each other (socket.io 4.8.3, @socket.io/redis-adapter 8.3), byte for byte.

import NIOCore
import RedisPubSub
import SocketIO
import TestSupport
import Testing
import WebSockets

@testable import RedisSocketIO

private let uid = "YFrzFt"

@Suite struct ClassicMessageTests {
    // MARK: Broadcasts

    static let broadcasts: [(String, ClassicBroadcast)] = [
        (
            "93a65946727a467483a47479706502a46461746194a568656c6c6fa3616c6c0181a161c0a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380",
            ClassicBroadcast(node: uid, namespace: "/", event: ["hello", "all", 1, ["a": nil]], options: SocketIOBroadcastOptions())
        ),
        (
            "93a65946727a467483a47479706502a46461746193a568656c6c6fa4726f6f6dc403010203a36e7370a12f83a5726f6f6d7391a5726f6f6d31a665786365707490a5"
                + "666c61677380",
            ClassicBroadcast(
                node: uid, namespace: "/", event: ["hello", "room", .binary(ByteBuffer(bytes: [1, 2, 3]))],
                options: SocketIOBroadcastOptions(rooms: ["room1"]))
        ),
        (
            "93a65946727a467483a47479706502a46461746192a568656c6c6fa56d756c7469a36e7370a12f83a5726f6f6d7392a5726f6f6d31a5726f6f6d32a665786365707491"
                + "a178a5666c61677381a8766f6c6174696c65c3",
            ClassicBroadcast(
                node: uid, namespace: "/", event: ["hello", "multi"],
                options: SocketIOBroadcastOptions(rooms: ["room1", "room2"], except: ["x"], isVolatile: true))
        ),
    ]

    @Test(arguments: broadcasts) func broadcastsAreNodes(hex: String, message: ClassicBroadcast) throws {
        #expect(message.encoded == ByteBuffer(hex: hex))
        #expect(try ClassicBroadcast(ByteBuffer(hex: hex)) == message)
    }

    @Test func aRoomHasAChannelOfItsOwn() {
        let channels = ClassicChannels(key: "socket.io", namespace: "/")
        #expect(channels.broadcast(to: []) == "socket.io#/#")
        #expect(channels.broadcast(to: ["room1"]) == "socket.io#/#room1#")
        #expect(channels.broadcast(to: ["room1", "room2"]) == "socket.io#/#")
        #expect(channels.request == "socket.io-request#/#")
        #expect(channels.response == "socket.io-response#/#")
        #expect(channels.response(to: uid) == "socket.io-response#/#YFrzFt#")
        #expect(channels.room(of: "socket.io#/#") == .any)
        #expect(channels.room(of: "socket.io#/#room1#") == .one("room1"))
        #expect(channels.room(of: "socket.io#/#a#b#") == .one("a#b"))
        #expect(channels.room(of: "socket.io#/#a") == nil)
        #expect(channels.room(of: "socket.io#/other#") == nil)
        #expect(
            ClassicChannels(key: "k", namespace: "/a*[b]").targets(of: "n") == [
                .pattern("k#/a\\*\\[b\\]#*"), .channel("k-request#/a*[b]#"), .channel("k-response#/a*[b]#"),
                .channel("k-response#/a*[b]#n#"),
            ])
    }

    // MARK: Requests

    static let requests: [(String, ClassicRequest.Content)] = [
        (#"{"uid":"YFrzFt","type":2,"opts":{"rooms":["room1"],"except":[]},"rooms":["r9"]}"#, .join(.room("room1"), rooms: ["r9"])),
        (#"{"uid":"YFrzFt","type":3,"opts":{"rooms":["room1"],"except":[]},"rooms":["r9"]}"#, .leave(.room("room1"), rooms: ["r9"])),
        (
            #"{"uid":"YFrzFt","requestId":"8QwA0b","type":5,"opts":{"rooms":[],"except":[]}}"#,
            .fetch(SocketIOBroadcastOptions(), requestID: "8QwA0b")
        ),
        (#"{"uid":"YFrzFt","type":6,"data":["ping","x"]}"#, .serverSideEmit(["ping", "x"], requestID: nil)),
        (
            #"{"uid":"YFrzFt","requestId":"3ktYIo","type":6,"data":["ping","x"]}"#,
            .serverSideEmit(["ping", "x"], requestID: "3ktYIo")
        ),
        (#"{"uid":"YFrzFt","type":4,"opts":{"rooms":["r404"],"except":[]},"close":true}"#, .disconnect(.room("r404"), closes: true)),
        // Not captured: what older versions ask, by their sources.
        (#"{"uid":"YFrzFt","requestId":"q","type":0,"rooms":["a"]}"#, .sockets(rooms: ["a"], requestID: "q")),
        (#"{"uid":"YFrzFt","requestId":"q","type":1}"#, .allRooms(requestID: "q")),
        (#"{"uid":"YFrzFt","requestId":"q","type":2,"sid":"s","room":"a"}"#, .joinOne(id: "s", room: "a", requestID: "q")),
        (#"{"uid":"YFrzFt","requestId":"q","type":3,"sid":"s","room":"a"}"#, .leaveOne(id: "s", room: "a", requestID: "q")),
        (#"{"uid":"YFrzFt","requestId":"q","type":4,"sid":"s","close":false}"#, .disconnectOne(id: "s", closes: false, requestID: "q")),
    ]

    @Test(arguments: requests) func requestsAreNodes(json: String, content: ClassicRequest.Content) throws {
        let request = ClassicRequest(node: uid, content: content)
        #expect(String(buffer: request.encoded) == json)
        #expect(try ClassicRequest(ByteBuffer(string: json)) == request)
    }

    @Test func aBroadcastWithAcknowledgementsIsNodes() throws {
        let hex =
            "85a3756964a65946727a4674a9726571756573744964a657556a304144a47479706507a67061636b657483a47479706502a46461746192a171a377686fa36e7370a12f"
            + "a46f70747383a5726f6f6d7390a665786365707490a5666c61677381a774696d656f7574cd0320"
        let request = ClassicRequest(
            node: uid,
            content: .broadcast(
                ["q", "who"], namespace: "/", SocketIOBroadcastOptions(timeout: .milliseconds(800)), requestID: "WUj0AD"))
        #expect(request.encoded == ByteBuffer(hex: hex))
        #expect(try ClassicRequest(ByteBuffer(hex: hex)) == request)
    }

    @Test func emittersAreNobody() throws {
        let json = #"{"type":2,"opts":{"rooms":["room1"],"except":[]},"rooms":["r9"]}"#
        let request = ClassicRequest(node: nil, content: .join(.room("room1"), rooms: ["r9"]))
        #expect(String(buffer: request.encoded) == json)
        #expect(try ClassicRequest(ByteBuffer(string: json)) == request)
    }

    @Test func requestsWithBytesAreMessagePack() throws {
        let request = ClassicRequest(node: uid, content: .serverSideEmit(["x", .binary(ByteBuffer(bytes: [1]))], requestID: nil))
        #expect(request.encoded.readableBytesView.first == 0x83)
        #expect(try ClassicRequest(request.encoded) == request)
    }

    // MARK: Responses

    static let responses: [(String, ClassicResponse)] = [
        (
            #"{"type":6,"requestId":"3ktYIo","data":"pong from 4002"}"#,
            ClassicResponse(requestID: "3ktYIo", content: .serverSideEmit("pong from 4002"))
        ),
        (#"{"type":8,"requestId":"WUj0AD","clientCount":1}"#, ClassicResponse(requestID: "WUj0AD", content: .clientCount(1))),
        (
            #"{"requestId":"8QwA0b","sockets":[{"id":"hTnU0Lp9AxWB_qt2AAAA","handshake":{"headers":{"host":"localhost:4002"},"issued":1795212968438,"#
                + #""auth":{}},"rooms":["hTnU0Lp9AxWB_qt2AAAA","room1"],"data":{}}]}"#,
            ClassicResponse(
                requestID: "8QwA0b",
                content: .sockets([
                    SocketIOClusterMessage.Socket(
                        id: "hTnU0Lp9AxWB_qt2AAAA", rooms: ["hTnU0Lp9AxWB_qt2AAAA", "room1"], data: .object([:]),
                        handshake: ["headers": ["host": "localhost:4002"], "issued": 1_795_212_968_438, "auth": .object([:])])
                ]))
        ),
        (#"{"requestId":"q","sockets":["a","b"]}"#, ClassicResponse(requestID: "q", content: .socketIDs(["a", "b"]))),
        (#"{"requestId":"q","rooms":["a"]}"#, ClassicResponse(requestID: "q", content: .rooms(["a"]))),
        (#"{"requestId":"q"}"#, ClassicResponse(requestID: "q", content: .done)),
    ]

    @Test(arguments: responses) func responsesAreNodes(json: String, response: ClassicResponse) throws {
        #expect(String(buffer: response.encoded) == json)
        #expect(try ClassicResponse(ByteBuffer(string: json)) == response)
    }

    @Test func theAnswerOfASocketIsNodes() throws {
        let hex = "83a47479706509a9726571756573744964a657556a304144a67061636b6574ab61636b66726f6d34303032"
        let response = ClassicResponse(requestID: "WUj0AD", content: .ack("ackfrom4002"))
        #expect(response.encoded == ByteBuffer(hex: hex))
        #expect(try ClassicResponse(ByteBuffer(hex: hex)) == response)
    }

    @Test func aSocketWithoutDataHasAnEmptyObject() throws {
        let socket = SocketIOClusterMessage.Socket(id: "s", rooms: ["s"], data: .null, handshake: .object([:]))
        #expect(
            String(buffer: ClassicResponse(requestID: "q", content: .sockets([socket])).encoded)
                == #"{"requestId":"q","sockets":[{"id":"s","handshake":{},"rooms":["s"],"data":{}}]}"#)
    }

    // MARK: What is tolerated, and what is not

    @Test func readsWhatOldEmittersSay() throws {
        // As PyPI's socket.io-emitter 0.1.5 writes it: "" for none, and no except.
        let value: SocketIOValue = ["emitter", ["data": ["x", 1], "type": 5, "nsp": "/a"], ["flags": "", "rooms": ""]]
        let expected = ClassicBroadcast(node: "emitter", namespace: "/a", event: ["x", 1], options: SocketIOBroadcastOptions())
        #expect(try ClassicBroadcast(value.messagePack) == expected)
        let rooms: SocketIOValue = [
            "emitter", ["data": ["x"], "type": 2], ["rooms": ["r"], "flags": ["unknown": true, "compress": false]],
        ]
        #expect(
            try ClassicBroadcast(rooms.messagePack)
                == ClassicBroadcast(
                    node: "emitter", namespace: "/", event: ["x"], options: SocketIOBroadcastOptions(rooms: ["r"], compression: .never)))
    }

    @Test(arguments: [
        "", "null", "[]", #"["u",{"type":2,"data":["x"],"nsp":"/"}]"#, #"[1,{"type":2,"data":["x"],"nsp":"/"},{}]"#,
        #"["u",{"type":3,"data":["x"],"nsp":"/"},{}]"#, #"["u",{"type":2,"data":[],"nsp":"/"},{}]"#,
        #"["u",{"type":2,"data":[null],"nsp":"/"},{}]"#,
        #"["u",{"type":2,"data":"x","nsp":"/"},{}]"#, #"["u",{"type":2,"data":["x"],"nsp":1},{}]"#,
        #"["u",{"type":2,"data":["x"]},{"rooms":1}]"#,
        #"["u",{"type":2,"data":["x"]},{"rooms":[1]}]"#, #"["u",{"type":2,"data":["x"]},{"flags":{"timeout":-1}}]"#,
        #"["u",{"type":2,"data":["x"]},{"except":{"length":1}}]"#, #"["u",null,null]"#,
    ]) func refusesOtherBroadcasts(json: String) throws {
        let bytes = json.isEmpty ? ByteBuffer() : try SocketIOValue(json: json).messagePack
        #expect(throws: SocketIOParseError.self) { try ClassicBroadcast(bytes) }
    }

    @Test(arguments: [
        "", "{", "{}", "[]", #"{"type":8}"#, #"{"type":-1}"#, #"{"type":99}"#, #"{"type":"2"}"#, #"{"type":0}"#,
        #"{"type":2,"opts":1,"rooms":["a"]}"#,
        #"{"type":2,"opts":{"rooms":[]},"rooms":"a"}"#, #"{"type":2,"sid":"a"}"#, #"{"type":4,"opts":{},"close":1}"#,
        #"{"type":5,"opts":{}}"#,
        #"{"type":6,"data":[]}"#, #"{"type":6,"data":{"0":"x"}}"#, #"{"type":6,"data":["x"],"requestId":1}"#,
        #"{"uid":1,"type":6,"data":["x"]}"#,
        #"{"type":7,"requestId":"q","packet":{"type":2,"data":[{}]},"opts":{}}"#, #"{"type":7,"requestId":"q","packet":null,"opts":{}}"#,
    ]) func refusesOtherRequests(json: String) { #expect(throws: SocketIOParseError.self) { try ClassicRequest(ByteBuffer(string: json)) } }

    @Test(arguments: [
        "", "{}", #"{"requestId":1}"#, #"{"requestId":"q","sockets":{}}"#, #"{"requestId":"q","sockets":[{}]}"#,
        #"{"requestId":"q","sockets":["a",1]}"#,
        #"{"requestId":"q","sockets":[{"id":"s","rooms":[1]}]}"#, #"{"requestId":"q","rooms":1}"#, #"{"requestId":"q","type":8}"#,
        #"{"requestId":"q","type":8,"clientCount":-1}"#, #"{"requestId":"q","type":8,"clientCount":9223372036854775807}"#,
        #"{"requestId":"q","type":8,"clientCount":1.5}"#, #"{"requestId":"q","type":7}"#,
    ]) func refusesOtherResponses(json: String) {
        #expect(throws: SocketIOParseError.self) { try ClassicResponse(ByteBuffer(string: json)) }
    }

    /// A property: whatever bytes come, they are judged; and a message that is changed somewhere is refused or read as what it says.
    @Test func takesAnyBytes() {
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededGenerator(seed: seed)
        let messages =
            Self.broadcasts.map { ByteBuffer(hex: $0.0) }
            + (Self.requests.map(\.0) + Self.responses.map(\.0)).map { ByteBuffer(string: $0) }
        for _ in 0..<5000 {
            var bytes = Array(buffer: messages[Int.random(in: 0..<messages.count, using: &random)])
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            let buffer = ByteBuffer(bytes: bytes)
            if let read = try? ClassicBroadcast(buffer) {
                #expect((try? ClassicBroadcast(read.encoded))?.event.count == read.event.count, "seed \(seed)")
            }
            if let read = try? ClassicRequest(buffer) { _ = read.encoded }
            if let read = try? ClassicResponse(buffer) { _ = read.encoded }
        }
    }
}

extension SocketIOBroadcastOptions {
    fileprivate static func room(_ name: String) -> Self { Self(rooms: [name]) }
}

extension ByteBuffer {
    /// The bytes that hexadecimal digits stand for.
    init(hex: String) {
        let digits = Array(hex)
        self.init(bytes: stride(from: 0, to: digits.count - 1, by: 2).compactMap { UInt8(String(digits[$0...($0 + 1)]), radix: 16) })
    }
}
