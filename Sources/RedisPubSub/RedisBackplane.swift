// Topics across nodes: a channel of Redis for each topic, to which a node is subscribed while its own clients listen to the topic.
//
// A message whose topic is wanted by its name and by patterns comes once for each of them. All copies of one message come together, with no
// change of subscriptions between them, and which subscriptions are active is known from Redis's confirmations, which come in the same order
// as the messages. So one of the copies can be chosen without remembering anything: that of the channel itself, if it is subscribed, else that
// of the first pattern in the order of their texts that takes the topic.

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
        /// The topics whose channels are subscribed.
        var topics: Set<String> = []
        /// The patterns that are wanted, by what they are to Redis; several may be the same there.
        var wanted: [String: Set<TopicPattern>] = [:]
        /// Redis's patterns that are subscribed.
        var patterns: Set<String> = []
    }

    /// Says of a topic whether other nodes are to hear it.
    public typealias Shares = @Sendable (_ topic: String) -> Bool

    private let redis: any RedisLink
    private let open: @Sendable () -> Void
    private let prefix: String
    private let shares: Shares
    private let node = UInt64.random(in: .min ... .max)
    private let logger: Logger
    private let state = NIOLockedValueBox(State())
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
        self.init(link: redis, prefix: prefix, logger: logger, shares: shares) { redis.open() }
    }

    init(
        link: any RedisLink, prefix: String, logger: Logger, shares: @escaping Shares = { _ in true }, open: @escaping @Sendable () -> Void
    ) {
        redis = link
        self.prefix = prefix
        self.logger = logger
        self.shares = shares
        self.open = open
    }

    /// Begins to connect, and does not wait for it: a node starts without Redis as well.
    public func start(receive: @escaping @Sendable (Publication) -> Void) {
        state.withLockedValue { $0.receive = receive }
        open()
    }

    /// Hands a publication to Redis; never waits.
    public func publish(_ publication: Publication) {
        guard shares(publication.topic) else { return }
        redis.publish(TopicEnvelope(node: node, publication).encoded, to: prefix + publication.topic)
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

    /// Hears no more. The client stays open: others may use it.
    public func stop() { state.withLockedValue { $0.receive = nil } }
}

extension RedisBackplane: RedisReceiver {
    package func received(_ event: RedisEvent, of target: RedisTarget) {
        switch event {
        case .subscribed, .unsubscribed: state.withLockedValue { change(&$0, target, isActive: event == .subscribed) }
        case .message(let channel, let bytes): received(bytes, on: channel, by: target)
        }
    }

    private func change(_ state: inout State, _ target: RedisTarget, isActive: Bool) {
        switch target {
        case .channel(let name):
            guard let topic = topic(of: name) else { return }
            if isActive { state.topics.insert(topic) } else { state.topics.remove(topic) }
        case .pattern(let text): if isActive { state.patterns.insert(text) } else { state.patterns.remove(text) }
        }
    }

    /// The topic that a channel stands for; byte by byte, as an accent at a topic's begin would be one character with the prefix's end.
    private func topic(of channel: String) -> String? {
        guard channel.utf8.starts(with: prefix.utf8) else { return nil }
        return String(Substring(channel.utf8.dropFirst(prefix.utf8.count)))
    }

    private func received(_ bytes: ByteBuffer, on channel: String, by target: RedisTarget) {
        guard let topic = topic(of: channel) else { return }
        let receive = state.withLockedValue { Self.isChosen(target, topic, $0) ? $0.receive : nil }
        guard let receive else { return }
        do throws(TopicEnvelopeError) {
            let envelope = try TopicEnvelope(bytes, topic: topic)
            if envelope.node != node { receive(envelope.publication) }
        } catch {
            guard let others = faults.admit() else { return }
            logger.warning("\(error): it is dropped", metadata: ["channel": "\(channel)", "othersSinceLastLine": "\(others)"])
        }
    }

    /// Whether this copy of a message is the one that counts.
    private static func isChosen(_ target: RedisTarget, _ topic: String, _ state: State) -> Bool {
        guard case .pattern(let text) = target else { return true }
        guard !state.topics.contains(topic), takes(text, topic, state) else { return false }
        return state.patterns.count == 1 || !state.patterns.contains { $0 < text && takes($0, topic, state) }
    }

    /// Whether Redis has confirmed a subscription, and nothing else since.
    func isSubscribed(to filter: TopicFilter) -> Bool {
        state.withLockedValue { state in
            switch filter {
            case .topic(let name): state.topics.contains(name)
            case .pattern(let pattern): state.patterns.contains(pattern.redisPattern(prefix: prefix))
            }
        }
    }

    private static func takes(_ text: String, _ topic: String, _ state: State) -> Bool {
        state.wanted[text]?.contains { $0.matches(topic) } == true
    }
}
