// A node's place among the others, on an event loop.

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
            _ = cluster.withLockedValue { $0 }?.take(toIt)
        }
    }

    /// Nothing repeats it before the next heartbeat, here in a thousand seconds.
    @Test func whatIsAnsweredToTheFirstHeartbeatIsHeard() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        // Where all processors are busy, whom `start` wakes goes on in its place.
        let (busy, isOver) = (NIOThreadPool(numberOfThreads: System.coreCount), NIOLockedValueBox(false))
        busy.start()
        for _ in 0..<System.coreCount { busy.submit { _ in while !isOver.withLockedValue({ $0 }) {} } }
        for _ in 0..<500 {
            let backplane = Answering()
            let cluster = TopicCluster(backplane, Presence(), heartbeat: .seconds(1000), on: loop)
            backplane.cluster.withLockedValue { $0 = cluster }
            cluster.start { _ in 0 }
            for await _ in backplane.isAsked.stream { break }
            backplane.cluster.withLockedValue { $0 = nil }
            cluster.stop()
        }
        isOver.withLockedValue { $0 = true }
        try await busy.shutdownGracefully()
    }
}
