// When an exhibit's clock goes, and when it stands.

import Testing

@testable import Gallery

@Suite(.timeLimit(.minutes(1))) struct AudienceTests {
    @Test func theClockGoesWhileSomebodyLooks() async {
        let audience = Audience()
        audience.enter()
        #expect(await audience.sleep(until: .now))
        #expect(await audience.sleep(until: .now))
    }

    @Test func theClockStandsUntilSomebodyComes() async {
        let audience = Audience()
        let tick = Task { await audience.sleep(until: .now) }
        audience.enter()
        #expect(await tick.value)
    }

    @Test func whoCameAndLeftDoesNotSetTheClockGoing() async {
        let audience = Audience()
        audience.enter()
        audience.leave()
        #expect(audience.isEmpty)
        let tick = Task { await audience.sleep(until: .now) }
        // It would be true, had it gone before.
        for _ in 0..<100 { await Task.yield() }
        tick.cancel()
        #expect(await tick.value == false)
    }

    @Test func aCancelledClockSaysSo() async {
        let audience = Audience()
        audience.enter()
        let tick = Task { await audience.sleep(until: .now + .seconds(3600)) }
        tick.cancel()
        #expect(await tick.value == false)
    }
}
