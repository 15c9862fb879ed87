import Testing

@testable import duplex

struct FiguresTests {
    @Test(arguments: [(0, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "-1,234,567")])
    func grouped(_ value: Int, _ text: String) { #expect(Figures.grouped(value) == text) }

    @Test(
        arguments: [
            (0, 1, "0.0"), (1.25, 1, "1.3"), (1.05, 2, "1.05"), (0.999, 2, "1.00"), (12_345.6, 0, "12,346"), (-0.01, 1, "0.0"),
            (-2.5, 1, "-2.5"), (.infinity, 1, "–"), (.nan, 0, "–"), (1e300, 2, "–"),
        ] as [(Double, Int, String)])
    func decimal(_ value: Double, _ places: Int, _ text: String) { #expect(Figures.decimal(value, places) == text) }

    @Test(
        arguments: [
            (0, "0.0 µs"), (29_140, "29.1 µs"), (99_499, "99.5 µs"), (812_400, "812 µs"), (999_600, "1.00 ms"), (12_345_678, "12.35 ms"),
            (123_456_789, "123 ms"), (999_600_000, "1.00 s"), (61_000_000_000, "61.00 s"),
        ] as [(UInt64, String)])
    func time(_ nanoseconds: UInt64, _ text: String) { #expect(Figures.time(nanoseconds) == text) }

    @Test func rate() {
        #expect(Figures.rate(3.14) == "3.1")
        #expect(Figures.rate(1234.5) == "1,235")
    }
}
