// What the adapters of a cluster have in common, whatever form their messages have: counting the other nodes, waiting for the answers of their
// sockets, and doing here what they ask for.

import Logging
import NIOConcurrencyHelpers
import NIOCore
import RedisPubSub
import SocketIO

/// One namespace's part in a cluster.
final class ClusterSupport: Sendable {
    /// Who waits for the answers of other nodes' sockets to a broadcast.
    private struct AckRequest: Sendable {
        let counted: @Sendable (Int) -> Void
        let answered: @Sendable ([SocketIOValue]?) -> Void
    }

    let name: String
    let link: any RedisLink
    let local: SocketIOInMemoryAdapter
    let requestTimeout: Duration
    let logger: Logger
    private let maxServerSideEvents: Int
    private let acks = NIOLockedValueBox<[String: AckRequest]>([:])
    /// Whether Redis has confirmed that this node hears questions, and so counts it.
    private let isHearing = NIOLockedValueBox(false)
    private let serverSideEvents = NIOLockedValueBox(0)
    private let faults = LogLimiter()

    init(
        _ name: String, _ link: any RedisLink, local: SocketIOInMemoryAdapter, requestTimeout: Duration, maxServerSideEvents: Int,
        _ logger: Logger
    ) {
        (self.name, self.link, self.local, self.requestTimeout) = (name, link, local, requestTimeout)
        (self.maxServerSideEvents, self.logger) = (maxServerSideEvents, logger)
    }

    func close() { acks.withLockedValue { $0 = [:] } }

    /// Says, at most once a second, that what has come is no message.
    func drop(_ bytes: ByteBuffer, on channel: String, _ error: SocketIOParseError) {
        guard let others = faults.admit() else { return }
        let metadata: Logger.Metadata = ["channel": "\(channel)", "bytes": "\(bytes.readableBytes)", "othersSinceLastLine": "\(others)"]
        logger.warning("a message of the cluster is dropped: \(error)", metadata: metadata)
    }

    // MARK: Other nodes

    /// Whether questions reach this node.
    func hears(_ isHearing: Bool) { self.isHearing.withLockedValue { $0 = isHearing } }

    /// How many other nodes there are.
    ///
    /// - Parameter count: asks how many nodes hear questions.
    /// - Throws: `SocketIOClusterUnreachable` while Redis can not be asked.
    func otherNodes(_ count: () async throws -> Int) async throws -> Int {
        do {
            return max(0, try await count() - (isHearing.withLockedValue { $0 } ? 1 : 0))
        } catch let error as RedisError {
            throw SocketIOClusterUnreachable(error)
        }
    }

    /// This node's sockets, and how many other nodes are to be asked for theirs.
    ///
    /// - Throws: `SocketIOClusterUnreachable` with this node's sockets while Redis can not be asked.
    func localSockets(
        _ options: SocketIOBroadcastOptions, _ others: () async throws -> Int
    ) async throws -> (sockets: [SocketIORemoteSocket], others: Int) {
        let sockets = try await local.fetchSockets(options)
        guard !options.isLocal else { return (sockets, 0) }
        do {
            return (sockets, try await others())
        } catch let error as SocketIOClusterUnreachable {
            throw SocketIOClusterUnreachable(error.reason, sockets: sockets)
        }
    }

    // MARK: Answers of other nodes' sockets

    /// Waits for answers to a broadcast, until `endAcks`.
    func awaitAcks(_ id: String, counted: @escaping @Sendable (Int) -> Void, answered: @escaping @Sendable ([SocketIOValue]?) -> Void) {
        acks.withLockedValue { $0[id] = AckRequest(counted: counted, answered: answered) }
    }

    func endAcks(_ id: String) { acks.withLockedValue { _ = $0.removeValue(forKey: id) } }
    /// A node has asked so many of its sockets.
    func counted(_ id: String, _ count: Int) { acks.withLockedValue { $0[id] }?.counted(count) }
    /// A socket of another node has answered.
    func acknowledged(_ id: String, _ answer: SocketIOValue) { acks.withLockedValue { $0[id] }?.answered([answer]) }

    /// Sockets as another node has described them. An empty object is Node's way to say that nothing was kept.
    func remote(_ sockets: [SocketIOClusterMessage.Socket], of namespace: SocketIONamespace) -> [SocketIORemoteSocket] {
        sockets.map { socket in
            let data = socket.data == .object([:]) ? .null : socket.data
            return SocketIORemoteSocket(id: socket.id, rooms: socket.rooms, data: data, handshake: socket.handshake, namespace: namespace)
        }
    }

    // MARK: What other nodes ask for

    /// Sends an event to this node's sockets, and tells how many there are, and of each answer.
    func broadcast(
        _ event: [SocketIOValue], _ options: SocketIOBroadcastOptions, counted: @escaping @Sendable (Int) -> Void,
        acknowledged: @escaping @Sendable (SocketIOValue) -> Void
    ) {
        do throws(SocketIOUsageError) {
            let end = try local.broadcast(
                event, options, counted: counted,
                // Of a socket that has left without an answer, nothing can be said.
                answered: { if let answer = $0 { acknowledged(answer.first ?? .null) } })
            _ = link.call(after: options.timeout ?? requestTimeout, end)
        } catch {
            logger.error("another node's broadcast can not be sent: \(error)", metadata: ["namespace": "\(name)"])
            counted(0)
        }
    }

    /// Hands an event to the program, and its answer on, if the program has one and somebody waits for it under an id.
    func handle(
        _ event: [SocketIOValue], _ id: String?, _ namespace: SocketIONamespace, answer: @escaping @Sendable (String, SocketIOValue) -> Void
    ) {
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
                if let result = try await namespace.receiveServerSideEvent(event), let id { answer(id, result.first ?? .null) }
            } catch {
                logger.error("the handler of another node's event threw: \(error)", metadata: ["namespace": "\(name)"])
            }
        }
    }

    /// Does to this node's sockets what was said of all nodes'.
    ///
    /// - Parameter offset: the message's place in the stream, if it has one.
    /// - Parameter leave: takes a socket out of rooms.
    func perform(
        _ content: SocketIOClusterMessage.Content, offset: String? = nil, leave: (SocketIOSocket, Set<String>) -> Void
    ) {
        switch content {
        case .broadcast(let event, let options, nil):
            local.broadcast(SocketIOPacket(namespace: name, content: .event(event, id: nil)), options, offset: offset)
        case .socketsJoin(let options, let rooms): local.joinSockets(options, rooms: rooms)
        case .socketsLeave(let options, let rooms): for socket in local.sockets(options) { leave(socket, rooms) }
        case .disconnectSockets(let options, let closes): local.disconnectSockets(options, closingConnections: closes)
        default: break
        }
    }
}
