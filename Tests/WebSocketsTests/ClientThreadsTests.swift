// The owners of clients' connections.

import NIOEmbedded
import Testing
import WebSocketCore

@testable import WebSockets

@Suite struct ClientThreadsTests {
    private let threads = ClientThreads(statistics: Statistics(role: .client))

    @Test func oneForEachLoop() {
        let (one, other) = (EmbeddedEventLoop(), EmbeddedEventLoop())
        let first = threads.thread(of: one)
        #expect(threads.thread(of: one) === first)
        #expect(threads.thread(of: other) !== first)
    }

    @Test func goesWithTheLastWhoHoldsIt() {
        let loop = EmbeddedEventLoop()
        weak let gone = threads.thread(of: loop)
        #expect(gone == nil)
        #expect(threads.thread(of: loop).isCurrent)
    }

    @Test func doesNotPileUpWhatIsGone() {
        let loops = (0..<10).map { _ in EmbeddedEventLoop() }
        for loop in loops { _ = threads.thread(of: loop) }
        #expect(threads.count == 1)
    }
}
