// Bytes for human eyes, on one line.

/// Bytes for human eyes.
enum HexDump {
    /// How many bytes are shown: with their hexadecimal and printable forms they fill about a line of a wide terminal.
    static let shownBytes = 24

    /// The length, the first bytes in hexadecimal, and the same as ASCII: `5 bytes: 68 65 6c 6c 6f |hello|`.
    static func line(_ bytes: some Collection<UInt8>) -> String {
        let shown = bytes.prefix(shownBytes)
        let count = bytes.count == 1 ? "1 byte" : "\(bytes.count) bytes"
        guard !shown.isEmpty else { return count }
        let more = shown.count < bytes.count ? " …" : ""
        return "\(count): \(shown.map(hex).joined(separator: " "))\(more) |\(String(shown.map(printable)))\(more.isEmpty ? "" : "…")|"
    }

    private static func hex(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16)
        return byte < 16 ? "0" + digits : digits
    }

    private static func printable(_ byte: UInt8) -> Character {
        (0x20...0x7E).contains(byte) ? Character(Unicode.Scalar(byte)) : "."
    }
}
