import Testing

@testable import duplex

struct FarewellTests {
    private let start = ContinuousClock.now
    private func at(_ seconds: Double) -> ContinuousClock.Instant { start + .seconds(seconds) }

    /// When it closes, looked at every 10 ms up to a minute; `events` happen before the look at their time.
    private func closing(
        silence: Duration = .seconds(0.5), unsent: (Double) -> Int = { _ in 0 },
        _ events: [(Double, (inout Farewell, ContinuousClock.Instant) -> Void)]
    ) -> Double? {
        var farewell = Farewell(silence: silence, at: start)
        farewell.begin(at: start, unsentBytes: unsent(0))
        var events = events[...]
        for look in 0...6000 {
            let time = Double(look) / 100
            while let event = events.first, event.0 <= time {
                event.1(&farewell, at(event.0))
                events.removeFirst()
            }
            if farewell.step(at: at(time), unsentBytes: unsent(time)) == .close { return time }
        }
        return nil
    }

    private typealias Event = (Double, (inout Farewell, ContinuousClock.Instant) -> Void)
    private func pong(_ time: Double) -> Event { (time, { $0.pong(at: $1) }) }
    private func message(_ time: Double) -> Event { (time, { $0.received(isPrinting: false, at: $1) }) }
    private func printing(_ time: Double) -> Event { (time, { $0.received(isPrinting: true, at: $1) }) }

    @Test func closesASilenceAfterThePong() { #expect(closing([pong(0.25)]) == 0.75) }
    @Test func waitsForAnAnswerBehindThePong() { #expect(closing([pong(0.25), message(0.5), message(0.75)]) == 1.25) }
    @Test func answersBeforeThePongAreNoSilence() { #expect(closing([message(1), message(4), message(8), pong(8.25)]) == 8.75) }
    @Test func givesUpAServerWithoutPongs() { #expect(closing([message(1)]) == 6) }
    @Test func givesUpAServerThatNeverFallsSilent() {
        #expect(closing([pong(1)] + (0..<100).map { message(1 + Double($0) / 4) }) == 4)
    }
    @Test func waitsWhileBytesLeave() { #expect(closing(unsent: { max(0, 1000 - Int($0 * 50)) }, []).map { $0 > 20 } == true) }
    @Test func waitsWhilePrinting() { #expect(closing([pong(0.25), printing(0.5), message(30)]) == 30) }
    @Test func waitsAsLongAsTold() {
        #expect(closing(silence: .zero, [pong(0.25)]) == 0.25)
        #expect(closing(silence: .seconds(10), [pong(0.25), message(8)]) == 18)
    }

    /// What came before the end of the input says nothing about what comes after it.
    @Test func countsFromTheEndOfTheInput() {
        var farewell = Farewell(silence: .seconds(1), at: start)
        farewell.received(isPrinting: false, at: at(1))
        farewell.begin(at: at(100), unsentBytes: 0)
        #expect(farewell.step(at: at(100), unsentBytes: 0) == .wait(until: at(100) + Farewell.glance))
    }
}
