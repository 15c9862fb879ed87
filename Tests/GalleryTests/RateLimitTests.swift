// How often is too often.

import TestSupport
import Testing

@testable import Gallery

@Suite struct RateLimitTests {
    private let start = ContinuousClock.now

    @Test func aBurstAndThenTheRate() {
        var limit = RateLimit(perSecond: 2, burst: 3)
        #expect((0..<4).map { _ in limit.allows(at: start) } == [true, true, true, false])
        #expect(!limit.allows(at: start + .milliseconds(499)))
        #expect(limit.allows(at: start + .milliseconds(500)))
        #expect(!limit.allows(at: start + .milliseconds(501)))
    }

    @Test func restFillsItToTheBurstAndNoFurther() {
        var limit = RateLimit(perSecond: 2, burst: 3)
        for _ in 0..<3 { #expect(limit.allows(at: start)) }
        #expect(!limit.isFull(at: start + .milliseconds(1499)))
        #expect(limit.isFull(at: start + .milliseconds(1500)))
        #expect((0..<4).map { _ in limit.allows(at: start + .seconds(3600)) } == [true, true, true, false])
    }

    @Test func timeThatGoesBackGivesNothing() {
        var limit = RateLimit(perSecond: 1, burst: 1)
        #expect(limit.allows(at: start + .seconds(10)))
        #expect(!limit.allows(at: start))
        #expect(!limit.allows(at: start + .seconds(10)))
        #expect(limit.allows(at: start + .seconds(11)))
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
        // A second later, all the others could begin anew.
        #expect(limits.allows("one more", at: start + .seconds(1)))
        #expect(!limits.allows("one more", at: start + .seconds(1)))
    }
}
