// The sharded adapter's channels: what is said where, and who listens. What all adapters do is in SocketIORedisAdapterTests.

import Foundation
import NIOCore
import SocketIO
import TestSupport
import Testing

@testable import RedisPubSub
@testable import RedisSocketIO

@Suite(.enabled(if: RedisServerProcess.isInstalled, "\(RedisServerProcess.missing)"), .timeLimit(.minutes(3)))
struct SocketIORedisShardedAdapterTests {
    /// What was heard, as `channel: text`, without the nodes' names and with `…` for a socket's id.
    private func texts(_ stranger: Stranger, _ id: String?) -> [String] {
        stranger.heard.map { channel, bytes in
            var text = "\(channel): \(String(buffer: bytes))"
            if let uid = text.range(of: #","uid":"[^"]*""#, options: .regularExpression) { text.removeSubrange(uid) }
            return id.map { text.replacingOccurrences(of: $0, with: "…") } ?? text
        }
    }

    // The texts are those of shared/wire/wire-redis-sharded.txt but for the names.
    @Test func saysWhatNodeWouldSay() async throws {
        try await withCluster(2, .shardedDynamic) { nodes, redis in
            let id = try await nodes[0].client("a", rooms: "room1").socket.id ?? ""
            let stranger = Stranger(redisPort: redis.port)
            for room in ["", "room1#", "\(id)#"] { try await stranger.listen(to: .shardChannel("socket.io#/#\(room)")) }
            let io = nodes[1].io
            io.emit("hello", arguments: ["all", 1, ["a": nil]])
            io.to("room1").emit("hello", "room")
            io.to("room1", "room2").except("x").volatile.emit("hello", "multi")
            io.to("room1").socketsJoin(["r9"])
            io.to("room1").socketsLeave(["r9"])
            // A socket's own room has no channel in this mode.
            io.to(id).emit("hello", "one")
            io.in("r404").disconnectSockets(closingConnection: true)
            io.main.serverSideEmit("ping", arguments: ["x"])
            try await eventually { stranger.heard.count == 8 }
            #expect(
                texts(stranger, id) == [
                    #"socket.io#/#: {"type":3,"data":{"packet":{"type":2,"data":["hello","all",1,{"a":null}]},"opts":{"rooms":[],"except":[],"flags":{}}},"nsp":"/"}"#,
                    #"socket.io#/#room1#: {"type":3,"data":{"packet":{"type":2,"data":["hello","room"]},"opts":{"rooms":["room1"],"except":[],"flags":{}}},"nsp":"/"}"#,
                    #"socket.io#/#: {"type":3,"data":{"packet":{"type":2,"data":["hello","multi"]},"opts":{"rooms":["room1","room2"],"except":["x"],"flags":{"volatile":true}}},"nsp":"/"}"#,
                    #"socket.io#/#: {"type":4,"data":{"opts":{"rooms":["room1"],"except":[],"flags":{}},"rooms":["r9"]},"nsp":"/"}"#,
                    #"socket.io#/#: {"type":5,"data":{"opts":{"rooms":["room1"],"except":[],"flags":{}},"rooms":["r9"]},"nsp":"/"}"#,
                    #"socket.io#/#: {"type":3,"data":{"packet":{"type":2,"data":["hello","one"]},"opts":{"rooms":["…"],"except":[],"flags":{}}},"nsp":"/"}"#,
                    #"socket.io#/#: {"type":6,"data":{"opts":{"rooms":["r404"],"except":[],"flags":{}},"close":true},"nsp":"/"}"#,
                    #"socket.io#/#: {"type":9,"data":{"packet":["ping","x"]},"nsp":"/"}"#,
                ])
            await stranger.redis.close()
        }
    }

    @Test func bytesAreMessagePack() async throws {
        try await withCluster(1, .sharded) { nodes, redis in
            let stranger = Stranger(redisPort: redis.port)
            try await stranger.listen(to: .shardChannel("socket.io#/#"))
            nodes[0].io.emit("hi", arguments: [.binary(ByteBuffer(bytes: [1, 2, 3]))])
            try await eventually { !stranger.heard.isEmpty }
            // 84: four members; then "type", 3.
            #expect(stranger.heard[0].bytes.readableBytesView.starts(with: [0x84, 0xa4] + Array("type".utf8) + [3]))
            await stranger.redis.close()
        }
    }

    @Test(arguments: [ClusterKind.sharded, .shardedDynamic, .shardedPrivate]) func listensToTheRoomsThatHaveSomebody(kind: ClusterKind)
        async throws
    {
        try await withCluster(1, kind) { nodes, _ in
            let redis = nodes[0].redis
            func isHeard(_ room: String) -> Bool { redis.isSubscribed(to: .shardChannel("socket.io#/#\(room)#")) }
            let (a, b) = (try await nodes[0].client("a", rooms: "r"), try await nodes[0].client("b", rooms: "r", "s"))
            let ids = [a, b].compactMap(\.socket.id)
            #expect(["r", "s"].map(isHeard) == Array(repeating: kind != .sharded, count: 2))
            #expect(ids.map(isHeard) == Array(repeating: kind == .shardedPrivate, count: 2))
            try #require(nodes[0].io.main.localSockets.first { $0.id == ids[1] }).leave("s")
            a.socket.disconnect()
            try await eventually { !isHeard("s") && !isHeard(ids[0]) }
            #expect(isHeard("r") == (kind != .sharded))
            #expect(isHeard(ids[1]) == (kind == .shardedPrivate))
            nodes[0].io.socketsLeave(["r"])
            try await eventually { !isHeard("r") }
        }
    }

    @Test func aRoomIsNotHeardByNodesThatHaveNobodyInIt() async throws {
        try await withCluster(3, .shardedDynamic) { nodes, _ in
            let a = try await nodes[0].client("a", rooms: "r")
            let b = try await nodes[1].client("b", rooms: "other")
            let before = nodes[1].redis.status.received
            for _ in 0..<50 { nodes[2].io.to("r").emit("hi", 1) }
            nodes[2].io.emit("end")
            #expect(try await a.untilEnd().count == 50)
            #expect(try await b.untilEnd() == [])
            #expect(nodes[1].redis.status.received == before + 1)
        }
    }
}
