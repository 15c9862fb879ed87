// Long-polling without sticky sessions: a request that has come to the wrong node goes over Redis to the node that has its session, and the answer
// comes back the same way. The messages are in ForwardingMessage.swift, what comes from other nodes in EngineIORedisForwarder+Receiving.swift.
//
// Redis says of each message how many have heard it. So a node that is dead is known at once: nobody listens to its channel. One that is stopped
// or hangs is found by asking it again and again while it holds something (`ForwardedRequests.check`).

public import EngineIO
import Logging
import NIOConcurrencyHelpers
import NIOCore
public import RedisPubSub

/// Lets requests of long-polling come to any node of a cluster.
///
/// ```swift
/// configuration.engine.forwarder = EngineIORedisForwarder.over(redis)
/// ```
///
/// While Redis can not be reached, or if the session's node is gone, requests are answered with "Session ID unknown" as without it, and the
/// client opens a new session.
public final class EngineIORedisForwarder: EngineIOForwarder {
    struct State {
        var requests: ForwardedRequests
        /// The requests of other nodes that this one has not answered, by who asked.
        var served: [ServedKey: EngineIOExchange] = [:]
        /// Whether Redis has confirmed that answers would be heard.
        var isHearing = false
        var pendingBytes = 0
        /// Whether the next check is on its way.
        var isChecking = false
    }

    struct ServedKey: Hashable {
        let node: EngineIONode
        let id: UInt64
    }

    /// This node's name.
    public let node: EngineIONode
    weak let engine: EngineIOServer?
    let redis: any RedisLink
    let configuration: EngineIORedisForwarderConfiguration
    let state: NIOLockedValueBox<State>
    let faults = LogLimiter()

    /// What makes the forwarder of a server; for `EngineIOConfiguration.forwarder`.
    public static func over(
        _ redis: RedisClient, _ configuration: EngineIORedisForwarderConfiguration = EngineIORedisForwarderConfiguration()
    ) -> @Sendable (EngineIOServer) -> any EngineIOForwarder {
        { EngineIORedisForwarder($0, link: redis, configuration) }
    }

    init(
        _ engine: EngineIOServer, link: any RedisLink, _ configuration: EngineIORedisForwarderConfiguration,
        node: EngineIONode = EngineIONode(), firstID: UInt64 = .random(in: .min ... .max)
    ) {
        (self.engine, redis, self.configuration, self.node) = (engine, link, configuration, node)
        let check = TimeAmount(configuration.checkInterval)
        let heartbeat = TimeAmount(engine.configuration.pingInterval + engine.configuration.pingTimeout)
        // A node that is there answers a poll with the next ping, or with the session's end.
        let requests = ForwardedRequests(
            limit: configuration.maxRequests, pollTime: heartbeat + check, postTime: check, firstID: firstID)
        state = NIOLockedValueBox(State(requests: requests))
        redis.subscribe(self, to: .channel(channel(of: node)))
    }

    deinit { redis.unsubscribe(self, from: .channel(channel(of: node))) }

    func channel(of node: EngineIONode) -> String { "\(configuration.key)-engine.io#\(node)#" }

    /// Says something to another node; it may be lost.
    func tell(_ node: EngineIONode, _ content: ForwardingMessage.Content) {
        redis.publish(ForwardingMessage(node: self.node, content).encoded, to: channel(of: node))
    }

    // MARK: Requests of this node's clients

    /// Passes a request on to the node that has the session.
    public func forward(
        _ request: EngineIOForwardedRequest, answered: @escaping @Sendable (EngineIOForwardedAnswer) -> Void
    ) -> @Sendable () -> Void {
        switch begin(request, answered) {
        case .sent(let id): return { [weak self] in self?.cancel(id) }
        case .refused(let answer): answered(answer)
        }
        return {}
    }

    private enum Beginning {
        case sent(UInt64)
        case refused(EngineIOForwardedAnswer)
    }

    private func begin(_ request: EngineIOForwardedRequest, _ answered: @escaping ForwardedRequests.Answered) -> Beginning {
        let size = if case .post(let body, _) = request.kind { body.readableBytes + 64 } else { 64 }
        let (beginning, checks) = state.withLockedValue { state -> (Beginning, Bool) in
            guard state.isHearing else { return (.refused(.sessionUnknown), false) }
            guard state.pendingBytes + size <= configuration.maxPendingBytes, let id = state.requests.add(request, now: .now(), answered)
            else { return (.refused(.overloaded), false) }
            state.pendingBytes += size
            defer { state.isChecking = true }
            return (.sent(id), !state.isChecking)
        }
        switch beginning {
        case .refused(.overloaded):
            warn("too many requests are under way to other nodes (limits maxRequests, maxPendingBytes): one is refused")
        case .refused: break
        case .sent(let id): send(request, id, size)
        }
        if checks { scheduleCheck() }
        return beginning
    }

    private func send(_ request: EngineIOForwardedRequest, _ id: UInt64, _ size: Int) {
        let bytes = ForwardingMessage(node: node, .request(request, id: id)).encoded
        redis.publish(bytes, to: channel(of: request.node)) { [weak self] count in
            guard let self else { return }
            state.withLockedValue { $0.pendingBytes -= size }
            heard(by: count, request.node, id)
        }
    }

    /// Redis has passed a request on, or has not.
    private func heard(by count: Int?, _ node: EngineIONode, _ id: UInt64) {
        switch count {
        case nil: fail(state.withLockedValue { $0.requests.remove(id).map { [$0] } ?? [] })
        // The node is gone, and with it all that it held.
        case 0: fail(state.withLockedValue { $0.requests.removeAll(of: node) })
        default: break
        }
    }

    func fail(_ entries: [ForwardedRequests.Entry]) {
        for entry in entries { entry.answered(.sessionUnknown) }
    }

    /// The client has gone.
    private func cancel(_ id: UInt64) {
        guard let entry = state.withLockedValue({ $0.requests.remove(id) }) else { return }
        tell(entry.node, .cancel(id: id))
    }

    /// Has the polls that wait here answered by their nodes, so that the clients come back to other ones, and lose nothing.
    public func drain() {
        for (id, node) in state.withLockedValue({ $0.requests.polls }) { tell(node, .release(id: id)) }
    }

    // MARK: Checks

    private func scheduleCheck() {
        _ = redis.call(after: configuration.checkInterval) { [weak self] in self?.check() }
    }

    private func check() {
        let (check, goesOn) = state.withLockedValue { state in
            let check = state.requests.check(now: .now())
            state.isChecking = !state.requests.isEmpty
            return (check, state.isChecking)
        }
        for (id, entry) in check.failed { tell(entry.node, .cancel(id: id)) }
        fail(check.failed.map(\.entry))
        if let first = check.failed.first {
            warn("node \(first.entry.node) does not answer: \(check.failed.count) requests of its sessions are refused")
        }
        for node in check.asked { ask(node) }
        if goesOn { scheduleCheck() }
    }

    private func ask(_ node: EngineIONode) {
        redis.publish(ForwardingMessage(node: self.node, .ping).encoded, to: channel(of: node)) { [weak self] count in
            guard let self, count == 0 else { return }
            fail(state.withLockedValue { $0.requests.removeAll(of: node) })
        }
    }

    func warn(_ text: String) {
        guard let others = faults.admit() else { return }
        configuration.logger.warning("\(text)", metadata: ["othersSinceLastLine": "\(others)"])
    }
}
