// A cluster under random faults: Redis killed and stopped, nodes killed, connections cut between them and Redis and between clients and them.

import Foundation
import NIOConcurrencyHelpers
import NIOCore
import RedisPubSub
import SocketIO
import TestSupport
import Testing

@testable import RedisSocketIO

/// A node, and what carries its connections to Redis.
private struct LinkedNode {
    let node: IONode
    let link: CuttingProxy
    let port: Int

    init(redisPort: Int) async throws {
        link = try await CuttingProxy.start(to: redisPort)
        node = IONode("node", .recovery, redisPort: link.port, replyTimeout: .seconds(2))
        port = try await node.port
        try await untilUp()
    }

    func untilUp() async throws {
        let adapter = try #require(node.io.main.adapter as? SocketIORedisStreamsAdapter)
        try await eventually { adapter.isUp && node.redis.status.state == .ready }
    }

    /// Goes as a node does that is killed: Redis hears nothing more of it.
    func die() async {
        link.set { Fate(up: 0) }
        link.cut(.reset)
        await node.stop(tellsClients: false)
        await link.stop()
    }

    func stop() async {
        await node.stop()
        await link.stop()
    }
}

/// Three nodes, two of which have the clients, on one Redis that keeps what it confirms.
final class FaultRun {
    private enum Fault: String, CaseIterable { case clientsCut, redisKilled, redisStopped, nodeKilled, redisCut }

    private var random: SeededGenerator
    private let directory: URL
    private var redis: RedisServerProcess?
    private var serving: [LinkedNode] = []
    private let ports = NIOLockedValueBox<[Int]>([])
    private let said = NIOLockedValueBox(0)
    private var counts: [Fault: Int] = [:]

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("duplex-faults-\(seed)")
    }

    private func startRedis(port: Int? = nil) async throws -> RedisServerProcess {
        let keeping = ["--appendonly", "yes", "--appendfsync", "always", "--dir", directory.path]
        let server = try await RedisServerProcess.start(port: port, arguments: keeping)
        redis = server
        return server
    }

    private func addNode(_ redisPort: Int) async throws {
        let node = try await LinkedNode(redisPort: redisPort)
        serving.append(node)
        ports.withLockedValue { $0.append(node.port) }
    }

    func run(_ faults: Int) async throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let redisPort = try await startRedis().port
        let speaker = try await LinkedNode(redisPort: redisPort)
        for _ in 0..<2 { try await addNode(redisPort) }
        let ports = ports
        let balancer = try await CuttingProxy.start(to: ports.withLockedValue { $0.randomElement() ?? 0 })
        var clients: [Returner] = []
        for _ in 0..<6 { clients.append(try await Returner(port: balancer.port, room: "room")) }
        let said = said
        let io = speaker.node.io
        io.to("room").emit("hi", 0)
        // Who has no offset yet has nowhere to go on from.
        for client in clients { try await eventually { client.numbers == [0] } }
        let speaking = Task {
            while !Task.isCancelled {
                let number = said.withLockedValue { said in
                    said += 1
                    return said
                }
                io.to("room").emit("hi", number)
                try? await Task.sleep(for: .milliseconds(5))
            }
        }
        for done in 0..<faults {
            if done > 0, done.isMultiple(of: 20) { print("\(done) faults, \(said.withLockedValue { $0 }) events") }
            let fault = Fault.allCases.randomElement(using: &random) ?? .clientsCut
            counts[fault, default: 0] += 1
            try await perform(fault, redisPort, speaker, balancer)
            try await speaker.untilUp()
            for node in serving { try await node.untilUp() }
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...50, using: &random)))
        }
        speaking.cancel()
        await speaking.value
        let last = said.withLockedValue { $0 }
        // One that has begun anew is in no room, and hears nothing more.
        for client in clients { try await eventually { client.numbers.contains(last) || !client.isWhole } }
        try await settle(clients, last, balancer)
        await speaker.stop()
        for node in serving { await node.stop() }
        redis?.stop()
    }

    private func settle(_ clients: [Returner], _ last: Int, _ balancer: CuttingProxy) async throws {
        var (lost, doubled) = (0, 0)
        for client in clients {
            let numbers = client.numbers
            lost += last + 1 - Set(numbers).count
            doubled += numbers.count - Set(numbers).count
            #expect(numbers == Array(0...last))
            #expect(client.isWhole)
        }
        let connects = clients.reduce(0) { $0 + $1.connects - 1 }
        let faults = counts.map { "\($0.key.rawValue) \($0.value)" }.sorted().joined(separator: ", ")
        print("\(faults): \(last + 1) events to \(clients.count) clients, \(connects) reconnections, \(lost) lost, \(doubled) doubled")
        for client in clients { await client.client.close() }
        await balancer.stop()
    }

    private func perform(_ fault: Fault, _ redisPort: Int, _ speaker: LinkedNode, _ balancer: CuttingProxy) async throws {
        let end = [Fate.End.close, .reset].randomElement(using: &random) ?? .close
        switch fault {
        case .clientsCut: balancer.cut(end)
        case .redisCut:
            // A cable that is cut says nothing.
            let end = [end, .silence].randomElement(using: &random) ?? end
            ([speaker] + serving).randomElement(using: &random)?.link.cut(end)
        case .redisKilled:
            redis?.killNow()
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...300, using: &random)))
            _ = try await startRedis(port: redisPort)
        case .redisStopped:
            // Sometimes for longer than it may take to answer.
            redis?.signal(SIGSTOP)
            try await Task.sleep(for: .milliseconds(Int.random(in: 100...3000, using: &random)))
            redis?.signal(SIGCONT)
        case .nodeKilled:
            let node = serving.remove(at: Int.random(in: serving.indices, using: &random))
            ports.withLockedValue { $0.removeAll { $0 == node.port } }
            await node.die()
            try await addNode(redisPort)
        }
    }
}
