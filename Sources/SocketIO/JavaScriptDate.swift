// Dates as JavaScript has them: milliseconds since 1970, and the text that `toISOString` and so `JSON.stringify` make of them (ECMA-262,
// "Date Time String Format").

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Dates and their text.
enum JavaScriptDate {
    /// The last millisecond that a `Date` of JavaScript can be (ECMA-262, "Time Values and Time Range").
    static let maxMilliseconds = 8_640_000_000_000_000

    /// The text of a date, to the millisecond; one beyond JavaScript's range is drawn to its end.
    static func text(of date: Date) -> String {
        let milliseconds = (date.timeIntervalSince1970 * 1000).rounded()
        let limit = Double(maxMilliseconds)
        return text(ofMilliseconds: Int(milliseconds.isNaN ? 0 : max(-limit, min(limit, milliseconds))))
    }

    /// The text of a point in time: `2000-06-13T00:00:00.000Z`; years beyond four digits are written with six and a sign.
    static func text(ofMilliseconds milliseconds: Int) -> String {
        let day = floorDivide(milliseconds, 86_400_000)
        let time = milliseconds - day * 86_400_000
        let (year, month, dayOfMonth) = date(ofDay: day)
        let yearText = (0...9999).contains(year) ? padded(year, 4) : (year < 0 ? "-" : "+") + padded(abs(year), 6)
        let clock = "\(padded(time / 3_600_000, 2)):\(padded(time / 60_000 % 60, 2)):\(padded(time / 1000 % 60, 2))"
        return "\(yearText)-\(padded(month, 2))-\(padded(dayOfMonth, 2))T\(clock).\(padded(time % 1000, 3))Z"
    }

    /// The date of a text; nil if it is none. Seconds, their fraction and the zone may be missing; without a zone it is UTC.
    static func date(of text: String) -> Date? {
        var scanner = Scanner(rest: text.utf8[...])
        guard let year = scanner.year(), scanner.take("-"), let month = scanner.digits(2), scanner.take("-"), let day = scanner.digits(2),
            (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        let days = self.day(year: year, month: month, day: day)
        guard date(ofDay: days) == (year, month, day) else { return nil }
        guard !scanner.rest.isEmpty else { return Date(timeIntervalSince1970: Double(days) * 86400) }
        guard scanner.take("T"), let seconds = scanner.clock(), let offset = scanner.zone(), scanner.rest.isEmpty else { return nil }
        return Date(timeIntervalSince1970: Double(days) * 86400 + seconds - offset)
    }

    private static func padded(_ value: Int, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }

    // MARK: The calendar

    private static func floorDivide(_ value: Int, _ divisor: Int) -> Int {
        value >= 0 ? value / divisor : -((-value + divisor - 1) / divisor)
    }

    /// The day's number, counted from 1970-01-01, in the Gregorian calendar. Years are taken to begin in March, so that the day that
    /// comes every four years is the last one; 400 of them have 146,097 days, always.
    private static func day(year: Int, month: Int, day: Int) -> Int {
        let shifted = month > 2 ? year : year - 1
        let era = floorDivide(shifted, 400)
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// The date of a day's number.
    private static func date(ofDay day: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = day + 719_468
        let era = floorDivide(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month > 2 ? 0 : 1), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    // MARK: Reading

    private struct Scanner {
        var rest: Substring.UTF8View

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard let first = rest.first, UInt32(first) == character.value else { return false }
            rest.removeFirst()
            return true
        }

        /// Takes exactly this many digits.
        mutating func digits(_ count: Int) -> Int? {
            guard rest.count >= count else { return nil }
            var value = 0
            for byte in rest.prefix(count) {
                guard (0x30...0x39).contains(byte) else { return nil }
                value = value * 10 + Int(byte - 0x30)
            }
            rest.removeFirst(count)
            return value
        }

        mutating func year() -> Int? {
            if take("+") { return digits(6) }
            return take("-") ? digits(6).map { -$0 } : digits(4)
        }

        /// Takes `hh:mm`, and seconds with any fraction if they are there; returns seconds.
        mutating func clock() -> Double? {
            guard let hour = digits(2), take(":"), let minute = digits(2), hour < 24, minute < 60 else { return nil }
            var seconds = 0.0
            if take(":") {
                guard let whole = digits(2), whole < 60 else { return nil }
                seconds = Double(whole)
                if take(".") {
                    guard let fraction = fraction() else { return nil }
                    seconds += fraction
                }
            }
            return Double(hour * 3600 + minute * 60) + seconds
        }

        private mutating func fraction() -> Double? {
            var (value, scale) = (0.0, 1.0)
            while let digit = digits(1) {
                scale *= 10
                value = value * 10 + Double(digit)
            }
            return scale > 1 && scale.isFinite ? value / scale : nil
        }

        /// Takes `Z` or `±hh:mm`; returns the seconds by which the zone is ahead.
        mutating func zone() -> Double? {
            if rest.isEmpty || take("Z") { return 0 }
            let isBehind = take("-")
            guard isBehind || take("+"), let hours = digits(2), take(":"), let minutes = digits(2), hours < 24, minutes < 60 else {
                return nil
            }
            return Double(hours * 3600 + minutes * 60) * (isBehind ? -1 : 1)
        }
    }
}
