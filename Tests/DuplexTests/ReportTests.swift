import Testing
import WebSocketCore
import WebSockets

@testable import duplex

struct ReportTests {
    private func closure(
        _ code: UInt16, _ reason: String = "", _ initiator: Closure.Initiator = .remote, isClean: Bool = true
    ) -> Closure {
        Closure(code: CloseCode(rawValue: code), reason: reason, initiator: initiator, isClean: isClean)
    }

    @Test(
        arguments: [
            (1000, true, 0), (1001, true, 0), (1005, true, 0), (1002, true, 1), (1011, true, 1), (4000, true, 1), (1000, false, 1),
            (1006, false, 1),
        ] as [(UInt16, Bool, Int32)])
    func status(_ code: UInt16, _ isClean: Bool, _ status: Int32) {
        #expect(Report.status(of: closure(code, isClean: isClean)) == status)
    }

    @Test func line() {
        #expect(Report.line(closure(1000, "bye", .local)) == "closed by this end: 1000 (normal) “bye”")
        #expect(Report.line(closure(1005)) == "closed by the server: 1005 (no code given)")
        #expect(Report.line(closure(4001, "no")) == "closed by the server: 4001 “no”")
        #expect(
            Report.line(closure(1006, isClean: false))
                == "closed by the server: 1006 (connection lost), without a complete close handshake")
    }

    @Test func statusOfErrors() {
        #expect(Report.status(of: HandshakeUsageError.invalidAuthority) == 64)
        #expect(Report.status(of: SystemError(call: "reading", code: 5)) == 1)
        #expect(Report.status(of: NotText(line: 1)) == 1)
    }

    @Test func milliseconds() {
        #expect(Duration.microseconds(214).inMilliseconds == "0.21 ms")
        #expect(Duration.microseconds(1_057).inMilliseconds == "1.06 ms")
        #expect(Duration.seconds(2).inMilliseconds == "2000.00 ms")
        #expect(Duration.nanoseconds(100).inMilliseconds == "0.00 ms")
    }
}
