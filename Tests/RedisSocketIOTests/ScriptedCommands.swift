// A Redis whose answers the test gives, one by one.

import NIOConcurrencyHelpers
import NIOCore
import Testing

@testable import RedisPubSub

/// A Redis that answers when the test says so.
final class ScriptedCommands: RedisCommandLink {
    typealias Answer = @Sendable (Result<RESPValue, RedisError>) -> Void

    private final class Timer: RedisTimer {
        func cancel() {}
    }

    private struct State {
        var requests: [(words: [String], answer: Answer)] = []
        var reads: [(words: [String], answer: Answer)] = []
        var timers: [@Sendable () -> Void] = []
        var counts = [0, 0, 0]
        var losses: [@Sendable () -> Void] = []
    }

    private let state = NIOLockedValueBox(State())
    let maxWait = Duration.seconds(1)

    /// What was published, received and dropped.
    var counts: [Int] { state.withLockedValue { $0.counts } }
    /// The commands that wait for an answer.
    var requests: [[String]] { state.withLockedValue { $0.requests.map(\.words) } }
    var reads: [[String]] { state.withLockedValue { $0.reads.map(\.words) } }

    /// Answers the first command of this name.
    func answer(_ name: String, _ result: Result<RESPValue, RedisError>) throws {
        let answer = state.withLockedValue { state in
            state.requests.firstIndex { $0.words[0] == name }.map { state.requests.remove(at: $0).answer }
        }
        let told = try #require(answer, "\(name) was not asked: \(requests)")
        told(result)
    }

    func answerRead(_ result: Result<RESPValue, RedisError>) throws {
        let answer = state.withLockedValue { $0.reads.isEmpty ? nil : $0.reads.removeFirst().answer }
        let told = try #require(answer, "nothing is being read")
        told(result)
    }

    func passTime() {
        let timers = state.withLockedValue { state in
            defer { state.timers = [] }
            return state.timers
        }
        for body in timers { body() }
    }

    func request(_ command: [ByteBuffer], _ answered: @escaping Answer) {
        state.withLockedValue { $0.requests.append((command.map { String(buffer: $0) }, answered)) }
    }

    func read(_ command: [String], _ answered: @escaping Answer) { state.withLockedValue { $0.reads.append((command, answered)) } }

    func call(after time: Duration, _ body: @escaping @Sendable () -> Void) -> any RedisTimer {
        state.withLockedValue { $0.timers.append(body) }
        return Timer()
    }

    func onLost(_ body: @escaping @Sendable () -> Void) { state.withLockedValue { $0.losses.append(body) } }
    /// The connection is lost.
    func lose() { for body in state.withLockedValue({ $0.losses }) { body() } }

    func count(published: Int, received: Int, dropped: Int) {
        state.withLockedValue { $0.counts = zip($0.counts, [published, received, dropped]).map(+) }
    }

    func publish(_ payload: ByteBuffer, to channel: String) {}
    func onFlush(_ body: @escaping @Sendable (Duration) async -> Void) {}
    func publishReliably(_ payload: ByteBuffer, to channel: String) { publish(payload, to: channel) }
    func publish(_ payload: ByteBuffer, toShard channel: String) {}
    func publish(_ payload: ByteBuffer, to channel: String, heard: @escaping @Sendable (Int?) -> Void) {}
    func subscribe(_ receiver: any RedisReceiver, to target: RedisTarget) {}
    func unsubscribe(_ receiver: any RedisReceiver, from target: RedisTarget) {}
    func subscriberCount(of target: RedisTarget) async throws -> Int { 0 }
}
