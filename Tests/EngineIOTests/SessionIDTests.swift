// Ids of sessions: SessionID.swift.

import Testing

@testable import EngineIO

@Suite struct SessionIDTests {
    @Test func isTwentyCharactersThatComeBack() {
        for _ in 0..<1000 {
            let id = SessionID()
            #expect(id.text.utf8.count == 20)
            #expect(SessionID(id.text) == id)
        }
    }

    // Row S11 of the bad inputs (CVE-2017-16031): nothing of it counts.
    @Test func noTwoAreTheSameAndAllBitsAreUsed() {
        let ids = (0..<10_000).map { _ in SessionID().text }
        #expect(Set(ids).count == ids.count)
        for position in 0..<20 {
            #expect(Set(ids.map { Array($0.utf8)[position] }).count == 64)
        }
    }

    @Test(arguments: ["", "A", "AAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAé", "__proto__"])
    func whatNoIDLooksLikeIsNone(text: String) { #expect(SessionID(text) == nil) }
}
