// Clients that come back to another node, and what becomes of what was said meanwhile.

import EngineIO
import Foundation
import NIOConcurrencyHelpers
import NIOCore
import RedisPubSub
import SocketIO
import TestSupport
import Testing

@testable import RedisSocketIO

/// A client that comes back by itself, through a proxy, and what it gets.
final class Returner: Sendable {
    let client: SocketIOClient
    let socket: SocketIOClientSocket
    private let state = NIOLockedValueBox((numbers: [Int](), connects: 0, recoveries: 0, disconnects: 0))

    init(port: Int, room: String) async throws {
        var configuration = SocketIOClientConfiguration()
        configuration.engine.transports = [.webSocket]
        configuration.reconnection = SocketIOReconnection(delay: .milliseconds(10), maxDelay: .milliseconds(100))
        client = try SocketIOClient("http://127.0.0.1:\(port)", configuration: configuration)
        socket = client.socket()
        let (state, socket) = (state, socket)
        socket.on("hi") { (event: SocketIOEvent) in
            state.withLockedValue { $0.numbers.append(event.arguments.first?.int ?? -1) }
        }
        socket.onConnect {
            state.withLockedValue { state in
                state.connects += 1
                if socket.isRecovered { state.recoveries += 1 }
            }
        }
        socket.onDisconnect { _ in state.withLockedValue { $0.disconnects += 1 } }
        socket.connect()
        try await socket.waitUntilConnected()
        _ = try await socket.emitWithAck("join", arguments: [.string(room)])
    }

    var numbers: [Int] { state.withLockedValue { $0.numbers } }
    /// How often it was told that its connection has ended, which is after all events before.
    var disconnects: Int { state.withLockedValue { $0.disconnects } }
    var connects: Int { state.withLockedValue { $0.connects } }
    /// Whether it has always gone on where it was.
    var isWhole: Bool { state.withLockedValue { $0.recoveries == $0.connects - 1 } }
}

@Suite(.enabled(if: RedisServerProcess.isInstalled, "\(RedisServerProcess.missing)"), .timeLimit(.minutes(5)))
struct StreamsRecoveryTests {
    @Test func whatWasMissedComesOnAnotherNode() async throws {
        try await withCluster(2, .recovery) { nodes, _ in
            let (first, second) = (try await nodes[0].port, try await nodes[1].port)
            let target = NIOLockedValueBox(first)
            let proxy = try await CuttingProxy.start(to: target.withLockedValue { $0 })
            let client = try await Returner(port: proxy.port, room: "room")
            let id = client.socket.id
            nodes[1].io.to("room").emit("hi", 1)
            try await eventually { client.numbers == [1] }

            target.withLockedValue { $0 = second }
            proxy.set { Fate(up: 0) }
            proxy.cut(.reset)
            try await eventually { nodes[0].io.main.localSockets.isEmpty }
            nodes[0].io.to("room").emit("hi", 2)
            nodes[1].io.to("room").emit("hi", 3)
            nodes[1].io.to("other").emit("hi", -1)
            nodes[0].io.to("room").volatile.emit("hi", -2)
            proxy.set { .none }
            try await eventually { client.connects == 2 }
            nodes[0].io.to("room").emit("hi", 4)
            try await eventually { client.numbers.last == 4 }
            // Both nodes have said something, at the same time.
            #expect(client.numbers.sorted() == [1, 2, 3, 4])
            #expect(client.isWhole && client.socket.id == id)
            #expect(nodes[1].io.main.localSockets.first?.rooms == ["room", id ?? ""])
            await client.client.close()
            await proxy.stop()
        }
    }

    @Test func aNodeThatIsKilledTakesNobodysPlaceAlong() async throws {
        try await withCluster(2, .recovery) { nodes, _ in
            let (first, second) = (try await nodes[0].port, try await nodes[1].port)
            let target = NIOLockedValueBox(first)
            let proxy = try await CuttingProxy.start(to: target.withLockedValue { $0 })
            let client = try await Returner(port: proxy.port, room: "room")
            nodes[1].io.to("room").emit("hi", 1)
            try await eventually { client.numbers == [1] }
            let session = try #require(nodes[0].io.main.localSockets.first?.session)
            try await eventually {
                // It is kept while the client is there: a node that is killed has no time for it.
                guard case .bulk(let bytes) = try await nodes[1].redis.ask("GET", "sio:session:\(session.privateID)") else { return false }
                return try SocketIOSession(encoded: bytes, privateID: session.privateID).rooms == session.rooms
            }
            target.withLockedValue { $0 = second }
            await nodes[0].redis.close()
            await nodes[0].stop(tellsClients: false)
            nodes[1].io.to("room").emit("hi", 2)
            try await eventually { client.connects == 2 }
            nodes[1].io.to("room").emit("hi", 3)
            try await eventually { client.numbers.last == 3 }
            #expect(client.numbers == [1, 2, 3] && client.isWhole)
            await client.client.close()
            await proxy.stop()
        }
    }

    @Test func whatIsSaidWhileRedisIsAwayWaitsForIt() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("duplex-\(UInt64.random(in: 0 ... .max))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let keeping = ["--appendonly", "yes", "--appendfsync", "always", "--dir", directory.path]
        var redis = try await RedisServerProcess.start(arguments: keeping)
        let nodes = [IONode("a", .recovery, redisPort: redis.port), IONode("b", .recovery, redisPort: redis.port)]
        try await untilComplete(nodes)
        let a = try await Returner(port: nodes[0].port, room: "room")
        let b = try await Returner(port: nodes[1].port, room: "room")
        nodes[0].io.to("room").emit("hi", 1)
        redis.killNow()
        for number in 2...20 { nodes[0].io.to("room").emit("hi", number) }
        redis = try await RedisServerProcess.start(port: redis.port, arguments: keeping)
        try await untilComplete(nodes)
        for number in 21...30 { nodes[0].io.to("room").emit("hi", number) }
        for client in [a, b] {
            try await eventually { client.numbers.last == 30 }
            #expect(client.numbers == Array(1...30))
            await client.client.close()
        }
        for node in nodes { await node.stop() }
        redis.stop()
    }

    @Test func lastWordsAreHeard() async throws {
        try await withCluster(2, .recovery) { nodes, _ in
            let client = try await Returner(port: nodes[0].port, room: "room")
            let socket = try #require(nodes[0].io.main.localSockets.first)
            socket.emit("hi", 1)
            nodes[0].io.local.emit("hi", 2)
            nodes[0].io.to("room").emit("hi", 3)
            socket.disconnect()
            try await eventually { client.disconnects == 1 }
            #expect(client.numbers == [1, 2, 3])
            // Who was sent away does not come back as who it was.
            let key = "sio:session:\(socket.privateID ?? "")"
            try await eventually { try await nodes[1].redis.ask("GET", key) == .null }
            await client.client.close()
        }
    }

    private func kill(_ redis: RedisServerProcess, under node: IONode) async throws {
        redis.killNow()
        let adapter = try #require(node.io.main.adapter as? SocketIORedisStreamsAdapter)
        // The stream is found to be away when something is written.
        node.io.to("nobody").emit("hi")
        try await eventually { !adapter.isUp }
    }

    @Test func lastWordsWaitForRedis() async throws {
        try await withCluster(1, .recovery) { nodes, redis in
            let client = try await Returner(port: nodes[0].port, room: "room")
            let socket = try #require(nodes[0].io.main.localSockets.first)
            try await kill(redis, under: nodes[0])
            socket.emit("hi", 1)
            nodes[0].io.to("room").emit("hi", 2)
            socket.disconnect()
            let again = try await RedisServerProcess.start(port: redis.port)
            defer { again.stop() }
            try await eventually { client.disconnects == 1 }
            #expect(client.numbers == [1, 2])
            await client.client.close()
        }
    }

    @Test func whoIsSentAwayDoesNotWaitForEver() async throws {
        try await withCluster(1, .recovery, requestTimeout: .milliseconds(100)) { nodes, redis in
            let client = try await Returner(port: nodes[0].port, room: "room")
            let socket = try #require(nodes[0].io.main.localSockets.first)
            try await kill(redis, under: nodes[0])
            socket.emit("hi", 1)
            socket.disconnect()
            try await eventually { client.disconnects == 1 }
            #expect(client.numbers == [])
            await client.client.close()
        }
    }

    @Test(arguments: ["", "0", "x-y"]) func whoNamesNoPlaceBeginsAnew(offset: String) async throws {
        try await withCluster(1, .recovery) { nodes, _ in
            let client = try await Returner(port: nodes[0].port, room: "room")
            let socket = try #require(nodes[0].io.main.localSockets.first)
            nodes[0].io.emit("hi", 1)
            try await eventually { client.numbers == [1] }
            #expect(await nodes[0].io.main.adapter.restore(privateID: socket.privateID ?? "", offset: offset) == nil)
            await client.client.close()
        }
    }
}

// The run of 200 faults takes minutes.
@Suite(.enabled(if: RedisServerProcess.isInstalled, "\(RedisServerProcess.missing)"), .timeLimit(.minutes(60)))
struct ClusterFaultTests {
    /// Numbers are said to a room all the while, by a node without clients; everything else is broken, one thing after the other.
    @Test func nothingIsLostOrDoubled() async throws {
        let wanted = ProcessInfo.processInfo.environment["DUPLEX_FAULTS"].flatMap { Int($0) } ?? 10
        let seed = ProcessInfo.processInfo.environment["DUPLEX_SEED"].flatMap { UInt64($0) } ?? .random(in: .min ... .max)
        print("seed \(seed), \(wanted) faults")
        try await FaultRun(seed: seed).run(wanted)
    }
}
