// What the nodes of a cluster say to each other over channels, in the form of `ClusterMessage`: the Streams adapter's questions, which nobody needs to
// read later, and all that the sharded adapter says. What concerns all goes to `<prefix>#<namespace>#`, answers to `<prefix>#<namespace>#<node>#`.

import Logging
import NIOConcurrencyHelpers
import NIOCore
import RedisPubSub
import SocketIO

/// One namespace's questions to other nodes, and its answers to theirs.
final class ClusterExchange: Sendable {
    /// How the channels are used.
    enum Form: Sendable {
        /// Publish/subscribe, MessagePack.
        case plain
        /// Sharded publish/subscribe; JSON where there are no bytes.
        case sharded
    }

    let node: String
    private let channel: String
    private let form: Form
    private let link: any RedisLink
    private weak let namespace: SocketIONamespace?
    private let support: ClusterSupport
    private let requests: ClusterRequests<SocketIOClusterMessage.Content>
    /// Takes what is to be done to this node's sockets.
    private let told = NIOLockedValueBox<(@Sendable (SocketIOClusterMessage.Content) -> Void)?>(nil)

    init(_ namespace: SocketIONamespace, _ support: ClusterSupport, _ form: Form, prefix: String, node: String) {
        (self.namespace, self.support, self.form, self.node) = (namespace, support, form, node)
        link = support.link
        channel = "\(prefix)#\(namespace.name)#"
        requests = ClusterRequests(link)
    }

    /// Takes part in the cluster.
    ///
    /// - Parameter told: takes what is to be done to this node's sockets; nil if that does not come over channels.
    func open(told: (@Sendable (SocketIOClusterMessage.Content) -> Void)? = nil) {
        self.told.withLockedValue { $0 = told }
        for target in targets { link.subscribe(self, to: target) }
    }

    deinit { leave() }

    private var targets: [RedisTarget] { [target(channel), target(channel(of: node))] }
    /// The channel of a node, or of a room.
    private func channel(of name: String) -> String { "\(channel)\(name)#" }
    private func target(_ channel: String) -> RedisTarget { form == .sharded ? .shardChannel(channel) : .channel(channel) }
    private func leave() { for target in targets { link.unsubscribe(self, from: target) } }

    func close() {
        leave()
        requests.close()
        support.close()
    }

    /// Says something to all nodes, or to those that listen to a node's or a room's channel.
    func say(_ content: SocketIOClusterMessage.Content, to name: String? = nil) {
        let value = SocketIOClusterMessage(node: node, namespace: support.name, content).value
        let channel = name.map { self.channel(of: $0) } ?? channel
        switch form {
        case .plain: link.publish(value.messagePack, to: channel)
        case .sharded: link.publish(value.jsonBytes ?? value.messagePack, toShard: channel)
        }
    }

    /// Listens to a room's channel.
    func listen(to room: String) { link.subscribe(self, to: target(channel(of: room))) }
    func listenNoMore(to room: String) { link.unsubscribe(self, from: target(channel(of: room))) }

    // MARK: Questions

    /// How many other nodes there are.
    ///
    /// - Throws: `SocketIOClusterUnreachable` while Redis can not be asked.
    func otherNodes() async throws -> Int { try await support.otherNodes { try await link.subscriberCount(of: target(channel)) } }

    /// The sockets of all nodes.
    ///
    /// - Throws: `SocketIOClusterTimeout` if a node does not answer in time, and `SocketIOClusterUnreachable` while Redis can not be asked, with what is
    ///   known; `CancellationError`.
    func fetchSockets(_ options: SocketIOBroadcastOptions) async throws -> [SocketIORemoteSocket] {
        let (known, others) = try await support.localSockets(options) { try await otherNodes() }
        guard let namespace, others > 0 else { return known }
        var sockets = known
        let outcome = try await requests.ask(others, timeout: support.requestTimeout) { say(.fetchSockets(options, requestID: $0)) }
        for case .fetchSocketsResponse(_, let found) in outcome.responses { sockets += support.remote(found, of: namespace) }
        try outcome.check(sockets: sockets)
        return sockets
    }

    func serverSideEmit(_ event: [SocketIOValue]) { say(.serverSideEmit(event: event, requestID: nil)) }

    /// Sends an event to the other nodes and waits for their answers, of one argument each.
    ///
    /// - Throws: `SocketIOClusterTimeout` with the answers that came, if a node does not answer in time, or nothing on it handles the event;
    ///   `SocketIOClusterUnreachable` while Redis can not be asked; `CancellationError`.
    func serverSideEmitWithAck(_ event: [SocketIOValue], timeout: Duration?) async throws -> [[SocketIOValue]] {
        guard case let others = try await otherNodes(), others > 0 else { return [] }
        let outcome = try await requests.ask(others, timeout: timeout ?? support.requestTimeout) {
            say(.serverSideEmit(event: event, requestID: $0))
        }
        let answers = outcome.responses.compactMap { if case .serverSideEmitResponse(_, let answer) = $0 { [answer] } else { nil } }
        try outcome.check(responses: answers)
        return answers
    }

    /// Sends an event to sockets of all nodes and collects their answers.
    ///
    /// - Returns: ends the waiting for answers.
    /// - Throws: `SocketIOUsageError` for an event that can not be sent.
    func broadcast(
        _ event: [SocketIOValue], _ options: SocketIOBroadcastOptions, counted: @escaping @Sendable (Int) -> Void,
        answered: @escaping @Sendable ([SocketIOValue]?) -> Void
    ) throws(SocketIOUsageError) -> @Sendable () -> Void {
        let end = try support.local.broadcast(event, options, counted: counted, answered: answered)
        guard !options.isLocal else { return end }
        let id = ClusterID.make()
        support.awaitAcks(id, counted: counted, answered: answered)
        say(.broadcast(event: event, options, requestID: id))
        return { [weak support] in
            support?.endAcks(id)
            end()
        }
    }

    // MARK: Answers

    /// Does what another node, or an emitter, asks for.
    func take(_ message: SocketIOClusterMessage, _ namespace: SocketIONamespace) {
        let other = message.node
        switch message.content {
        case .broadcast(let event, let options, let id?):
            support.broadcast(
                event, options, counted: { [weak self] in self?.say(.broadcastClientCount(requestID: id, count: $0), to: other) },
                acknowledged: { [weak self] in self?.say(.broadcastAck(requestID: id, answer: $0), to: other) })
        case .fetchSockets(let options, let id):
            say(.fetchSocketsResponse(requestID: id, sockets: support.local.described(options)), to: other)
        case .serverSideEmit(let event, let id):
            support.handle(event, id, namespace) { self.say(.serverSideEmitResponse(requestID: $0, answer: $1), to: other) }
        case .fetchSocketsResponse(let id, _), .serverSideEmitResponse(let id, _): _ = requests.answered(id, message.content)
        case .broadcastClientCount(let id, let count): support.counted(id, count)
        case .broadcastAck(let id, let answer): support.acknowledged(id, answer)
        case .broadcast, .socketsJoin, .socketsLeave, .disconnectSockets: told.withLockedValue { $0 }?(message.content)
        case .initialHeartbeat, .heartbeat, .adapterClose: break
        }
    }
}

extension ClusterExchange: RedisReceiver {
    func received(_ event: RedisEvent, of target: RedisTarget) {
        switch event {
        case .subscribed, .unsubscribed: if target == self.target(channel) { support.hears(event == .subscribed) }
        case .message(let channel, let bytes): received(bytes, on: channel)
        }
    }

    private func received(_ bytes: ByteBuffer, on channel: String) {
        // Held: the adapter of this node's sockets does not.
        guard let namespace else { return }
        do throws(SocketIOParseError) {
            let isJSON = bytes.readableBytesView.first == UInt8(ascii: "{")
            let message = try SocketIOClusterMessage(isJSON ? SocketIOValue(jsonBytes: bytes) : SocketIOValue(messagePack: bytes))
            guard message.node != node, message.namespace == support.name else { return }
            withExtendedLifetime(namespace) { take(message, namespace) }
        } catch {
            support.drop(bytes, on: channel, error)
        }
    }
}
