// The peer's faults: the close code and the section of each rule, and what a log line says of it.

import Testing

@testable import WebSocketCore

@Suite struct ProtocolErrorTests {
    private static let rules: [(ProtocolError.Rule, code: UInt16, section: String)] = [
        (.reservedBit, 1002, "RFC 6455 §5.2"), (.reservedOpcode, 1002, "RFC 6455 §5.2"),
        (.unmaskedFrame, 1002, "RFC 6455 §5.1"), (.maskedFrame, 1002, "RFC 6455 §5.1"),
        (.nonMinimalLength, 1002, "RFC 6455 §5.2"), (.negativeLength, 1002, "RFC 6455 §5.2"),
        (.controlTooLong, 1002, "RFC 6455 §5.5"), (.controlFragmented, 1002, "RFC 6455 §5.5"),
        (.unexpectedContinuation, 1002, "RFC 6455 §5.4"), (.unfinishedMessage, 1002, "RFC 6455 §5.4"),
        (.invalidUTF8, 1007, "RFC 6455 §8.1"),
        (.truncatedCloseCode, 1002, "RFC 6455 §5.5.1"), (.invalidCloseCode, 1002, "RFC 6455 §7.4"),
        (.messageTooBig, 1009, "RFC 6455 §7.4.1"), (.frameTooBig, 1009, "RFC 6455 §7.4.1"),
        (.tooManyFragments, 1008, "RFC 6455 §7.4.1"),
    ]

    @Test func hasTheCloseCodeAndSectionOfItsRule() {
        for (rule, code, section) in Self.rules {
            #expect(ProtocolError(rule).closeCode.rawValue == code, "\(rule)")
            #expect(ProtocolError(rule).section == section, "\(rule)")
        }
    }

    @Test func fitsAReasonIntoACloseFrame() {
        #expect(Set(Self.rules.map { ProtocolError($0.0).reason }).count == Self.rules.count)
        for (rule, _, _) in Self.rules {
            #expect((1...123).contains(ProtocolError(rule).reason.utf8.count), "\(rule)")
        }
    }

    @Test func saysWhatHappenedWhoseFaultAndByWhichRule() {
        #expect(
            ProtocolError(.reservedOpcode, 3).description == "the peer sent a reserved opcode (3); RFC 6455 §5.2, close code 1002")
        #expect(
            ProtocolError(.messageTooBig, 2_147_483_648).description
                == "the peer sent a message over the limit maxMessageSize (2147483648); RFC 6455 §7.4.1, close code 1009")
        #expect(ProtocolError(.invalidUTF8).description == "the peer sent text that is not UTF-8; RFC 6455 §8.1, close code 1007")
    }

    @Test func keepsThePeersNumbersOutOfTheCloseFrame() {
        #expect(ProtocolError(.invalidCloseCode, 999).reason == "sent a close code that may not be sent")
    }
}
