// How often is too often.

import TestSupport
import Testing

@testable import Gallery

@Suite struct RateLimitTests {
    private let start = ContinuousClock.now

    /// What a limit says at some moments after the start, in seconds.
    private func answers(of limit: RateLimit, at moments: [Double]) -> [Bool] {
        var limit = limit
        return moments.map { limit.allows(at: start + .seconds($0)) }
    }

    @Test func aBurstAndThenTheRate() {
        let limit = RateLimit(perSecond: 2, burst: 3)
        #expect(answers(of: limit, at: [0, 0, 0, 0, 0.499, 0.5, 0.501]) == [true, true, true, false, false, true, false])
    }

    @Test func restFillsItToTheBurstAndNoFurther() {
        var limit = RateLimit(perSecond: 2, burst: 3)
        for _ in 0..<3 { _ = limit.allows(at: start) }
        let isFull = [1.499, 1.5].map { limit.isFull(at: start + .seconds($0)) }
        #expect(isFull == [false, true])
        #expect(answers(of: limit, at: [3600, 3600, 3600, 3600]) == [true, true, true, false])
    }

    @Test func timeThatGoesBackGivesNothing() {
        #expect(answers(of: RateLimit(perSecond: 1, burst: 1), at: [10, 0, 10, 11]) == [true, false, false, true])
    }

    /// Whatever the moments, no more is let through than the burst and what has filled since.
    @Test(arguments: 0..<20 as Range<UInt64>) func neverMoreThanTheRate(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let limits = RateLimits(perSecond: 5, burst: 10)
        var now = start
        var allowed = 0
        for _ in 0..<1000 {
            now += .milliseconds(Int.random(in: 0...100, using: &random))
            if limits.allows("ann", at: now) { allowed += 1 }
            #expect(Double(allowed) <= 10 + (now - start) / .seconds(1) * 5 + 1e-6, "seed \(seed)")
        }
        #expect(allowed > 100, "seed \(seed)")
    }

    @Test func usersDoNotShare() {
        let limits = RateLimits(perSecond: 1, burst: 1)
        #expect(limits.allows("ann", at: start))
        #expect(limits.allows("ben", at: start))
        #expect(!limits.allows("ann", at: start))
    }

    @Test func theTableIsBoundedAndMakesRoom() {
        let limits = RateLimits(perSecond: 1, burst: 1)
        for number in 0..<RateLimits.maxUsers { #expect(limits.allows("user \(number)", at: start)) }
        #expect(!limits.allows("one more", at: start))
        #expect(!limits.allows("one more", at: start + .milliseconds(999)))
        // A second later, all the others could begin anew.
        #expect(limits.allows("one more", at: start + .seconds(1)))
        #expect(!limits.allows("one more", at: start + .seconds(1)))
    }
}
