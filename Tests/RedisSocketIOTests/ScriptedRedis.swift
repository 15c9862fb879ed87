// A Redis that is a list of what was said: the test says who has heard it, and turns its clock.

import NIOConcurrencyHelpers
import NIOCore
import RedisPubSub

final class ScriptedRedis: RedisLink {
    struct Said: Sendable {
        let channel: String
        let bytes: ByteBuffer
        let heard: (@Sendable (Int?) -> Void)?
    }

    private final class Timer: RedisTimer {
        let body: NIOLockedValueBox<(@Sendable () -> Void)?>
        init(_ body: @escaping @Sendable () -> Void) { self.body = NIOLockedValueBox(body) }
        func cancel() { body.withLockedValue { $0 = nil } }
    }

    private struct State {
        var said: [Said] = []
        var subscribed: [RedisTarget] = []
        var timers: [Timer] = []
    }

    private let state = NIOLockedValueBox(State())

    /// What was said since this was last asked.
    func takeSaid() -> [Said] {
        state.withLockedValue { state in
            defer { state.said = [] }
            return state.said
        }
    }

    var subscribed: [RedisTarget] { state.withLockedValue { $0.subscribed } }

    /// Lets the time pass that everything waits for.
    func passTime() {
        let timers = state.withLockedValue { state in
            defer { state.timers = [] }
            return state.timers
        }
        for timer in timers { timer.body.withLockedValue { $0.take() }?() }
    }

    var timerCount: Int { state.withLockedValue { $0.timers.count } }

    func publish(_ payload: ByteBuffer, to channel: String) {
        state.withLockedValue { $0.said.append(Said(channel: channel, bytes: payload, heard: nil)) }
    }

    func publishReliably(_ payload: ByteBuffer, to channel: String) { publish(payload, to: channel) }
    func publish(_ payload: ByteBuffer, toShard channel: String) { publish(payload, to: channel) }

    func publish(_ payload: ByteBuffer, to channel: String, heard: @escaping @Sendable (Int?) -> Void) {
        state.withLockedValue { $0.said.append(Said(channel: channel, bytes: payload, heard: heard)) }
    }

    func subscribe(_ receiver: any RedisReceiver, to target: RedisTarget) { state.withLockedValue { $0.subscribed.append(target) } }
    func unsubscribe(_ receiver: any RedisReceiver, from target: RedisTarget) {}
    func subscriberCount(of target: RedisTarget) async throws -> Int { 0 }

    func call(after time: Duration, _ body: @escaping @Sendable () -> Void) -> any RedisTimer {
        let timer = Timer(body)
        state.withLockedValue { $0.timers.append(timer) }
        return timer
    }
}
