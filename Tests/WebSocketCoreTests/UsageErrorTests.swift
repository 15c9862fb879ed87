// Faults of the program say what can not be done, and what to do.

import Testing
import WebSocketCore

@Suite struct UsageErrorTests {
    @Test func isDescribedByItsRule() {
        #expect("\(UsageError(.sendAfterClose))" == "a message can not be sent: the connection is closing or closed")
        #expect("\(UsageError(.invalidCloseCode))" == "this close code may not be sent: use 1000–1003, 1007–1014 or 3000–4999")
    }

    @Test func isEqualByRule() {
        #expect(UsageError(.closeReasonTooLong) == UsageError(.closeReasonTooLong))
        #expect(UsageError(.closeReasonTooLong) != UsageError(.controlTooLong))
    }

    @Test func hasALineOfItsOwnForEachRule() {
        let rules: [UsageError.Rule] = [
            .sendAfterClose, .invalidCloseCode, .closeReasonTooLong, .controlTooLong, .unfinishedMessage, .noMessageBegun,
            .invalidUTF8, .messagesGoToHandler, .concurrentIteration,
        ]
        #expect(Set(rules.map { UsageError($0).description }).count == rules.count)
    }
}
