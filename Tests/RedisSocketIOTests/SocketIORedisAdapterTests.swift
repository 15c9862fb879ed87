import NIOCore
import RedisPubSub
import SocketIO
import TestSupport
import Testing

@testable import RedisSocketIO

@Suite(.enabled(if: RedisServerProcess.isInstalled, "\(RedisServerProcess.missing)"), .timeLimit(.minutes(3)))
struct SocketIORedisAdapterTests {
    @Test(arguments: ClusterKind.allCases) func broadcastsReachAllNodes(kind: ClusterKind) async throws {
        try await withCluster(3, kind) { nodes, _ in
            let a = try await nodes[0].client("a", rooms: "r1")
            let b = try await nodes[1].client("b", rooms: "r1", "x")
            let c = try await nodes[2].client("c", rooms: "r2")
            let io = nodes[1].io
            io.emit("hi", 1)
            io.to("r1").emit("hi", 2)
            io.to("r1", "r2").except("x").emit("hi", 3)
            io.local.emit("hi", 4)
            io.emit("hi", arguments: [.binary(ByteBuffer(bytes: [1, 2, 3])), ["deep": [nil, 1.5, "ä"]]])
            io.to("nobody").emit("hi", 5)
            if let id = c.socket.id { io.to(id).emit("hi", 6) }
            io.emit("end")
            let bytes = #"hi "<3 bytes: 010203>" {"deep":[null,1.5,"ä"]}"#
            #expect(try await a.untilEnd() == ["hi 1", "hi 2", "hi 3", bytes])
            #expect(try await b.untilEnd() == ["hi 1", "hi 2", "hi 4", bytes])
            #expect(try await c.untilEnd() == ["hi 1", "hi 3", bytes, "hi 6"])
        }
    }

    @Test(arguments: ClusterKind.allCases) func namespacesAreApart(kind: ClusterKind) async throws {
        try await withCluster(2, kind) { nodes, _ in
            let a = try await nodes[0].client("a")
            let other = nodes.map { $0.io.of("/other") }
            for namespace in other { try await eventually { (try? await namespace.adapter.serverCount()) == 2 } }
            other[1].emit("hi", "other")
            nodes[1].io.emit("end")
            #expect(try await a.untilEnd() == [])
        }
    }

    @Test(arguments: ClusterKind.allCases, [false, true])
    func collectsAcknowledgementsOfAllNodes(kind: ClusterKind, onOwnChannel: Bool) async throws {
        try await withCluster(3, kind, answersOnOwnChannel: onOwnChannel) { nodes, _ in
            for (index, node) in nodes.enumerated() { _ = try await node.client("client \(index)", rooms: "r") }
            _ = try await nodes[2].client("client 3", rooms: "r")
            _ = try await nodes[0].client("not asked")
            let answers = try await nodes[1].io.to("r").timeout(.seconds(100)).emitWithAck("who")
            #expect(Set(answers.map { $0.first?.string ?? "" }) == ["client 0", "client 1", "client 2", "client 3"])
            #expect(answers.count == 4)
        }
    }

    @Test(arguments: ClusterKind.allCases, [false, true])
    func describesTheSocketsOfAllNodes(kind: ClusterKind, onOwnChannel: Bool) async throws {
        try await withCluster(2, kind, answersOnOwnChannel: onOwnChannel) { nodes, _ in
            let a = try await nodes[0].client("a", rooms: "r", data: "of a")
            let b = try await nodes[1].client("b", rooms: "r", "s", data: "of b")
            let all = try await nodes[0].io.fetchSockets()
            #expect(Set(all.map(\.id)) == Set([a, b].compactMap(\.socket.id)))
            let remote = try #require(try await nodes[0].io.to("s").fetchSockets().first)
            #expect(remote.id == b.socket.id)
            #expect(remote.rooms == ["r", "s", remote.id])
            #expect(remote.data(as: String.self) == "of b")
            #expect(remote.handshake["query"]?["EIO"] == "4")
            #expect(try await nodes[0].io.local.fetchSockets().map(\.id) == [a.socket.id])
            remote.emit("hi", "remote")
            nodes[0].io.emit("end")
            #expect(try await b.untilEnd() == [#"hi "remote""#])
            #expect(try await a.untilEnd() == [])
        }
    }

    @Test(arguments: ClusterKind.allAtOnce) func movesAndDisconnectsTheSocketsOfAllNodes(kind: ClusterKind) async throws {
        try await withCluster(2, kind) { nodes, _ in
            let a = try await nodes[0].client("a", rooms: "r")
            let b = try await nodes[1].client("b", rooms: "r")
            let c = try await nodes[1].client("c")
            nodes[0].io.to("r").socketsJoin(["new"])
            nodes[0].io.to("new").emit("hi", 1)
            nodes[0].io.in("new").socketsLeave(["new"])
            nodes[0].io.to("new").emit("hi", 2)
            nodes[0].io.emit("end")
            #expect(try await a.untilEnd() == ["hi 1"])
            #expect(try await b.untilEnd() == ["hi 1"])
            #expect(try await c.untilEnd() == [])
            nodes[0].io.to("r").disconnectSockets(closingConnection: true)
            try await eventually { try await nodes[1].io.fetchSockets().map(\.id) == [c.socket.id] }
        }
    }

    @Test(arguments: ClusterKind.allCases) func programsTalkToEachOther(kind: ClusterKind) async throws {
        try await withCluster(3, kind) { nodes, _ in
            let answers = try await nodes[0].io.main.serverSideEmitWithAck("name", arguments: ["x"])
            #expect(Set(answers) == [["node 1"], ["node 2"]])
            let heard = AsyncStream<[SocketIOValue]>.makeStream()
            nodes[1].io.main.onServerSideEvent("note") { arguments in
                heard.continuation.yield(arguments)
                return []
            }
            nodes[0].io.main.serverSideEmit("note", arguments: [1, .binary(ByteBuffer(bytes: [7]))])
            var iterator = heard.stream.makeAsyncIterator()
            #expect(await iterator.next() == [1, .binary(ByteBuffer(bytes: [7]))])
        }
    }

    @Test(arguments: ClusterKind.allCases) func aNodeAloneAsksNobody(kind: ClusterKind) async throws {
        try await withCluster(1, kind) { nodes, _ in
            _ = try await nodes[0].client("a")
            #expect(try await nodes[0].io.timeout(.seconds(100)).emitWithAck("who") == [["a"]])
            #expect(try await nodes[0].io.fetchSockets().count == 1)
            #expect(try await nodes[0].io.main.serverSideEmitWithAck("name") == [])
        }
    }

    // MARK: Faults

    @Test(arguments: ClusterKind.allCases) func aNodeThatIsFrozenCostsTheTimeoutAndNoMore(kind: ClusterKind) async throws {
        try await withCluster(2, kind, requestTimeout: .milliseconds(300)) { nodes, redis in
            let frozen = Stranger(redisPort: redis.port)
            try await frozen.listen(
                to: kind.usesShards ? .shardChannel("socket.io#/#") : .channel(kind == .classic ? "socket.io-request#/#" : "socket.io#/#"))
            for (index, node) in nodes.enumerated() { _ = try await node.client("client \(index)") }
            // What came stands in the error. On a busy machine, the other node's answer may come too late as well.
            try await eventually {
                let error = await #expect(throws: SocketIOClusterTimeout.self) { try await nodes[0].io.fetchSockets() }
                #expect(error?.expected == 2)
                #expect(error?.sockets.count == (error?.answered ?? 0) + 1)
                return error?.answered == 1
            }
            try await eventually {
                let error = await #expect(throws: SocketIOClusterTimeout.self) { try await nodes[0].io.main.serverSideEmitWithAck("name") }
                return error?.responses == [["node 1"]] && error?.answered == 1
            }
            // The other node has answered; the one that is frozen is told of by the error.
            try await eventually {
                let error = await #expect(throws: SocketIOAckError.self) {
                    try await nodes[0].io.timeout(.seconds(1)).emitWithAck("who")
                }
                #expect(error?.reason == .timeout)
                return Set(error?.responses ?? []) == [["client 0"], ["client 1"]]
            }
            // A node that is gone is not asked.
            await frozen.redis.close()
            try await untilComplete(nodes)
            try await eventually { (try? await nodes[0].io.fetchSockets())?.count == 2 }
            #expect(try await nodes[0].io.timeout(.seconds(100)).emitWithAck("who").count == 2)
        }
    }

    // With recovery, what is said waits for Redis: see StreamsRecoveryTests.
    @Test(arguments: [ClusterKind.classic, .streams, .shardedDynamic]) func aNodeGoesOnAloneWithoutRedis(kind: ClusterKind) async throws {
        try await withCluster(2, kind) { nodes, redis in
            let a = try await nodes[0].client("a")
            let b = try await nodes[1].client("b")
            redis.killNow()
            for node in nodes { try await eventually { node.redis.status.state == .connecting } }
            nodes[0].io.emit("hi", "alone")
            nodes[0].io.emit("end")
            #expect(try await a.untilEnd() == [#"hi "alone""#])
            // What needs the others' answers fails, with what this node knows.
            let asked = await #expect(throws: SocketIOAckError.self) {
                try await nodes[0].io.timeout(.seconds(100)).emitWithAck("who")
            }
            #expect(asked?.reason == .otherNodesUnreachable)
            #expect(asked?.responses == [["a"]])
            let fetched = await #expect(throws: SocketIOClusterUnreachable.self) { try await nodes[0].io.fetchSockets() }
            #expect(fetched?.sockets.count == 1)
            await #expect(throws: SocketIOClusterUnreachable.self) { try await nodes[0].io.main.serverSideEmitWithAck("name") }
            await #expect(throws: SocketIOClusterUnreachable.self) { try await nodes[0].io.main.adapter.serverCount() }
            #expect(try await nodes[0].io.local.timeout(.seconds(100)).emitWithAck("who") == [["a"]])
            #expect(try await nodes[0].io.local.fetchSockets().count == 1)

            let again = try await RedisServerProcess.start(port: redis.port)
            defer { again.stop() }
            try await untilComplete(nodes)
            nodes[0].io.emit("hi", "together")
            // Over a stream, what was on its way when Redis went comes first.
            try await eventually { b.heard.last == #"hi "together""# }
        }
    }

    @Test func whatCanBeNoMessageIsDropped() async throws {
        try await withCluster { nodes, redis in
            let a = try await nodes[0].client("a")
            let stranger = Stranger(redisPort: redis.port)
            try await stranger.untilReady()
            let hostile: [SocketIOValue] = [
                nil, [], ["u", nil, nil], ["u", ["type": 2, "data": ["connect"], "nsp": "/"], .object([:])],
                ["u", ["type": 2, "data": ["hi", "other"], "nsp": "/other"], .object([:])],
                ["type": 7, "requestId": "q", "packet": ["type": 2, "data": [[]]], "opts": .object([:])],
                ["type": 5, "opts": ["rooms": 1]],
            ]
            for channel in ["socket.io#/#", "socket.io-request#/#", "socket.io-response#/#"] {
                for value in hostile { stranger.say(value.messagePack, on: channel) }
                for text in ["", "{", "{}", #"{"__proto__":1}"#, "\u{0}"] { stranger.say(ByteBuffer(string: text), on: channel) }
            }
            // What a Node.js server said when it was captured.
            stranger.say(
                ByteBuffer(
                    hex:
                        "93a65946727a467483a47479706502a46461746194a568656c6c6fa3616c6c0181a161c0a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61"
                        + "677380"), on: "socket.io#/#")
            let emitter = SocketIORedisEmitter(link: stranger.redis, namespace: "/", key: "socket.io")
            try emitter.emit("end")
            #expect(try await a.untilEnd() == [#"hello "all" 1 {"a":null}"#])
            await stranger.redis.close()
        }
    }

    // MARK: What it says

    @Test func saysWhatNodeWouldSay() async throws {
        try await withCluster { nodes, redis in
            let stranger = Stranger(redisPort: redis.port)
            try await stranger.listen(to: .pattern("socket.io*"))
            let adapter = try #require(nodes[0].io.main.adapter as? SocketIORedisAdapter)
            let io = nodes[0].io
            io.emit("hello", arguments: ["all", 1, ["a": nil]])
            io.to("room1").emit("hello", "room")
            io.to("room1").socketsJoin(["r9"])
            try await eventually { stranger.heard.count >= 3 }
            let event = ClassicBroadcast(
                node: adapter.node, namespace: "/", event: ["hello", "all", 1, ["a": nil]], options: SocketIOBroadcastOptions())
            #expect(stranger.heard[0].channel == "socket.io#/#")
            #expect(stranger.heard[0].bytes == event.encoded)
            #expect(stranger.heard[1].channel == "socket.io#/#room1#")
            #expect(stranger.heard[2].channel == "socket.io-request#/#")
            #expect(
                String(buffer: stranger.heard[2].bytes)
                    == #"{"uid":"\#(adapter.node)","type":2,"opts":{"rooms":["room1"],"except":[]},"rooms":["r9"]}"#)
            await stranger.redis.close()
        }
    }

    @Test func emittersReachEverybody() async throws {
        try await withCluster { nodes, redis in
            let a = try await nodes[0].client("a", rooms: "r")
            let b = try await nodes[1].client("b")
            let emitter = SocketIORedisEmitter(RedisClient(RedisConfiguration(url: RedisURL(port: redis.port))))
            try emitter.emit("hi", 1)
            try emitter.to("r").emit("hi", 2)
            try emitter.except("r").emit("hi", 3)
            try emitter.to("r").socketsJoin(["s"])
            try emitter.to("s").emit("hi", 4)
            try emitter.in("s").socketsLeave(["s"])
            try emitter.to("s").emit("hi", 5)
            #expect(throws: SocketIOUsageError.self) { try emitter.emit("disconnect") }
            try emitter.emit("end")
            try await emitter.close()
            #expect(try await a.untilEnd() == ["hi 1", "hi 2", "hi 4"])
            #expect(try await b.untilEnd() == ["hi 1", "hi 3"])
            #expect(throws: RedisError.self) { try emitter.emit("hi", 6) }
        }
    }

    /// Each way of saying something, alone, on a client that has not connected yet; each ending behind it.
    @Test(arguments: EmitterEnding.allCases) func whatAnEmitterHasSaidIsPublishedBeforeItEnds(ending: EmitterEnding) async throws {
        try await withRedis { redis in
            let stranger = Stranger(redisPort: redis.port)
            try await stranger.listen(to: .pattern("socket.io*"))
            let ways: [(SocketIORedisEmitter) throws -> Void] = [
                { try $0.emit("hi", 1) }, { try $0.to("r").emit("hi", arguments: [1]) }, { try $0.socketsJoin(["s"]) },
                { try $0.socketsLeave(["s"]) }, { try $0.disconnectSockets() }, { try $0.serverSideEmit("name") },
                { try $0.of("/other").volatile.emit("hi") },
            ]
            for (index, say) in ways.enumerated() {
                let emitter = SocketIORedisEmitter(try RedisClient(url: "redis://127.0.0.1:\(redis.port)"))
                try say(emitter)
                switch ending {
                case .close: try await emitter.close()
                case .flush: try await emitter.flush()
                case .nothing: break
                }
                try await eventually { stranger.heard.count > index }
            }
            #expect(stranger.heard.count == ways.count)
            await stranger.redis.close()
        }
    }

    enum EmitterEnding: CaseIterable { case close, flush, nothing }

    @Test func anEmitterWithoutRedisSaysWhatIsMissing() async throws {
        let redis = try await RedisServerProcess.start()
        redis.stop()
        let emitter = SocketIORedisEmitter(RedisClient(RedisConfiguration(url: RedisURL(port: redis.port))))
        try emitter.emit("hi", 1)
        try emitter.emit("hi", 2)
        let flushed = await #expect(throws: RedisError.self) { try await emitter.flush(within: .milliseconds(200)) }
        #expect(flushed?.reason == .notPublished)
        #expect(flushed?.detail.hasPrefix("2 still waiting") == true)
        let closed = await #expect(throws: RedisError.self) { try await emitter.close(within: .milliseconds(200)) }
        #expect(closed?.reason == .notPublished)
        #expect(closed?.detail.hasPrefix("2 dropped") == true)
        #expect(throws: RedisError.self) { try emitter.emit("hi", 3) }
        try await emitter.close()
    }

    /// What `@socket.io/redis-streams-emitter` writes.
    @Test(arguments: [ClusterKind.streams, .recovery]) func emittersOfStreamsAreHeard(kind: ClusterKind) async throws {
        try await withCluster(2, kind) { nodes, redis in
            let heard = AsyncStream<[SocketIOValue]>.makeStream()
            for node in nodes {
                node.io.main.onServerSideEvent("note") { arguments in
                    heard.continuation.yield(arguments)
                    return []
                }
            }
            let b = try await nodes[1].client("b")
            let emitter = RedisClient(RedisConfiguration(url: RedisURL(port: redis.port)))
            try await emitter.waitUntilReady()
            let entries = [
                ("9", #"{"packet":["note",1]}"#), ("9", "gaZwYWNrZXSSpG5vdGXEAQc="),
                ("3", #"{"packet":{"type":2,"data":["end"],"nsp":"/"},"opts":{"rooms":[],"flags":{},"except":[]}}"#),
            ]
            for (type, data) in entries {
                _ = try await emitter.ask("XADD", "socket.io", "*", "uid", "emitter", "nsp", "/", "type", type, "data", data)
            }
            _ = try await b.untilEnd()
            var iterator = heard.stream.makeAsyncIterator()
            var notes: [[SocketIOValue]] = []
            while notes.count < 4, let note = await iterator.next() { notes.append(note) }
            #expect(notes.filter { $0 == [1] }.count == 2)
            #expect(notes.filter { $0 == [.binary(ByteBuffer(bytes: [7]))] }.count == 2)
            await emitter.close()
        }
    }

    /// Node takes a socket's data for an object.
    @Test func dataThatIsNotThereIsAnEmptyObject() {
        for data: SocketIOValue in [.null, ["a": 1], .int(0), .bool(false), ""] {
            let socket = SocketIOClusterMessage.Socket(id: "i", rooms: [], data: data, handshake: .object([:]))
            let message = SocketIOClusterMessage(node: "n", namespace: "/", .fetchSocketsResponse(requestID: "r", sockets: [socket]))
            #expect(message.value["data"]?["sockets"]?.array?.first?["data"] == (data.isNull ? .object([:]) : data))
        }
    }
}
