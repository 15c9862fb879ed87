// Numbers of JSON (RFC 8259 §6), read by a state of its own: sign, whole part, fraction, exponent.
//
// A whole number within 64 bits is read exactly. Of others, a number of at most 2⁵³ and a power of ten of at most 22 are both exact as
// doubles, and so one multiplication or division of them is rounded once, which is what is asked for; the rest goes to the standard
// library.

/// Reads numbers.
enum JSONNumber {
    private static let powersOfTen: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    ]

    /// Takes the number that begins at the position.
    static func read(_ base: UnsafePointer<UInt8>, _ count: Int, _ position: inout Int) throws(JSONError) -> SocketIOValue {
        var scanner = Scanner(base: base, count: count, position: position)
        let start = position
        try scanner.scan()
        position = scanner.position
        if let exact = scanner.wholeNumber { return .int(exact) }
        if let quick = scanner.quickDouble { return .double(quick) }
        let text = String(decoding: UnsafeBufferPointer(start: base + start, count: position - start), as: UTF8.self)
        // What the scanner took is a number for the standard library, too; one that is too large is infinite there.
        guard let number = Double(text) else { throw JSONError(reason: .badNumber, offset: start) }
        return .double(number)
    }

    private struct Scanner {
        let base: UnsafePointer<UInt8>
        let count: Int
        var position: Int
        var isNegative = false
        /// The digits, those of the fraction too, as one number; meaningless once they overflowed.
        var digits: UInt64 = 0
        var overflowed = false
        var fractionDigits = 0
        /// The exponent's value, nil without one; anything beyond four digits is as good as 9999.
        var exponent: Int?

        mutating func scan() throws(JSONError) {
            if position < count, base[position] == UInt8(ascii: "-") {
                isNegative = true
                position &+= 1
            }
            // §6: "Leading zeros are not allowed."
            let startsWithZero = position < count && base[position] == UInt8(ascii: "0")
            let wholeDigits = try takeDigits()
            if startsWithZero && wholeDigits > 1 { throw JSONError(reason: .badNumber, offset: position &- wholeDigits) }
            guard position < count else { return }
            if base[position] == UInt8(ascii: ".") {
                position &+= 1
                fractionDigits = try takeDigits()
            }
            if position < count, base[position] | 0x20 == UInt8(ascii: "e") { try takeExponent() }
        }

        /// Takes at least one digit.
        @inline(__always)
        private mutating func takeDigits() throws(JSONError) -> Int {
            let start = position
            while position < count, case let digit = base[position] &- UInt8(ascii: "0"), digit < 10 {
                let (product, overflow) = digits.multipliedReportingOverflow(by: 10)
                let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
                digits = sum
                overflowed = overflowed || overflow || carry
                position &+= 1
            }
            if position == start { throw JSONError(reason: position < count ? .badNumber : .endsEarly, offset: position) }
            return position &- start
        }

        private mutating func takeExponent() throws(JSONError) {
            position += 1
            var isBelowOne = false
            if position < count, base[position] == UInt8(ascii: "+") || base[position] == UInt8(ascii: "-") {
                isBelowOne = base[position] == UInt8(ascii: "-")
                position += 1
            }
            let start = position
            var value = 0
            while position < count, case let digit = base[position] &- UInt8(ascii: "0"), digit < 10 {
                value = min(value * 10 + Int(digit), 9999)
                position += 1
            }
            if position == start { throw JSONError(reason: position < count ? .badNumber : .endsEarly, offset: position) }
            exponent = isBelowOne ? -value : value
        }

        var wholeNumber: Int? {
            guard !overflowed, fractionDigits == 0, exponent == nil else { return nil }
            if !isNegative { return Int(exactly: digits) }
            // -0 is no integer: JavaScript has it, and tells it from 0.
            return digits == 0 || digits > UInt64(Int.max) + 1 ? nil : Int(truncatingIfNeeded: 0 &- digits)
        }

        var quickDouble: Double? {
            let power = (exponent ?? 0) - fractionDigits
            guard !overflowed, digits <= 1 << 53, abs(power) < JSONNumber.powersOfTen.count else { return nil }
            let whole = isNegative ? -Double(digits) : Double(digits)
            return power < 0 ? whole / JSONNumber.powersOfTen[-power] : whole * JSONNumber.powersOfTen[power]
        }
    }
}
