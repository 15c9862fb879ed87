// Does the peer take what is sent to it?

import Testing
import WebSocketCore

@testable import WebSockets

@Suite struct StallWatchTests {
    private var watch = StallWatch()

    @Test mutating func findsNothingWhileNothingWaits() {
        #expect(look(1, waiting: 0, sent: 10) == .init())
        // Bytes that went straight into the system's buffer are no sign of life.
        #expect(look(2, waiting: 0, sent: 20) == .init())
    }

    @Test mutating func saysSinceWhenNothingMoves() {
        #expect(look(1, waiting: 5, sent: 10) == .init(stalledSince: at(1)))
        #expect(look(9, waiting: 7, sent: 10) == .init(stalledSince: at(1)))
    }

    @Test mutating func seesWhatMoves() {
        _ = look(1, waiting: 5, sent: 10)
        #expect(look(2, waiting: 9, sent: 11) == .init(hasMoved: true, stalledSince: at(2)))
        #expect(look(3, waiting: 9, sent: 11) == .init(stalledSince: at(2)))
        #expect(look(4, waiting: 0, sent: 20) == .init(hasMoved: true))
        #expect(look(5, waiting: 1, sent: 20) == .init(stalledSince: at(5)))
    }

    @Test mutating func doesNotCountTimeThatIsExcused() {
        _ = look(1, waiting: 5, sent: 10)
        #expect(watch.look(at: at(8), waiting: 5, sent: 10, isExcused: true) == .init(stalledSince: at(8)))
        #expect(look(9, waiting: 5, sent: 10) == .init(stalledSince: at(8)))
    }

    private mutating func look(_ second: UInt64, waiting: Int, sent: Int) -> StallWatch.Finding {
        watch.look(at: at(second), waiting: waiting, sent: sent)
    }

    private func at(_ second: UInt64) -> Timestamp { Timestamp(nanoseconds: second * 1_000_000_000) }
}
