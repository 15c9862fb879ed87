// The stream that the nodes of a cluster share: what is written to it comes back to every node in the same order, this one included.
//
// Writing. `outgoing` holds what this node has written, or is to write, and has not yet read: it is taken out when it is read. Commands of one
// connection are carried out in order, so while the link is `up`, what is sent need only be awaited. When an answer fails to come, nobody knows
// what Redis has done: the link is `down` until the stream's end can be read (`resynchronise`); everything up to there is read first, and
// what is left in `outgoing` then was never written, and is written now. So nothing is lost or doubled by a lost connection.
//
// Reading. One XREAD after the other, on a connection of its own, from the last entry that was read. All of it is done on the Redis client's
// thread but for `add`.

import DequeModule
import Logging
import NIOConcurrencyHelpers
import NIOCore
import RedisPubSub
import SocketIO

/// Somebody who takes a namespace's entries.
protocol StreamReceiver: AnyObject, Sendable {
    /// Another node has said something.
    func received(_ message: SocketIOClusterMessage, _ id: StreamID)
    /// What this node has said has its place now, if `id` is not nil; otherwise it has none, and no other node hears it.
    func placed(_ action: StreamAction, _ id: StreamID?)
}

/// What is done on the node itself when the place in the stream is known.
enum StreamAction: Sendable {
    case broadcast(SocketIOPacket, SocketIOBroadcastOptions)
    case other(SocketIOClusterMessage.Content)
}

/// One stream in Redis, for all namespaces of a server.
final class RedisStream: Sendable {
    struct Outgoing: Sendable {
        let number: UInt64
        let node: String
        let namespace: String
        let fields: [ByteBuffer]
        let local: StreamAction?
        let size: Int
        /// Its place, once Redis has said it.
        var id: StreamID?
        /// What is done behind it.
        var followers: [Follower] = []
    }

    struct Follower: Sendable {
        /// How often `sweep` had been there before it came.
        let generation: Int
        let body: @Sendable () -> Void
    }

    enum Link: Sendable {
        /// Nothing is sent. What was sent may have been written or not.
        case down
        /// What was written before is being read.
        case reading(to: StreamID)
        case up
    }

    struct Receiver: Sendable {
        let node: String
        weak var receiver: (any StreamReceiver)?
        /// It has got all entries behind this one; nil before the stream's end was known.
        var since: StreamID?
    }

    struct Waiter: Sendable {
        let number: UInt64
        let id: StreamID
        let continuation: CheckedContinuation<Bool, Never>
    }

    struct State {
        var link = Link.down
        var isStarted = false
        /// By namespaces; one each, but while two are made at a time.
        var receivers: [String: [Receiver]] = [:]
        /// The names of this node, one for each namespace.
        var nodes: Set<String> = []
        /// In the order of their numbers.
        var outgoing: Deque<Outgoing> = []
        /// How many of them, from the first on, are sent.
        var sent = 0
        /// How many more may be sent before the other nodes can be expected to be there again, too; nil if they are.
        var allowance: Int?
        var outgoingBytes = 0
        var generation = 0
        var isSweeping = false
        var next: UInt64 = 0
        /// The last entry that was read; nil before the stream's end was known.
        var position: StreamID?
        var isReading = false
        /// How many entries are asked for at a time: fewer where they are large.
        var readCount: Int
        /// Whether the stream may have lost what was not read yet.
        var mayHaveLost = false
        var waiters: [Waiter] = []
        /// By what Redis knows the connection that writes.
        var connection: RedisConnectionName?
        /// The lost ones that Redis may still have.
        var lostConnections: Set<RedisConnectionName> = []
    }

    let link: any RedisCommandLink
    let settings: SocketIORedisStreamsConfiguration
    let state: NIOLockedValueBox<State>
    let faults = LogLimiter()
    /// What every entry is written by; its fields follow.
    let addition: [ByteBuffer]
    /// How long the other nodes may take to read again after an outage.
    static let catchUpTime = Duration.seconds(3)
    static let retryDelay = Duration.milliseconds(100)

    init(_ link: any RedisCommandLink, _ settings: SocketIORedisStreamsConfiguration) {
        self.link = link
        self.settings = settings
        addition = ["XADD", settings.streamName, "MAXLEN", "~", "\(settings.maxLength)", "*"].map { ByteBuffer(string: $0) }
        state = NIOLockedValueBox(State(readCount: max(1, settings.readCount)))
    }

    // MARK: Receivers

    /// Has somebody take a namespace's entries, whose own ones are those of `node`. It is not retained.
    func register(_ receiver: any StreamReceiver, for namespace: String, node: String) {
        let isFirst = state.withLockedValue { state in
            state.receivers[namespace, default: []].append(Receiver(node: node, receiver: receiver, since: state.position))
            state.nodes.insert(node)
            defer { state.isStarted = true }
            return !state.isStarted
        }
        guard isFirst else { return }
        // Also one that nothing is being said on: what was on its way may come late all the same.
        link.onLost { [weak self] in self?.lost() }
        link.onFlush { [weak self] time in await self?.waitUntilWritten(within: time) }
        resynchronise()
    }

    func unregister(_ namespace: String, node: String) {
        state.withLockedValue { state in
            state.receivers[namespace]?.removeAll { $0.node == node }
            if state.receivers[namespace]?.isEmpty == true { state.receivers[namespace] = nil }
            state.nodes.remove(node)
        }
    }

    func receivers(of namespace: String) -> [any StreamReceiver] {
        state.withLockedValue { $0.receivers[namespace]?.compactMap(\.receiver) ?? [] }
    }

    /// Whether what is added is written at once.
    var isUp: Bool { state.withLockedValue { if case .up = $0.link { true } else { false } } }

    // MARK: Looking back

    /// Whether a namespace has got all entries behind one, as far as they are read.
    func hasGotAll(behind id: StreamID, _ namespace: String, node: String) -> Bool {
        state.withLockedValue { $0.receivers[namespace]?.first { $0.node == node }?.since.map { $0 <= id } == true }
    }

    /// The entries after one, up to the stream's end, or so many of them.
    ///
    /// - Throws: `RedisError`.
    func entries(after id: StreamID, count: Int) async throws(RedisError) -> [StreamEntry] {
        // Exclusive, from Redis 6.2 on.
        try StreamEntry.entries(try await link.ask("XRANGE", settings.streamName, "(\(id)", "+", "COUNT", "\(count)"))
    }

    /// Whether an entry is still there.
    ///
    /// - Throws: `RedisError`.
    func contains(_ id: StreamID) async throws(RedisError) -> Bool {
        try !StreamEntry.entries(try await link.ask("XRANGE", settings.streamName, "\(id)", "\(id)")).isEmpty
    }

    /// Waits until this node has read an entry; false if that takes too long.
    func reached(_ id: StreamID) async -> Bool {
        await withCheckedContinuation { continuation in
            let number = state.withLockedValue { state -> UInt64? in
                if let position = state.position, position >= id { return nil }
                state.next += 1
                state.waiters.append(Waiter(number: state.next, id: id, continuation: continuation))
                return state.next
            }
            guard let number else { return continuation.resume(returning: true) }
            _ = link.call(after: settings.requestTimeout) { [weak self] in self?.gaveUp(number) }
        }
    }

    /// Waits until Redis has all that was added before, or for some time.
    private func waitUntilWritten(within time: Duration) async {
        let end = ContinuousClock.now + time
        let next = state.withLockedValue { $0.next }
        while ContinuousClock.now < end, state.withLockedValue({ $0.outgoing.contains { $0.number < next && $0.id == nil } }) {
            await withCheckedContinuation { continuation in _ = link.call(after: .milliseconds(10)) { continuation.resume() } }
        }
    }

    private func gaveUp(_ number: UInt64) {
        let waiter = state.withLockedValue { state -> Waiter? in
            guard let index = state.waiters.firstIndex(where: { $0.number == number }) else { return nil }
            return state.waiters.remove(at: index)
        }
        waiter?.continuation.resume(returning: false)
    }
}
