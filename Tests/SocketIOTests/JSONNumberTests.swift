// Numbers of JSON (RFC 8259 §6): exact, and the standard library as the oracle.

import TestSupport
import Testing

@testable import SocketIO

@Suite struct JSONNumberTests {
    private func read(_ text: String) throws -> SocketIOValue {
        try Array(text.utf8).withUnsafeBytes { try JSONReader.read($0, maxDepth: 1) }
    }

    @Test(arguments: [
        ("0", 0), ("1", 1), ("-1", -1), ("10", 10), ("9007199254740993", 9_007_199_254_740_993), ("9223372036854775807", .max),
        ("-9223372036854775808", .min), ("-9223372036854775807", -.max),
    ])
    func wholeNumbersAreExact(text: String, number: Int) throws {
        #expect(try read(text) == .int(number))
    }

    @Test(arguments: [
        ("0.5", 0.5), ("-0.5", -0.5), ("1.0", 1), ("3.0", 3), ("1e0", 1), ("1E+2", 100), ("1e-2", 0.01), ("0e5", 0), ("0.1", 0.1),
        ("123.456e3", 123456),
        ("9223372036854775808", 9.223372036854775808e18), ("-9223372036854775809", -9.223372036854775809e18),
        ("18446744073709551616", 1.8446744073709551616e19),
        ("1e22", 1e22), ("1e23", 1e23), ("5e-324", .leastNonzeroMagnitude), ("2.2250738585072014e-308", .leastNormalMagnitude),
        ("1.7976931348623157e308", 1.7976931348623157e308),
        ("1e999", .infinity), ("-1e999", -.infinity), ("1e-999", 0), ("1e99999999999999999999", .infinity),
        ("0.1e-99999999999999999999", 0),
        ("9007199254740993.0", 9007199254740992), ("0.30000000000000004", 0.30000000000000004),
    ])
    func othersAreDoubles(text: String, number: Double) throws {
        #expect(try read(text) == .double(number))
    }

    @Test func minusZeroIsNot0() throws {
        for text in ["-0", "-0.0", "-0e1"] {
            guard case .double(let number) = try read(text) else {
                Issue.record("\(text) is no double")
                continue
            }
            #expect(number == 0 && number.sign == .minus)
        }
        #expect(JSONWriter.text(of: -0.0) == "0")
    }

    @Test func aMillionDigitsAreRead() throws {
        let digits = String(repeating: "7", count: 1_000_000)
        #expect(try read(digits) == .double(.infinity))
        #expect(try read("0." + digits) == .double(0.7777777777777778))
        #expect(try read("1e" + digits) == .double(.infinity))
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func agreesWithTheStandardLibrary(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        func digits(_ most: Int) -> String {
            (0..<Int.random(in: 1...most, using: &generator)).map { _ in String(Int.random(in: 0...9, using: &generator)) }.joined()
        }
        for _ in 0..<20000 {
            var text = Bool.random(using: &generator) ? "-" : ""
            let whole = digits(Int.random(in: 1...25, using: &generator))
            text += whole.hasPrefix("0") ? "0" : whole
            if Bool.random(using: &generator) { text += "." + digits(20) }
            if Bool.random(using: &generator) { text += (["e", "E-", "e+"].randomElement(using: &generator) ?? "e") + digits(3) }
            let value = try read(text)
            let isSame: Bool
            switch value {
            case .int(let number): isSame = String(number) == text
            case .double(let number): isSame = number.bitPattern == Double(text)?.bitPattern && (Int(text) == nil || text == "-0")
            default: isSame = false
            }
            if !isSame { Issue.record("seed \(seed): \(text) was read as \(value)") }
        }
    }
}
