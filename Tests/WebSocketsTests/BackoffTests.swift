import Testing

@testable import WebSockets

@Suite struct BackoffTests {
    private let backoff = Backoff(initial: .seconds(1), maximum: .seconds(10), resetAfter: .seconds(60))

    @Test func doublesUpToTheMaximum() {
        var state = BackoffState(backoff)
        let waits = (0..<6).map { _ in state.failed(random: 1) }
        #expect(waits == [.seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(10), .seconds(10)])
    }

    @Test func jittersFromNothingOn() {
        var state = BackoffState(backoff)
        #expect(state.failed(random: 0) == .zero)
        #expect(state.failed(random: 0.5) == .seconds(1))
        #expect(state.failed(random: 0.25) == .seconds(1))
    }

    @Test func neverOverflows() {
        var state = BackoffState(Backoff(initial: .seconds(3600), maximum: .seconds(86400)))
        for _ in 0..<200 { #expect(state.failed(random: 1).map { $0 <= .seconds(86400) } == true) }
        #expect(state.failures == 200)
    }

    @Test func forgetsFailuresAfterASessionThatLasted() {
        var state = BackoffState(backoff)
        for _ in 0..<4 { _ = state.failed(random: 1) }
        #expect(state.ended(after: .seconds(60), random: 1) == .seconds(1))
        #expect(state.failures == 0)
        #expect(state.failed(random: 1) == .seconds(1))
    }

    @Test func countsAShortSessionAsAFailure() {
        var state = BackoffState(backoff)
        #expect(state.ended(after: .milliseconds(59_999), random: 1) == .seconds(1))
        #expect(state.ended(after: .zero, random: 1) == .seconds(2))
        #expect(state.failures == 2)
    }

    @Test func givesUp() {
        var state = BackoffState(Backoff(maxFailures: 2))
        #expect(state.failed(random: 1) != nil)
        #expect(state.ended(after: .zero, random: 1) == nil)
    }

    @Test func waitsAsLongAsTheServerAsks() {
        var state = BackoffState(backoff)
        #expect(state.failed(random: 1, atLeast: .seconds(20)) == .seconds(20))
        #expect(state.failed(random: 1, atLeast: .seconds(1)) == .seconds(2))
        #expect(state.failed(random: 1, atLeast: .seconds(100_000)) == .seconds(300))
    }

    @Test func staysWithinItsBounds() {
        var generator = SystemRandomNumberGenerator()
        let seed = UInt64.random(in: .min ... .max, using: &generator)
        var random = SplitMix(state: seed)
        var state = BackoffState(backoff)
        for _ in 0..<2000 {
            let isFailure = Bool.random(using: &random)
            let fraction = Double.random(in: 0...1, using: &random)
            let lasted = Duration.seconds(Int.random(in: 0...120, using: &random))
            let wait = isFailure ? state.failed(random: fraction) : state.ended(after: lasted, random: fraction)
            let ceiling = backoff.ceiling(failures: state.failures)
            #expect(wait.map { $0 >= .zero && $0 <= ceiling && $0 <= .seconds(10) } == true, "seed \(seed)")
        }
    }
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
