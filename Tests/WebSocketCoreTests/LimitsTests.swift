// The limits' defaults, as the documentation states them.

import Testing
import WebSocketCore

@Suite struct LimitsTests {
    @Test func hasTheDocumentedDefaults() {
        let limits = Limits()
        #expect(limits.maxMessageSize == 1_048_576)
        #expect(limits.maxFrameSize == 1_048_576)
        #expect(limits.maxFragments == 131_072)
    }

    @Test func letsAFrameBeAsLargeAsAMessageUnlessSet() {
        #expect(Limits(maxMessageSize: 10).maxFrameSize == 10)
        #expect(Limits(maxMessageSize: 10, maxFrameSize: 4).maxFrameSize == 4)
    }
}
