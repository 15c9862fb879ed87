// A fixed rate, and what a stall of the server then costs: all of it with given times.

import Testing

@testable import duplex

struct ScheduleTests {
    private let ms: UInt64 = 1_000_000

    @Test func messagesAreDueAtTheirTimes() {
        var schedule = Schedule(start: 100, interval: 10)
        #expect(schedule.due(at: 99) == nil)
        #expect(schedule.due(at: 100) == 100)
        #expect(schedule.due(at: 105) == 100, "it stays due until it is sent")
        schedule.advance()
        #expect(schedule.due(at: 109) == nil)
        #expect(schedule.next == 110)
        #expect(schedule.due(at: 150) == 110, "what is late is due when it was")
    }

    @Test func aFractionDoesNotAddUp() {
        var schedule = Schedule(start: 0, rate: 3, senders: 1, of: 1, offset: 0)
        for _ in 0..<3_000_000 { schedule.advance() }
        #expect(schedule.next == 1_000_000 * 1_000_000_000)
    }

    @Test func threadsInterleave() {
        // 1,000 a second of four senders, three of them on the first thread.
        var first = Schedule(start: 0, rate: 1000, senders: 3, of: 4, offset: 0)
        var second = Schedule(start: 0, rate: 1000, senders: 1, of: 4, offset: 3)
        var moments: [UInt64] = []
        while let due = first.due(at: 999 * ms) {
            moments.append(due)
            first.advance()
        }
        #expect(moments.count == 750)
        while let due = second.due(at: 999 * ms) {
            moments.append(due)
            second.advance()
        }
        #expect(moments.count == 1000)
        #expect(second.next == 1003 * ms)
    }

    /// The server answers within 1 ms, but stands still from 500 to 600 ms, and the client can send nothing meanwhile.
    @Test func aStallIsChargedToAllThatItDelayed() throws {
        var schedule = Schedule(start: 0, rate: 1000, senders: 1, of: 1, offset: 0)
        var (fromDue, fromSent) = (Latencies(), Latencies())
        for now in stride(from: 0, to: 1000 * ms, by: Int(ms)) where !(500 * ms..<600 * ms).contains(now) {
            while let due = schedule.due(at: now) {
                schedule.advance()
                fromDue.record(from: due, to: now + ms)
                fromSent.record(from: now, to: now + ms)
            }
        }
        let (due, sent) = (try #require(fromDue.percentiles), try #require(fromSent.percentiles))
        #expect(due.count == 1000 && sent.count == 1000)
        #expect((due.p50 / ms, due.p90 / ms) == (1, 1))
        // A hundred of a thousand waited, 100 ms the first and 1 ms the last of them: the hundredth-worst message waited 91 ms.
        #expect((90...92).contains(due.p99 / ms))
        #expect(due.max == 101 * ms)
        #expect(sent.max == ms, "timed from when they were sent, nothing would be seen of it")
    }
}
