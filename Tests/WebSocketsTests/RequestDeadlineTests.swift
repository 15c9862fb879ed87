import NIOCore
import TestSupport
import Testing

@testable import WebSockets

struct RequestDeadlineTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test func bodiesGoOnAtTheLeastRate() {
        var deadline = RequestDeadline(.body, .init(), since: Self.start)
        #expect(deadline.moment == Self.start + .seconds(20))
        deadline.begin(at: 7)
        let isRenewed1 = deadline.renew(at: Self.start + .seconds(21), passed: 20_007)
        #expect(isRenewed1)
        #expect(deadline.moment == Self.start + .seconds(41))
        let isRenewed2 = deadline.renew(at: Self.start + .seconds(41), passed: 40_006)
        #expect(!isRenewed2)
    }

    @Test(arguments: [(RequestDeadline.Limit.head, Int64(10)), (.decision, 10), (.keepAlive, 65)])
    func whatElseIsAwaitedHasOneDeadline(_ limit: RequestDeadline.Limit, _ seconds: Int64) {
        var deadline = RequestDeadline(limit, .init(), since: Self.start)
        #expect(deadline.moment == Self.start + .seconds(seconds))
        let isRenewed3 = deadline.renew(at: deadline.moment, passed: .max)
        #expect(!isRenewed3)
    }

    @Test(arguments: [0, -1, .min, .max]) func anyRateIsTaken(_ rate: Int) {
        var deadline = RequestDeadline(.body, .init(minTransferRate: rate), since: Self.start)
        let isRenewed4 = deadline.renew(at: deadline.moment, passed: 0)
        #expect(!isRenewed4)
        let isRenewed5 = deadline.renew(at: deadline.moment, passed: rate == .max ? .max : 1)
        #expect(isRenewed5)
    }

    /// Whoever sends at the least rate in every stretch of 20 s is never cut off; whoever sends less in 40 s, wherever they begin, is.
    @Test func theRateIsKeptInEveryStretch() {
        let seed = UInt64.random(in: .min ... .max)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<2000 {
            // What each second brings.
            var seconds = (0..<120).map { _ in Int.random(in: 0...2400, using: &generator) }
            if Bool.random(using: &generator) {
                let start = Int.random(in: 0..<80, using: &generator)
                for second in start..<(start + 40) { seconds[second] = Int.random(in: 0..<500, using: &generator) }
            }
            var deadline = RequestDeadline(.body, .init(), since: Self.start)
            var passed = 0
            var cutAt: Int?
            for (second, bytes) in seconds.enumerated() where cutAt == nil {
                passed += bytes
                let now = Self.start + .seconds(Int64(second + 1))
                if now >= deadline.moment, !deadline.renew(at: now, passed: passed) { cutAt = second + 1 }
            }
            func least(_ length: Int) -> Int {
                (0...(seconds.count - length)).map { seconds[$0..<($0 + length)].reduce(0, +) }.min() ?? 0
            }
            if least(20) >= 20_000 { #expect(cutAt == nil, "seed \(seed)") }
            if least(40) < 20_000 { #expect(cutAt != nil, "seed \(seed)") }
        }
    }
}
