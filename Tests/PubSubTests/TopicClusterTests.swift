// A node's place among the others, on an event loop.

import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

@testable import PubSub

@Suite(.timeLimit(.minutes(1))) struct TopicClusterTests {
    /// Another node, which answers a heartbeat before whoever sends it goes on.
    private final class Answering: Backplane {
        let cluster = NIOLockedValueBox<TopicCluster?>(nil)
        let isAsked = AsyncStream<Void>.makeStream()
        let hasAnswered = NIOLockedValueBox(false)

        func start(receive: @escaping @Sendable (Publication) -> Void) {}
        func subscribe(to filter: TopicFilter) {}
        func unsubscribe(from filter: TopicFilter) {}
        func stop() {}

        func publish(_ publication: Publication) {
            guard let message = ClusterMessage(publication.payload) else { return }
            if message.content == .wantsState { isAsked.continuation.yield() }
            guard publication.topic == ClusterMessage.topic, case .alive = message.content else { return }
            let answer = ClusterMessage(node: message.node &+ 1, .alive(number: 7)).encoded
            let toIt = Publication(topic: ClusterMessage.topic(of: message.node), payload: answer, isText: false)
            hasAnswered.withLockedValue { $0 = true }
            _ = cluster.withLockedValue { $0 }?.take(toIt)
        }
    }

    /// An event loop that goes ahead: whoever asks it for something goes on once the heartbeat is out, or after as long as that takes
    /// where it has to wait for whoever asks.
    private final class Forward: EventLoop {
        private let base: any EventLoop
        private let hasBeaten: @Sendable () -> Bool

        init(_ base: any EventLoop, until hasBeaten: @escaping @Sendable () -> Bool) {
            self.base = base
            self.hasBeaten = hasBeaten
        }

        var inEventLoop: Bool { base.inEventLoop }

        func execute(_ task: @escaping @Sendable () -> Void) {
            base.execute(task)
            for _ in 0..<100 where !hasBeaten() { Thread.sleep(forTimeInterval: 0.001) }
        }

        func scheduleTask<T>(deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
            base.scheduleTask(deadline: deadline, task)
        }
        func scheduleTask<T>(in delay: TimeAmount, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
            base.scheduleTask(in: delay, task)
        }
        func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) { callback(nil) }
    }

    /// Nothing repeats it before the next heartbeat, here in a thousand seconds.
    @Test func whatIsAnsweredToTheFirstHeartbeatIsHeard() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        for _ in 0..<5 {
            let backplane = Answering()
            let loop = Forward(group.any()) { backplane.hasAnswered.withLockedValue { $0 } }
            let cluster = TopicCluster(backplane, Presence(), heartbeat: .seconds(1000), on: loop)
            backplane.cluster.withLockedValue { $0 = cluster }
            cluster.start { _ in 0 }
            for await _ in backplane.isAsked.stream { break }
            backplane.cluster.withLockedValue { $0 = nil }
            cluster.stop()
        }
        try await group.shutdownGracefully()
    }
}
