// How a connection ended, as a value (RFC 6455 §7.1.5–7.1.6).

import Testing
import WebSocketCore

@Suite struct ClosureTests {
    @Test(arguments: [(1000, true), (1001, true), (1005, true), (1002, false), (1006, false), (1011, false), (4000, false)])
    func isNormalForThreeCodes(code: UInt16, isNormal: Bool) {
        #expect(Closure(code: CloseCode(rawValue: code), initiator: .remote, isClean: true).isNormal == isNormal)
    }

    @Test(arguments: [1000, 1001, 1005]) func isNotNormalUnlessClean(code: UInt16) {
        #expect(!Closure(code: CloseCode(rawValue: code), initiator: .local, isClean: false).isNormal)
    }

    @Test func saysWhoClosedAndWhy() {
        let byPeer = Closure(code: .goingAway, reason: "see you", initiator: .remote, isClean: true)
        #expect(byPeer.description == "1001 “see you”, closed by the peer")
        let byUs = Closure(code: .protocolError, initiator: .local, isClean: false)
        #expect(byUs.description == "1002, closed by this end, not cleanly")
    }
}
