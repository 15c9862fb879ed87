// Topics, seen from a server.

public import PubSub

extension WebSocketServer {
    /// Sends a message to all connections that have subscribed to a topic, on this node and on those that share its backplane; never
    /// suspends. Nothing is kept for those who subscribe later.
    ///
    /// What other threads have not come to deliver waits, up to `Configuration.maxPublicationBacklog`; a producer that can wait for them
    /// calls `waitUntilDelivered()` now and then.
    ///
    /// The message is framed once, and compressed once for all who take it compressed in the same way. From one task, and from one thread,
    /// the messages of a topic arrive in the order of the calls. What becomes of it for a peer that reads too slowly is the subscription's
    /// `SlowConsumerPolicy`.
    ///
    /// - Parameters:
    ///   - topic: its name; wildcards mean nothing here.
    ///   - key: what the message replaces, for subscriptions that keep only the latest, within the topic: an instrument, a player. The
    ///     topic as a whole if nil.
    ///   - except: a connection that does not get it.
    ///   - isLocal: whether it is for this node's connections alone, as what each node says of itself.
    public func publish(_ message: Message, to topic: String, key: String? = nil, except: WebSocket? = nil, isLocal: Bool = false) {
        core.broker.publish(PreparedMessage(message), to: topic, key: key, except: except, isLocal: isLocal)
    }

    /// Waits until all threads have delivered what this task has published before: for who publishes faster than it can be delivered, and
    /// can wait. Call it after every hundred messages, or thousand; what is delivered may still wait for slow peers.
    public func waitUntilDelivered() async { await core.broker.waitUntilDelivered() }

    /// How many connections a message to a topic would go to, on this node and on those that share its backplane; nodes that do not say within 2 s
    /// are not counted.
    public func subscriberCount(of topic: String) async -> Int { await core.broker.subscriberCount(of: topic) }

    /// Who is on a topic, on this node and on those that share its backplane, in no order: those whose connections subscribed to it as members. Each is
    /// there once, on however many nodes.
    ///
    /// It is what this node knows: of others, what they have said, until they have been silent for three times `Configuration.backplaneHeartbeat`.
    public func members(of topic: String) -> [PresenceMember] { core.broker.presence.members(of: topic) }

    /// Has a closure told of every member who joins or leaves a topic, on this node and on those that share its backplane: with the first connection
    /// on any node, and with the last one. Each node tells its own closure: what that publishes about it should be `isLocal`, or every subscriber
    /// gets it from each node.
    ///
    /// It is called for one event at a time, in the order in which this node learned of them, on whichever thread that was: it must not
    /// block. Called again, the new closure takes the old one's place.
    public func onPresence(_ observer: @escaping @Sendable (PresenceEvent) -> Void) { core.broker.presence.observe(observer) }
}
