import NIOCore
import PubSub
import TestSupport
import Testing

@testable import RedisPubSub

@Suite(.enabled(if: RedisServerProcess.isInstalled, "\(RedisServerProcess.missing)"), .timeLimit(.minutes(3)))
struct RedisSentinelTests {
    /// Runs a master, its replica, and a Sentinel that knows both.
    private func withSentinel(
        _ body: (_ master: RedisServerProcess, _ replica: RedisServerProcess, _ sentinel: RedisServerProcess) async throws -> Void
    ) async throws {
        try await withRedis { master in
            try await withRedis(["--replicaof", "127.0.0.1", "\(master.port)", "--repl-diskless-sync-delay", "0"]) { replica in
                let folder = try TestFolder()
                let sentinel = try await RedisServerProcess.startSentinel(of: master, named: "main", in: folder.path)
                defer { sentinel.stop() }
                try await body(master, replica, sentinel)
            }
        }
    }

    private func sentinel(_ ports: Int..., master: String = "main") -> RedisURL {
        let addresses = ports.map { RedisSentinel.Address(host: "127.0.0.1", port: $0) }
        return RedisURL(sentinel: RedisSentinel(addresses: addresses, master: master))
    }

    @Test func followsTheMaster() async throws {
        try await withSentinel { master, replica, sentinel in
            // The first Sentinel is dead.
            let url = self.sentinel(1, sentinel.port)
            let (a, b) = (TestNode(port: 0) { $0.url = url }, TestNode(port: 0) { $0.url = url })
            try await b.listen(to: ["t"])
            try await eventually {
                a.say("before", to: "t")
                return b.heard.last == "t=before"
            }
            master.killNow()
            // The other one is the master now, and both nodes have come to it.
            try await eventually {
                a.say("after", to: "t")
                return b.heard.last == "t=after"
            }
            let c = TestNode(port: replica.port)
            try await eventually {
                c.say("there", to: "t")
                return b.heard.last == "t=there"
            }
            for node in [a, b, c] { await node.client.close() }
        }
    }

    @Test func saysWhyNoSentinelIsOfUse() async throws {
        try await withSentinel { _, replica, sentinel in
            let node = TestNode(port: 0) { $0.url = self.sentinel(1, replica.port, sentinel.port, master: "other") }
            try await eventually { node.client.status.lastError != nil }
            let error = try #require(node.client.status.lastError)
            #expect(error.hasPrefix("no Sentinel says where other is: 127.0.0.1:1: "))
            #expect(error.contains("127.0.0.1:\(replica.port): ERR unknown command"))
            #expect(error.hasSuffix("127.0.0.1:\(sentinel.port): it knows no master of this name"))
            await node.client.close()
        }
    }
}
