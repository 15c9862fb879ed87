// A node of a cluster, as far as topics go: a backplane, its client, and what it hears.

import Logging
import NIOConcurrencyHelpers
import NIOCore
import PubSub
import TestSupport

@testable import RedisPubSub

/// Waits until something holds. The suite's time limit ends it.
func eventually(_ condition: () async throws -> Bool) async throws {
    while try await !condition() { try await Task.sleep(for: .milliseconds(5)) }
}

final class TestNode: Sendable {
    let client: RedisClient
    let backplane: RedisBackplane
    private let prefix: String
    private let publications = NIOLockedValueBox<[Publication]>([])

    init(port: Int, prefix: String = "test:", _ change: (inout RedisConfiguration) -> Void = { _ in }) {
        var configuration = RedisConfiguration(url: RedisURL(port: port))
        configuration.reconnectMaximum = .milliseconds(200)
        configuration.unsubscribeDelay = .milliseconds(50)
        change(&configuration)
        self.prefix = prefix
        client = RedisClient(configuration)
        backplane = RedisBackplane(client, prefix: prefix)
        backplane.start { [publications] publication in publications.withLockedValue { $0.append(publication) } }
    }

    /// What was heard, as `topic=text`.
    var heard: [String] { publications.withLockedValue { $0 }.map { "\($0.topic)=\(String(buffer: $0.payload))" } }
    var heardWhole: [Publication] { publications.withLockedValue { $0 } }

    func say(_ text: String, to topic: String) {
        backplane.publish(Publication(topic: topic, payload: ByteBuffer(string: text), isText: true))
    }

    /// Subscribes, and waits until Redis has confirmed it.
    func listen(to topics: [String] = [], matching patterns: [String] = []) async throws {
        for topic in topics { backplane.subscribe(to: .topic(topic)) }
        for pattern in patterns { backplane.subscribe(to: .pattern(try TopicPattern(pattern))) }
        try await eventually { self.isListening(to: topics, matching: patterns) }
    }

    func isListening(to topics: [String] = [], matching patterns: [String] = []) -> Bool {
        topics.allSatisfy { isSubscribed(to: .topic($0)) }
            && patterns.allSatisfy { (try? TopicPattern($0)).map { isSubscribed(to: .pattern($0)) } == true }
    }

    /// Whether Redis has confirmed what the backplane asks for.
    func isSubscribed(to filter: TopicFilter) -> Bool {
        switch filter {
        case .topic(let name): client.isSubscribed(to: .channel(prefix + name))
        case .pattern(let pattern): client.isSubscribed(to: .pattern(pattern.redisPattern(prefix: prefix)))
        }
    }
}

/// Runs two nodes on one Redis while a body does.
func withTwoNodes(
    redis arguments: [String] = [], isTLS: Bool = false, _ change: (inout RedisConfiguration) -> Void = { _ in },
    _ body: (TestNode, TestNode, RedisServerProcess) async throws -> Void
) async throws {
    try await withRedis(isTLS: isTLS, arguments) { redis in
        let (a, b) = (TestNode(port: redis.port, change), TestNode(port: redis.port, change))
        do {
            try await eventually { a.client.status.state == .ready && b.client.status.state == .ready }
            try await body(a, b, redis)
            await a.client.close()
            await b.client.close()
        } catch {
            await a.client.close()
            await b.client.close()
            throw error
        }
    }
}
