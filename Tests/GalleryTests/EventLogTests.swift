// What came after an event, now or later.

import HTTPTypes
import Testing
import WebSockets

@testable import Gallery

@Suite(.timeLimit(.minutes(1))) struct EventLogTests {
    private func log(_ count: Int) -> EventLog {
        let log = EventLog()
        for _ in 0..<count { _ = log.append { "\($0)" } }
        return log
    }

    @Test func givesWhatCameAfter() {
        #expect(log(0).piece(after: nil) == .init(events: [], last: -1))
        #expect(log(0).piece(after: 7) == .init(events: [], last: -1))
        #expect(log(3).piece(after: nil) == .init(events: ["2"], last: 2), "the last, to go on from")
        #expect(log(3).piece(after: 0) == .init(events: ["1", "2"], last: 2))
        #expect(log(3).piece(after: -1).events == ["0", "1", "2"])
        for number in [2, 3, .max] { #expect(log(3).piece(after: number) == .init(events: [], last: 2)) }
        #expect(log(3).piece(after: .min).events == ["0", "1", "2"])
    }

    @Test func keepsTheLatest() {
        let log = log(20_000)
        #expect(log.last == 19_999)
        #expect(log.piece(after: 19_997).events == ["19998", "19999"])
        let all = log.piece(after: 0)
        #expect(all.last == 19_999 && all.events.last == "19999")
        #expect((8192...16_384).contains(all.events.count))
        #expect(all.events.first == "\(20_000 - all.events.count)")
    }

    @Test func waitsForWhatComes() async {
        let log = log(1)
        async let waiting = log.next(after: 0)
        async let another = log.next(after: nil)
        // Whether they wait already or not: they get it.
        await Task.yield()
        _ = log.append { "\($0)" }
        #expect(await waiting == .init(events: ["1"], last: 1))
        log.end()
        #expect([nil, .init(events: ["1"], last: 1)].contains(await another))
    }

    @Test func nothingMoreComesAfterTheEnd() async {
        let log = log(1)
        async let waiting = log.next(after: 0)
        await Task.yield()
        log.end()
        #expect(await waiting == nil)
        #expect(await log.next(after: -1) == nil)
    }

    @Test func whoIsCancelledDoesNotWait() async {
        let log = log(1)
        let task = Task { await log.next(after: 0) }
        await Task.yield()
        task.cancel()
        #expect(await task.value == nil)
    }

    @Test func readsTheNumberFromTheQuery() {
        func after(_ path: String) -> Int? {
            ServerRequest(head: HTTPRequest(method: .get, scheme: "http", authority: "a", path: path)).after
        }
        #expect(after("/a?after=12") == 12)
        #expect(after("/a?after=x") == nil)
        #expect(after("/a") == nil)
    }
}
