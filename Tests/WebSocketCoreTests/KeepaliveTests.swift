// Is the peer still there? Every transition, with the time as an argument (RFC 6455 §5.5.2).

import Testing

@testable import WebSocketCore

@Suite struct KeepaliveTests {
    private func at(_ seconds: Double) -> Timestamp { Timestamp(nanoseconds: UInt64(seconds * 1e9)) }

    private func keepalive(interval: Duration = .seconds(20), timeout: Duration = .seconds(10), now: Double = 0) -> Keepalive {
        Keepalive(interval: interval, timeout: timeout, now: at(now))
    }

    @Test func waitsUntilTheSilenceIsLongEnough() {
        var keepalive = keepalive(now: 100)
        #expect(keepalive.check(at: at(100)) == .wait(until: at(120)))
        #expect(keepalive.check(at: Timestamp(nanoseconds: 119_999_999_999)) == .wait(until: at(120)))
        #expect(keepalive.check(at: at(120)) == .ping(next: at(130)))
    }

    @Test func pingsOnceAndThenAwaitsTheAnswer() {
        var keepalive = keepalive()
        #expect(keepalive.check(at: at(25)) == .ping(next: at(35)))
        #expect(keepalive.check(at: at(25)) == .wait(until: at(35)))
        #expect(keepalive.check(at: Timestamp(nanoseconds: 34_999_999_999)) == .wait(until: at(35)))
    }

    @Test func givesUpAPeerThatStaysSilent() {
        var keepalive = keepalive()
        _ = keepalive.check(at: at(20))
        #expect(keepalive.check(at: at(30)) == .dead)
        #expect(keepalive.check(at: at(31)) == .dead)
    }

    @Test func takesAnythingForASignOfLife() {
        var keepalive = keepalive()
        _ = keepalive.check(at: at(20))
        keepalive.heard(at: at(29))
        #expect(keepalive.check(at: at(30)) == .wait(until: at(49)))
        #expect(keepalive.check(at: at(49)) == .ping(next: at(59)))
    }

    @Test func movesThePingWithWhatWasHeard() {
        var keepalive = keepalive()
        for second in stride(from: 5.0, through: 100, by: 5) {
            keepalive.heard(at: at(second))
            #expect(keepalive.check(at: at(second)) == .wait(until: at(second + 20)))
        }
    }

    @Test func doesNotBlameThePeerWhileThisEndKeepsFromReading() {
        var keepalive = keepalive()
        _ = keepalive.check(at: at(20))
        #expect(keepalive.check(at: at(500), isReadingPaused: true) == .wait(until: at(520)))
        #expect(keepalive.check(at: at(519)) == .wait(until: at(520)))
        #expect(keepalive.check(at: at(520)) == .ping(next: at(530)))
    }

    @Test(arguments: [Duration.zero, .seconds(-5), .nanoseconds(-1)])
    func neverSpinsOnAnIntervalOfNothing(duration: Duration) {
        var keepalive = keepalive(interval: duration, timeout: duration, now: 1)
        #expect(keepalive.check(at: at(1)) == .wait(until: Timestamp(nanoseconds: 1_000_000_001)))
    }

    @Test func keepsEndlessDurationsInRange() {
        var keepalive = keepalive(interval: .seconds(Int64.max), timeout: .seconds(Int64.max))
        let century = Timestamp(nanoseconds: 3_155_760_000 * 1_000_000_000)
        #expect(keepalive.check(at: at(0)) == .wait(until: century))
        #expect(keepalive.check(at: century) == .ping(next: Timestamp(nanoseconds: 2 * century.nanoseconds)))
    }
}

@Suite struct TimestampTests {
    @Test func movesForwardByADuration() {
        let start = Timestamp(nanoseconds: 5)
        #expect(start.advanced(by: .microseconds(2)) == Timestamp(nanoseconds: 2005))
        #expect(start.advanced(by: .seconds(-1)) == start)
        #expect(start < start.advanced(by: .nanoseconds(1)))
    }

    @Test func measuresWhatHasPassed() {
        let (early, late) = (Timestamp(nanoseconds: 10), Timestamp(nanoseconds: 1_000_000_010))
        #expect(late.since(early) == .seconds(1))
        #expect(early.since(late) == .zero)
        #expect(Timestamp(nanoseconds: .max).since(Timestamp(nanoseconds: 0)) == .nanoseconds(Int64.max))
    }
}
