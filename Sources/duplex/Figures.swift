// Numbers as people read them.

enum Figures {
    /// `1,234,567`.
    static func grouped(_ value: Int) -> String {
        let digits = String(value.magnitude)
        var text = value < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0 && (digits.count - index) % 3 == 0 { text += "," }
            text.append(digit)
        }
        return text
    }

    /// With this many digits behind the point, and groups before it.
    static func decimal(_ value: Double, _ places: Int) -> String {
        let scale = (0..<places).reduce(1.0) { scale, _ in scale * 10 }
        let scaled = (abs(value) * scale).rounded()
        guard let whole = Int(exactly: scaled) else { return "–" }
        let sign = value < 0 && whole > 0 ? "-" : ""
        guard places > 0 else { return sign + grouped(whole) }
        let digits = String(whole % Int(scale))
        return sign + grouped(whole / Int(scale)) + "." + String(repeating: "0", count: places - digits.count) + digits
    }

    /// A number a second: whole, unless it is small.
    static func rate(_ value: Double) -> String { decimal(value, value < 100 ? 1 : 0) }

    /// Nanoseconds in the unit that suits: `812 µs`, `1.23 ms`, `2.01 s`.
    static func time(_ nanoseconds: UInt64) -> String {
        let value = Double(nanoseconds)
        switch nanoseconds {
        case ..<99_500: return decimal(value / 1e3, 1) + " µs"
        case ..<999_500: return decimal(value / 1e3, 0) + " µs"
        case ..<99_500_000: return decimal(value / 1e6, 2) + " ms"
        case ..<999_500_000: return decimal(value / 1e6, 0) + " ms"
        default: return decimal(value / 1e9, 2) + " s"
        }
    }
}
