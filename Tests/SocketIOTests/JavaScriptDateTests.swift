// Dates as JavaScript writes them.

import Foundation
import TestSupport
import Testing

@testable import SocketIO

@Suite struct JavaScriptDateTests {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"), (960_854_400_000, "2000-06-13T00:00:00.000Z"),
        (951_782_399_999, "2000-02-28T23:59:59.999Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (1_709_164_800_001, "2024-02-29T00:00:00.001Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
        (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"), (-62_167_219_200_001, "-000001-12-31T23:59:59.999Z"),
        (8_640_000_000_000_000, "+275760-09-13T00:00:00.000Z"), (-8_640_000_000_000_000, "-271821-04-20T00:00:00.000Z"),
    ])
    func writesAndReads(milliseconds: Int, text: String) {
        #expect(JavaScriptDate.text(ofMilliseconds: milliseconds) == text)
        #expect(JavaScriptDate.date(of: text).map { ($0.timeIntervalSince1970 * 1000).rounded() } == Double(milliseconds))
        #expect(JavaScriptDate.text(of: Date(timeIntervalSince1970: Double(milliseconds) / 1000)) == text)
    }

    @Test(arguments: [
        ("2000-06-13", 960_854_400), ("2000-06-13T12:30", 960_899_400), ("2000-06-13T12:30Z", 960_899_400),
        ("2000-06-13T12:30:15Z", 960_899_415),
        ("2000-06-13T12:30:15.5Z", 960_899_415.5), ("2000-06-13T12:30:15.123456789Z", 960_899_415.123456789),
        ("2000-06-13T12:30:15+02:00", 960_892_215),
        ("2000-06-13T12:30:15-00:30", 960_901_215), ("+002000-06-13T00:00:00Z", 960_854_400),
    ])
    func readsOtherForms(text: String, seconds: Double) { #expect(JavaScriptDate.date(of: text)?.timeIntervalSince1970 == seconds) }

    @Test(arguments: [
        "", "2000", "2000-06", "2000-6-13", "2000-13-01", "2000-00-01", "2000-06-31", "2000-06-00", "2001-02-29", "1900-02-29",
        "2000-06-13T", "2000-06-13T24:00Z",
        "2000-06-13T12:60Z", "2000-06-13T12:30:60Z", "2000-06-13T12:30:15.Z", "2000-06-13T12:30:15Zx", "2000-06-13T12:30:15+2",
        "2000-06-13T12:30:15+02:60",
        "2000-06-13 12:30:15Z", " 2000-06-13", "2000-06-13Z", "Tue Jun 13 2000", "20000613", "٢٠٠٠-٠٦-١٣", "+2000-06-13", "2000/06/13",
    ])
    func refuses(text: String) { #expect(JavaScriptDate.date(of: text) == nil) }

    @Test func datesBeyondTheRangeAreDrawnToItsEnd() {
        #expect(JavaScriptDate.text(of: .distantFuture) == "4001-01-01T00:00:00.000Z")
        #expect(JavaScriptDate.text(of: Date(timeIntervalSince1970: .infinity)) == "+275760-09-13T00:00:00.000Z")
        #expect(JavaScriptDate.text(of: Date(timeIntervalSince1970: -1e300)) == "-271821-04-20T00:00:00.000Z")
        #expect(JavaScriptDate.text(of: Date(timeIntervalSince1970: .nan)) == "1970-01-01T00:00:00.000Z")
        #expect(JavaScriptDate.date(of: "2000-01-01T00:00:00." + String(repeating: "9", count: 1000) + "Z") == nil)
    }

    @Test(arguments: [1, 2] as [UInt64])
    func agreesWithFoundation(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        for _ in 0..<2000 {
            // The Gregorian calendar alone: Foundation has the Julian one before 1582.
            let milliseconds = Int.random(in: -12_000_000_000_000...253_000_000_000_000, using: &generator)
            let text = JavaScriptDate.text(ofMilliseconds: milliseconds)
            let date = Date(timeIntervalSince1970: Double(milliseconds) / 1000)
            let theirs = date.addingTimeInterval(0.0001).formatted(style)
            if text != theirs { Issue.record("seed \(seed): \(milliseconds) is \(text), \(theirs) for Foundation") }
            let again = JavaScriptDate.date(of: text).map { ($0.timeIntervalSince1970 * 1000).rounded() }
            if again != Double(milliseconds) { Issue.record("seed \(seed): \(text) was read as \(String(describing: again))") }
        }
    }
}
