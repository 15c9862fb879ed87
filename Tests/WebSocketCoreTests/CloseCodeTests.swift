// Which close codes may be sent (RFC 6455 §7.4, IANA's registry).

import Testing
import WebSocketCore

@Suite struct CloseCodeTests {
    @Test func maySendTheRegisteredAndTheApplications() {
        let sendable: Set<UInt16> = Set([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]).union(3000...4999)
        for value in UInt16.min...UInt16.max where CloseCode(rawValue: value).isSendable != sendable.contains(value) {
            Issue.record("\(value) is wrong")
        }
    }

    @Test func namesTheNumbersOfTheRegistry() {
        let codes: [CloseCode] = [
            .normalClosure, .goingAway, .protocolError, .unsupportedData, .noStatusReceived, .abnormalClosure,
            .invalidFramePayloadData, .policyViolation, .messageTooBig, .mandatoryExtension, .internalServerError,
            .serviceRestart, .tryAgainLater, .badGateway,
        ]
        #expect(codes.map(\.rawValue) == [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014])
    }

    @Test func printsItsNumber() {
        #expect("\(CloseCode.messageTooBig)" == "1009")
    }
}
