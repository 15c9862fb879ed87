// What was published reaches Redis before the end, and what did not is said: each way of publishing, each state of the connection, each ending.

import NIOConcurrencyHelpers
import NIOCore
import PubSub
import TestSupport
import Testing

@testable import RedisPubSub

@Suite(.enabled(if: RedisServerProcess.isInstalled, "\(RedisServerProcess.missing)"), .timeLimit(.minutes(5)))
struct RedisClientTests {
    enum Way: CaseIterable { case plain, sharded, reliable, backplane }
    enum Ending: CaseIterable { case close, flush, letGo, backplaneStops }

    /// Somebody who counts what is said.
    private final class Listener: RedisReceiver {
        let client: RedisClient
        private let heard = NIOLockedValueBox(0)

        init(port: Int) { client = RedisClient(RedisConfiguration(url: RedisURL(port: port))) }

        func listen() async throws {
            for target in [RedisTarget.pattern("way:*"), .shardChannel("way:s")] {
                client.subscribe(self, to: target)
                try await eventually { client.isSubscribed(to: target) }
            }
        }

        var count: Int { heard.withLockedValue { $0 } }

        func received(_ event: RedisEvent, of target: RedisTarget) { if case .message = event { heard.withLockedValue { $0 += 1 } } }
    }

    private func say(_ way: Way, _ client: RedisClient, _ backplane: RedisBackplane) throws {
        let bytes = ByteBuffer(string: "x")
        switch way {
        case .plain: client.publish(bytes, to: "way:p")
        case .sharded: client.publish(bytes, toShard: "way:s")
        case .reliable: try client.publishReliably(bytes, to: "way:r")
        case .backplane: backplane.publish(Publication(topic: "t", payload: bytes, isText: true))
        }
    }

    /// Says something three times, ends, and lets the client go.
    private func say(_ way: Way, _ ending: Ending, port: Int, isReady: Bool) async throws {
        let client = RedisClient(RedisConfiguration(url: RedisURL(port: port)))
        let backplane = RedisBackplane(client, prefix: "way:")
        if isReady { try await client.waitUntilReady(within: .seconds(60)) }
        for _ in 0..<3 { try say(way, client, backplane) }
        switch ending {
        case .close: #expect(await client.close(within: .seconds(60)) == 0)
        case .flush: try await client.flush(within: .seconds(60))
        case .backplaneStops: await backplane.stop()
        case .letGo: break
        }
    }

    @Test(arguments: Way.allCases, Ending.allCases) func whatWasPublishedReachesRedis(way: Way, ending: Ending) async throws {
        try await withRedis { redis in
            let listener = Listener(port: redis.port)
            try await listener.listen()
            for isReady in [false, true] {
                let before = listener.count
                try await say(way, ending, port: redis.port, isReady: isReady)
                try await eventually { listener.count >= before + 3 }
                #expect(listener.count == before + 3)
            }
            await listener.client.close()
        }
    }

    /// A connection that was lost: what is reliable waits for the next one, the rest is dropped, and the close says so.
    @Test func whatIsReliableWaitsForTheNextConnection() async throws {
        try await withRedis { redis in
            let client = TestNode(port: redis.port).client
            try await client.waitUntilReady(within: .seconds(60))
            redis.killNow()
            try await eventually { client.status.state == .connecting }
            client.publish(ByteBuffer(string: "x"), to: "way:p")
            try client.publishReliably(ByteBuffer(string: "x"), to: "way:r")
            let again = try await RedisServerProcess.start(port: redis.port)
            defer { again.stop() }
            let error = await #expect(throws: RedisError.self) { try await client.flush(within: .seconds(60)) }
            #expect(error?.reason == .notPublished)
            #expect(error?.detail.hasPrefix("1 dropped") == true)
            // Told once.
            try await client.flush(within: .seconds(60))
            #expect(await client.close(within: .seconds(60)) == 0)
        }
    }

    @Test(arguments: [RedisConfiguration.WhileUnreachable.drop, .keep(maxBytes: 10_000)])
    func withoutRedisEverythingEndsAndSaysWhatIsMissing(policy: RedisConfiguration.WhileUnreachable) async throws {
        let redis = try await RedisServerProcess.start()
        redis.stop()
        let client = TestNode(port: redis.port) {
            $0.whileUnreachable = policy
            $0.maxPendingBytes = 1000
        }.client
        let unready = await #expect(throws: RedisError.self) { try await client.waitUntilReady(within: .milliseconds(100)) }
        #expect(unready?.reason == .notConnected)
        try await eventually { client.status.lastError != nil }
        client.publish(ByteBuffer(string: "x"), to: "way:p")
        try client.publishReliably(ByteBuffer(string: "x"), to: "way:r")
        let error = await #expect(throws: RedisError.self) { try await client.flush(within: .milliseconds(100)) }
        #expect(error?.detail.hasPrefix(policy == .drop ? "1 dropped, 1 still waiting" : "2 still waiting") == true)
        // What can not be kept is refused, and not counted again.
        let full = #expect(throws: RedisError.self) {
            for _ in 0..<100 { try client.publishReliably(ByteBuffer(string: "x"), to: "way:r") }
        }
        #expect(full?.reason == .tooMuchWaits)
        let kept = 1000 / RedisCommand.publish(ByteBuffer(string: "x"), to: "way:r").size
        #expect(await client.close(within: .milliseconds(100)) == (policy == .drop ? kept : kept + 1))
        let closed = #expect(throws: RedisError.self) { try client.publishReliably(ByteBuffer(string: "x"), to: "way:r") }
        #expect(closed?.reason == .closed)
        await #expect(throws: RedisError.self) { try await client.waitUntilReady() }
        #expect(await client.close() == 0)
    }

    @Test func aClientThatHasSaidNothingEndsAtOnce() async throws {
        let client = RedisClient(RedisConfiguration(url: RedisURL(port: 1)))
        try await client.flush()
        #expect(client.status.state == .idle)
        #expect(await client.close() == 0)
    }

    /// What a server's clients published before its end is there, although the program does no more than to end.
    @Test func aServerThatEndsHasPublished() async throws {
        try await withRedis { redis in
            let listener = Listener(port: redis.port)
            try await listener.listen()
            let client = RedisClient(RedisConfiguration(url: RedisURL(port: redis.port)))
            let backplane = RedisBackplane(client, prefix: "way:")
            for number in 1...100 {
                backplane.publish(Publication(topic: "t", payload: ByteBuffer(string: "\(number)"), isText: true))
            }
            await backplane.stop()
            #expect(client.status.publicationsDropped == 0)
            try await eventually { listener.count == 100 }
            await client.close()
            await listener.client.close()
        }
    }
}
