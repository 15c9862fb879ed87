// Topics across nodes: a channel of Redis for each topic, to which a node is subscribed while its own clients listen to the topic.
//
// A message whose topic is wanted by its name and by patterns comes once for each of them. A node publishes on one connection, and another hears
// on one: the copies of a message come together, and messages of a node in their order. So the first copy is the one whose number is above the
// last one of its node.

public import Logging
import NIOConcurrencyHelpers
import NIOCore
public import PubSub

/// Carries the topics of a `WebSocketServer` between the nodes of a cluster, over Redis's publish/subscribe.
///
/// ```swift
/// let redis = try RedisClient(url: "redis://127.0.0.1")
/// var configuration = WebSocketServer.Configuration()
/// configuration.backplane = RedisBackplane(redis)
/// ```
///
/// What is published reaches each other node at most once. Nodes that Redis can not be reached from go on with their own clients; what is said
/// meanwhile, on either side, is lost for the other one, but for what `RedisConfiguration.whileUnreachable` keeps.
public final class RedisBackplane: Backplane {
    private struct State {
        var receive: (@Sendable (Publication) -> Void)?
        /// The last number heard of each node.
        var last: [UInt64: UInt64] = [:]
        /// The patterns that are wanted, by what they are to Redis; several may be the same there.
        var wanted: [String: Set<TopicPattern>] = [:]
    }

    /// More nodes than a cluster has: beyond that somebody makes them up, and what is remembered of them is forgotten.
    private static let maxNodes = 4096

    /// Says of a topic whether other nodes are to hear it.
    public typealias Shares = @Sendable (_ topic: String) -> Bool

    private let redis: any RedisLink
    private let open: @Sendable () -> Void
    private let flush: @Sendable () async throws -> Void
    private let prefix: String
    private let sharesTopic: Shares
    private let node = UInt64.random(in: .min ... .max)
    private let logger: Logger
    private let state = NIOLockedValueBox(State())
    /// The number of the last publication.
    private let number = NIOLockedValueBox<UInt64>(0)
    private let faults = LogLimiter()

    /// Makes the backplane of one server.
    ///
    /// - Parameters:
    ///   - redis: the link to Redis, which other backplanes and adapters may share.
    ///   - prefix: what the names of the channels begin with; the same on all nodes of a cluster, and another one for another cluster.
    ///   - logger: where faults go.
    ///   - shares: says of a topic whether what is published to it on this node goes to the others; all do unless set.
    public convenience init(
        _ redis: RedisClient, prefix: String = "duplex:", logger: Logger = Logger(label: "duplex.redis"),
        shares: @escaping Shares = { _ in true }
    ) {
        self.init(link: redis, prefix: prefix, logger: logger, shares: shares, flush: { try await redis.flush() }) { redis.open() }
    }

    init(
        link: any RedisLink, prefix: String, logger: Logger, shares: @escaping Shares = { _ in true },
        flush: @escaping @Sendable () async throws -> Void = {}, open: @escaping @Sendable () -> Void
    ) {
        redis = link
        self.flush = flush
        self.prefix = prefix
        self.logger = logger
        sharesTopic = shares
        self.open = open
    }

    /// Begins to connect, and does not wait for it: a node starts without Redis as well.
    public func start(receive: @escaping @Sendable (Publication) -> Void) {
        state.withLockedValue { $0.receive = receive }
        open()
    }

    /// Whether a topic is all nodes', as the program has said.
    public func shares(_ topic: String) -> Bool { sharesTopic(topic) }

    /// Hands a publication to Redis; never waits.
    public func publish(_ publication: Publication) {
        // What nodes say to each other is no topic of the program's, and of no use later.
        let isOwn = ClusterMessage.isReserved(publication.topic)
        guard isOwn || shares(publication.topic) else { return }
        // Under the lock, so that they leave in the order of their numbers.
        number.withLockedValue { number in
            number += 1
            let (bytes, channel) = (TopicEnvelope(node: node, number: number, publication).encoded, prefix + publication.topic)
            if isOwn { redis.publish(bytes, to: channel) { _ in } } else { redis.publish(bytes, to: channel) }
        }
    }

    /// Subscribes to a topic's channel, or to all channels that a pattern may take. It takes effect when Redis has confirmed it.
    public func subscribe(to filter: TopicFilter) {
        switch filter {
        case .topic(let name): redis.subscribe(self, to: .channel(prefix + name))
        case .pattern(let pattern):
            let text = pattern.redisPattern(prefix: prefix)
            state.withLockedValue { _ = $0.wanted[text, default: []].insert(pattern) }
            redis.subscribe(self, to: .pattern(text))
        }
    }

    /// Gives a subscription up, after a while (`RedisConfiguration.unsubscribeDelay`).
    public func unsubscribe(from filter: TopicFilter) {
        switch filter {
        case .topic(let name): redis.unsubscribe(self, from: .channel(prefix + name))
        case .pattern(let pattern):
            let text = pattern.redisPattern(prefix: prefix)
            let isLast = state.withLockedValue { state in
                state.wanted[text]?.remove(pattern)
                guard state.wanted[text]?.isEmpty == true else { return false }
                state.wanted[text] = nil
                return true
            }
            if isLast { redis.unsubscribe(self, from: .pattern(text)) }
        }
    }

    /// Stops receiving, and waits until Redis has what was published, for up to `RedisConfiguration.flushTimeout`. The client stays open: others may
    /// use it.
    public func stop() async {
        state.withLockedValue { $0.receive = nil }
        do {
            try await flush()
        } catch {
            logger.warning("the server has ended: \(error)")
        }
    }
}

extension RedisBackplane: RedisReceiver {
    package func received(_ event: RedisEvent, of target: RedisTarget) {
        if case .message(let channel, let bytes) = event { received(bytes, on: channel, by: target) }
    }

    /// The topic that a channel stands for; byte by byte, as an accent at a topic's begin would be one character with the prefix's end.
    private func topic(of channel: String) -> String? {
        guard channel.utf8.starts(with: prefix.utf8) else { return nil }
        return String(Substring(channel.utf8.dropFirst(prefix.utf8.count)))
    }

    private func received(_ bytes: ByteBuffer, on channel: String, by target: RedisTarget) {
        guard let topic = topic(of: channel) else { return }
        do throws(TopicEnvelopeError) {
            let envelope = try TopicEnvelope(bytes, topic: topic)
            guard envelope.node != node else { return }
            let receive = state.withLockedValue { Self.takes(envelope, topic, target, &$0) ? $0.receive : nil }
            receive?(envelope.publication)
        } catch {
            guard let others = faults.admit() else { return }
            logger.warning("\(error): it is dropped", metadata: ["channel": "\(channel)", "othersSinceLastLine": "\(others)"])
        }
    }

    /// Whether this copy of a message is the first that somebody wants.
    private static func takes(_ envelope: TopicEnvelope, _ topic: String, _ target: RedisTarget, _ state: inout State) -> Bool {
        if case .pattern(let text) = target, state.wanted[text]?.contains(where: { $0.matches(topic) }) != true { return false }
        if let last = state.last[envelope.node] {
            guard envelope.number > last else { return false }
        } else if state.last.count >= maxNodes {
            state.last = [:]
        }
        state.last[envelope.node] = envelope.number
        return true
    }
}
