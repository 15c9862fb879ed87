import Testing

@testable import duplex

struct HexDumpTests {
    @Test func dumps() {
        #expect(HexDump.line([]) == "0 bytes")
        #expect(HexDump.line([0]) == "1 byte: 00 |.|")
        #expect(HexDump.line(Array("hello".utf8)) == "5 bytes: 68 65 6c 6c 6f |hello|")
        #expect(HexDump.line([0x0F, 0x10, 0x20, 0x7E, 0x7F, 0xFF]) == "6 bytes: 0f 10 20 7e 7f ff |.. ~..|")
    }

    @Test func cutsWhatIsLong() {
        let whole = HexDump.line([UInt8](repeating: 0x61, count: HexDump.shownBytes))
        #expect(!whole.contains("…"))
        let cut = HexDump.line([UInt8](repeating: 0x61, count: HexDump.shownBytes + 1))
        #expect(cut.hasPrefix("25 bytes: 61 61"))
        #expect(cut.hasSuffix("61 … |aaaaaaaaaaaaaaaaaaaaaaaa…|"))
    }
}
