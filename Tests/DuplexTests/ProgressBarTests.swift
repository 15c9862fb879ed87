import Testing

@testable import duplex

struct ProgressBarTests {
    @Test func showsHowFarItIsAndHowFast() {
        var bar = ProgressBar()
        #expect(bar.line(.init(part: 0, text: "3 s left", count: 0), at: 0, columns: 40) == "[............................] 3 s left")
        #expect(
            bar.line(.init(part: 0.5, text: "2 s left", count: 5000), at: 500_000_000, columns: 40)
                == "[#########.........] 2 s left, 10,000/s")
        #expect(bar.line(.init(part: 1, text: "closing"), at: 600_000_000, columns: 20) == "[#########] closing")
    }

    @Test func fitsTheTerminal() {
        for columns in 0...200 {
            var bar = ProgressBar()
            for part in [-1, 0, 0.5, 1, 7] as [Double] {
                let line = bar.line(.init(part: part, text: "12 s left, warming up", count: 10), at: 1, columns: columns)
                #expect(line.count < max(columns, 1))
            }
        }
    }

    @Test func sameTimeOrLessMakesNoRate() {
        var bar = ProgressBar()
        _ = bar.line(.init(part: 0, text: "a", count: 5), at: 9, columns: 80)
        #expect(bar.line(.init(part: 0, text: "a", count: 6), at: 9, columns: 80).hasSuffix("] a"))
        #expect(bar.line(.init(part: 0, text: "a", count: 4), at: 10, columns: 80).hasSuffix("] a"))
    }
}
