// Counts, and says once when Redis is lost and once when it is back.

import Logging
import Metrics
import NIOConcurrencyHelpers
import NIOCore

/// What is known of a client's connections, under the names that operators see.
///
/// | metric | kind | what |
/// |---|---|---|
/// | `duplex_redis_connections` | gauge | connections to Redis that can be used: two for each client, three with a stream |
/// | `duplex_redis_connections_lost_total` | counter | connections that were lost, or could not be made |
/// | `duplex_redis_published_total`, `duplex_redis_received_total` | counter | messages, and entries of a stream |
/// | `duplex_redis_dropped_total` | counter | messages that Redis did not get, or perhaps not |
final class RedisMonitor: Sendable {
    private struct State {
        var ready: Set<RedisMachine.Role> = []
        var isOpen = false
        /// How many connections there are.
        var expected = 2
        var isClosed = false
        /// Since when something is wrong.
        var lostSince: NIODeadline?
        var droppedBefore = 0
        /// Whether the first attempt to connect for commands has ended.
        var hasTried = false
        /// The dropped publications of which the program has been told by a flush.
        var toldDrops = 0
        var waiters: [CheckedContinuation<Void, Never>] = []

        var current: RedisStatus.State { isClosed ? .closed : ready.count >= expected ? .ready : isOpen ? .connecting : .idle }
        var status = RedisStatus(state: .idle, lastError: nil, connectionsLost: 0, published: 0, publicationsDropped: 0, received: 0)
    }

    private let state = NIOLockedValueBox(State())
    private let logger: Logger
    private let place: String
    private let connections: Meter
    private let lost: Counter
    private let published: Counter
    private let received: Counter
    private let dropped: Counter

    init(_ settings: RedisConfiguration) {
        let factory = settings.metrics ?? MetricsSystem.factory
        logger = settings.logger
        place = settings.url.description
        connections = Meter(label: "duplex_redis_connections", factory: factory)
        lost = Counter(label: "duplex_redis_connections_lost_total", factory: factory)
        published = Counter(label: "duplex_redis_published_total", factory: factory)
        received = Counter(label: "duplex_redis_received_total", factory: factory)
        dropped = Counter(label: "duplex_redis_dropped_total", factory: factory)
    }

    var status: RedisStatus {
        state.withLockedValue { state in
            var status = state.status
            status.state = state.current
            return status
        }
    }

    /// Waits until all connections can be used, the client is closed, or something else holds, at which `wake` is called.
    func waitUntilReady(or isOver: @escaping @Sendable () -> Bool) async { await wait { $0.current == .ready || $0.isClosed || isOver() } }

    /// Waits until the first attempt to connect for commands has ended, one way or the other.
    func waitForFirstAttempt() async { await wait { $0.hasTried || $0.isClosed } }

    private func wait(until isSo: @Sendable (State) -> Bool) async {
        while !state.withLockedValue({ isSo($0) }) {
            await withCheckedContinuation { continuation in
                let isOver = state.withLockedValue { state in
                    if isSo(state) { return true }
                    state.waiters.append(continuation)
                    return false
                }
                if isOver { continuation.resume() }
            }
        }
    }

    /// Lets all that wait look again.
    func wake() {
        let waiters = state.withLockedValue { state in
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// The publications that were dropped since this was last asked.
    func takeDrops() -> Int {
        state.withLockedValue { state in
            defer { state.toldDrops = state.status.publicationsDropped }
            return state.status.publicationsDropped - state.toldDrops
        }
    }

    func opened() { state.withLockedValue { $0.isOpen = true } }
    /// There is a connection for reads, too.
    func reads() { state.withLockedValue { $0.expected = 3 } }
    func closed() {
        state.withLockedValue { $0.isClosed = true }
        wake()
    }

    func ready(_ role: RedisMachine.Role, version: Int) {
        let back = state.withLockedValue { state -> (since: NIODeadline, dropped: Int)? in
            state.ready.insert(role)
            if role == .commands { state.hasTried = true }
            guard state.ready.count >= state.expected, let since = state.lostSince else { return nil }
            state.lostSince = nil
            state.status.lastError = nil
            return (since, state.status.publicationsDropped - state.droppedBefore)
        }
        wake()
        connections.increment()
        logger.debug("connected to Redis", metadata: ["redis": "\(place)", "for": "\(role.rawValue)", "RESP": "\(version)"])
        guard let back else { return }
        let seconds = Double((NIODeadline.now() - back.since).nanoseconds / 100_000_000) / 10
        logger.notice(
            "Redis is reachable again: the cluster's other nodes did not hear this one for \(seconds) s",
            metadata: ["redis": "\(place)", "publicationsDropped": "\(back.dropped)"])
    }

    func lost(_ role: RedisMachine.Role, _ reason: String) {
        let (wasReady, isFirst) = state.withLockedValue { state in
            state.status.connectionsLost += 1
            state.status.lastError = reason
            if role == .commands { state.hasTried = true }
            let wasReady = state.ready.remove(role) != nil
            defer { if state.lostSince == nil { (state.lostSince, state.droppedBefore) = (.now(), state.status.publicationsDropped) } }
            return (wasReady, state.lostSince == nil)
        }
        wake()
        lost.increment()
        if wasReady { connections.decrement() }
        let metadata: Logger.Metadata = ["redis": "\(place)", "for": "\(role.rawValue)", "reason": "\(reason)"]
        guard isFirst else { return logger.debug("Redis is still not reachable", metadata: metadata) }
        logger.warning("Redis is not reachable: this node goes on alone, and tries to connect again", metadata: metadata)
    }

    func published(_ count: Int) {
        state.withLockedValue { $0.status.published += count }
        published.increment(by: count)
    }

    func dropped(_ count: Int) {
        state.withLockedValue { $0.status.publicationsDropped += count }
        dropped.increment(by: count)
    }

    /// A publication was not taken, and its sender knows.
    func refused() {
        state.withLockedValue { state in
            state.status.publicationsDropped += 1
            state.toldDrops += 1
        }
        dropped.increment()
    }

    func received(_ count: Int) {
        state.withLockedValue { $0.status.received += count }
        received.increment(by: count)
    }
}
