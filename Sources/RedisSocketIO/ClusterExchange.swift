// What the nodes of a cluster ask each other over channels, in the form of `ClusterMessage`: the Streams adapter's questions, which nobody needs to
// read later, and all that the sharded adapter says. Questions go to `<prefix>#<namespace>#`, answers to `<prefix>#<namespace>#<node>#`.

import Logging
import NIOConcurrencyHelpers
import NIOCore
import RedisPubSub
import SocketIO

/// One namespace's questions to other nodes, and its answers to theirs.
final class ClusterExchange: Sendable {
    /// Those who wait for the answers of other nodes' sockets to a broadcast.
    private struct AckRequest: Sendable {
        let counted: @Sendable (Int) -> Void
        let answered: @Sendable ([SocketIOValue]?) -> Void
    }

    let node: String
    private let name: String
    private let channel: String
    private let link: any RedisLink
    private weak let namespace: SocketIONamespace?
    private let local: SocketIOInMemoryAdapter
    private let requestTimeout: Duration
    private let maxServerSideEvents: Int
    private let logger: Logger
    private let requests: ClusterRequests<SocketIOClusterMessage.Content>
    private let acks = NIOLockedValueBox<[String: AckRequest]>([:])
    /// Whether Redis has confirmed that this node hears questions, and so counts it.
    private let isHearing = NIOLockedValueBox(false)
    private let serverSideEvents = NIOLockedValueBox(0)
    private let faults = LogLimiter()

    init(
        _ namespace: SocketIONamespace, local: SocketIOInMemoryAdapter, _ link: any RedisLink, node: String,
        _ settings: SocketIORedisStreamsConfiguration
    ) {
        self.namespace = namespace
        self.local = local
        self.link = link
        self.node = node
        name = namespace.name
        channel = "\(settings.channelPrefix)#\(namespace.name)#"
        requestTimeout = settings.requestTimeout
        maxServerSideEvents = settings.maxServerSideEvents
        logger = settings.logger
        requests = ClusterRequests(link)
        for target in targets { link.subscribe(self, to: target) }
    }

    deinit { leave() }

    private var targets: [RedisTarget] { [.channel(channel), .channel(channel(of: node))] }
    private func channel(of node: String) -> String { "\(channel)\(node)#" }
    private func leave() { for target in targets { link.unsubscribe(self, from: target) } }

    func close() {
        leave()
        requests.close()
        acks.withLockedValue { $0 = [:] }
    }

    private func say(_ content: SocketIOClusterMessage.Content, to other: String? = nil) {
        let message = SocketIOClusterMessage(node: node, namespace: name, content)
        link.publish(message.value.messagePack, to: other.map { channel(of: $0) } ?? channel)
    }

    // MARK: Questions

    /// How many other nodes there are; none while Redis can not be asked.
    func otherNodes() async -> Int {
        do {
            let count = try await link.subscriberCount(of: channel)
            return max(0, count - (isHearing.withLockedValue { $0 } ? 1 : 0))
        } catch {
            logger.debug("other nodes can not be asked: \(error)", metadata: ["namespace": "\(name)"])
            return 0
        }
    }

    /// The sockets of other nodes.
    ///
    /// - Throws: `SocketIOClusterTimeout` if a node does not answer in time; `CancellationError`.
    func fetchSockets(_ options: SocketIOBroadcastOptions) async throws -> [SocketIORemoteSocket] {
        guard let namespace, case let others = await otherNodes(), others > 0 else { return [] }
        let outcome = try await requests.ask(others, timeout: requestTimeout) { say(.fetchSockets(options, requestID: $0)) }
        if let timeout = outcome.timeout { throw timeout }
        return outcome.responses.flatMap { response in
            guard case .fetchSocketsResponse(_, let sockets) = response else { return [] as [SocketIORemoteSocket] }
            return sockets.map {
                SocketIORemoteSocket(id: $0.id, rooms: $0.rooms, data: $0.data, handshake: $0.handshake, namespace: namespace)
            }
        }
    }

    func serverSideEmit(_ event: [SocketIOValue]) { say(.serverSideEmit(event: event, requestID: nil)) }

    /// Sends an event to the other nodes and waits for their answers, of one argument each.
    ///
    /// - Throws: `SocketIOClusterTimeout` if a node does not answer in time, or nothing on it handles the event; `CancellationError`.
    func serverSideEmitWithAck(_ event: [SocketIOValue], timeout: Duration?) async throws -> [[SocketIOValue]] {
        guard case let others = await otherNodes(), others > 0 else { return [] }
        let outcome = try await requests.ask(others, timeout: timeout ?? requestTimeout) {
            say(.serverSideEmit(event: event, requestID: $0))
        }
        if let timeout = outcome.timeout { throw timeout }
        return outcome.responses.compactMap { if case .serverSideEmitResponse(_, let answer) = $0 { [answer] } else { nil } }
    }

    /// Sends an event to other nodes' sockets and collects their answers.
    ///
    /// - Returns: ends the waiting for answers.
    func broadcast(
        _ event: [SocketIOValue], _ options: SocketIOBroadcastOptions, counted: @escaping @Sendable (Int) -> Void,
        answered: @escaping @Sendable ([SocketIOValue]?) -> Void
    ) -> @Sendable () -> Void {
        let id = ClusterID.make()
        acks.withLockedValue { $0[id] = AckRequest(counted: counted, answered: answered) }
        say(.broadcast(event: event, options, requestID: id))
        return { [weak self] in self?.acks.withLockedValue { _ = $0.removeValue(forKey: id) } }
    }

    // MARK: Answers

    private func take(_ message: SocketIOClusterMessage, _ namespace: SocketIONamespace) {
        switch message.content {
        case .broadcast(let event, let options, let id?): broadcast(event, options, id, for: message.node)
        case .fetchSockets(let options, let id):
            say(.fetchSocketsResponse(requestID: id, sockets: local.described(options)), to: message.node)
        case .serverSideEmit(let event, let id): handle(event, id, for: message.node, namespace)
        case .fetchSocketsResponse(let id, _), .serverSideEmitResponse(let id, _): _ = requests.answered(id, message.content)
        case .broadcastClientCount(let id, let count): acks.withLockedValue { $0[id] }?.counted(count)
        case .broadcastAck(let id, let answer): acks.withLockedValue { $0[id] }?.answered([answer])
        case .broadcast, .socketsJoin, .socketsLeave, .disconnectSockets, .initialHeartbeat, .heartbeat, .adapterClose: break
        }
    }

    /// Sends an event to this node's sockets, and their answers to the node that asked.
    private func broadcast(_ event: [SocketIOValue], _ options: SocketIOBroadcastOptions, _ id: String, for other: String) {
        do throws(SocketIOUsageError) {
            let end = try local.broadcast(
                event, options, counted: { [weak self] in self?.say(.broadcastClientCount(requestID: id, count: $0), to: other) },
                answered: { [weak self] answer in
                    // Of a socket that has left without an answer, nothing can be said.
                    if let answer { self?.say(.broadcastAck(requestID: id, answer: answer.first ?? .null), to: other) }
                })
            _ = link.call(after: options.timeout ?? requestTimeout, end)
        } catch {
            logger.error("another node's broadcast can not be sent: \(error)", metadata: ["namespace": "\(name)"])
            say(.broadcastClientCount(requestID: id, count: 0), to: other)
        }
    }

    /// Hands an event to the program, and its answer to the node that asked.
    private func handle(_ event: [SocketIOValue], _ id: String?, for other: String, _ namespace: SocketIONamespace) {
        let isTaken = serverSideEvents.withLockedValue { count in
            guard count < maxServerSideEvents else { return false }
            count += 1
            return true
        }
        guard isTaken else {
            guard faults.admit() != nil else { return }
            return logger.warning(
                "more than \(maxServerSideEvents) events of other nodes are being handled (limit maxServerSideEvents): one is dropped")
        }
        Task {
            defer { serverSideEvents.withLockedValue { $0 -= 1 } }
            do {
                guard let result = try await namespace.receiveServerSideEvent(event), let id else { return }
                say(.serverSideEmitResponse(requestID: id, answer: result.first ?? .null), to: other)
            } catch {
                logger.error("the handler of another node's event threw: \(error)", metadata: ["namespace": "\(name)"])
            }
        }
    }
}

extension ClusterExchange: RedisReceiver {
    func received(_ event: RedisEvent, of target: RedisTarget) {
        switch event {
        case .subscribed, .unsubscribed: if target == .channel(channel) { isHearing.withLockedValue { $0 = event == .subscribed } }
        case .message(let channel, let bytes): received(bytes, on: channel)
        }
    }

    private func received(_ bytes: ByteBuffer, on channel: String) {
        // Held: the adapter of this node's sockets does not.
        guard let namespace else { return }
        do throws(SocketIOParseError) {
            let isJSON = bytes.readableBytesView.first == UInt8(ascii: "{")
            let message = try SocketIOClusterMessage(isJSON ? SocketIOValue(jsonBytes: bytes) : SocketIOValue(messagePack: bytes))
            guard message.node != node, message.namespace == name else { return }
            withExtendedLifetime(namespace) { take(message, namespace) }
        } catch {
            guard let others = faults.admit() else { return }
            let metadata: Logger.Metadata = [
                "channel": "\(channel)", "bytes": "\(bytes.readableBytes)", "othersSinceLastLine": "\(others)",
            ]
            logger.warning("a message of the cluster is dropped: \(error)", metadata: metadata)
        }
    }
}
