import Testing
import WebSocketDeflate

@testable import duplex

struct CompressionArgumentTests {
    @Test(arguments: [
        ("off", Compression.off), ("shared", .shared), ("dedicated", .dedicated()),
        ("dedicated:12:5", .dedicated(windowBits: 12, memoryLevel: 5)), ("dedicated:9:1", .dedicated(windowBits: 9, memoryLevel: 1)),
    ]) func readsWhatIsMeant(text: String, compression: Compression) {
        #expect(CompressionArgument(argument: text)?.compression == compression)
    }

    @Test(arguments: [
        "", "on", "Shared", "shared:1:1", "dedicated:", "dedicated:12", "dedicated:8:5", "dedicated:16:5", "dedicated:12:0",
        "dedicated:12:10", "dedicated:12:5:1", "dedicated::",
    ]) func refusesTheRest(text: String) {
        #expect(CompressionArgument(argument: text) == nil)
    }
}
