// What other nodes say: requests of their clients, and answers to this one's. Called by the Redis client, one call at a time, on a thread that must
// not be blocked.

import EngineIO
import NIOConcurrencyHelpers
import NIOCore
package import RedisPubSub

extension EngineIORedisForwarder: RedisReceiver {
    package func received(_ event: RedisEvent, of target: RedisTarget) {
        switch event {
        case .subscribed: state.withLockedValue { $0.isHearing = true }
        case .unsubscribed: lostRedis()
        case .message(_, let bytes):
            do throws(ForwardingError) {
                take(try ForwardingMessage(bytes))
            } catch {
                warn("\(error): it is dropped")
            }
        }
    }

    /// Answers would not be heard any more: the clients open new sessions. What other nodes have asked for ends with the heartbeat.
    private func lostRedis() {
        fail(
            state.withLockedValue { state in
                state.isHearing = false
                return state.requests.removeAll()
            })
    }

    private func take(_ message: ForwardingMessage) {
        let node = message.node
        state.withLockedValue { $0.requests.heard(node) }
        switch message.content {
        case .request(let request, let id): serve(request, ServedKey(node: node, id: id))
        case .cancel(let id): state.withLockedValue { $0.served.removeValue(forKey: ServedKey(node: node, id: id)) }?.cancel()
        case .release(let id): state.withLockedValue { $0.served[ServedKey(node: node, id: id)] }?.release()
        case .answer(let answer, let id): state.withLockedValue { $0.requests.remove(id, answeredBy: node) }?.answered(answer)
        case .ping: tell(node, .pong)
        case .pong: break
        }
    }

    private func serve(_ request: EngineIOForwardedRequest, _ key: ServedKey) {
        guard let engine, request.node == node else { return tell(key.node, .answer(.sessionUnknown, id: key.id)) }
        guard state.withLockedValue({ $0.served[key] }) == nil else { return warn("node \(key.node) uses a number twice: it is dropped") }
        let exchange = engine.serve(request) { [weak self] in self?.answer($0, key) }
        guard exchange.isWaiting else { return }
        // A session has one poll and one POST at most, so that these are bounded as sessions are.
        state.withLockedValue { $0.served[key] = exchange }
        // It may have been answered meanwhile.
        if !exchange.isWaiting { forget(key) }
    }

    private func answer(_ answer: EngineIOForwardedAnswer, _ key: ServedKey) {
        forget(key)
        tell(key.node, .answer(answer, id: key.id))
    }

    private func forget(_ key: ServedKey) { state.withLockedValue { _ = $0.served.removeValue(forKey: key) } }
}
