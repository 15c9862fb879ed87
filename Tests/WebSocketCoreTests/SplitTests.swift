// However the network cuts the bytes, the same comes of them (F9): every session whole, cut once everywhere, cut twice everywhere if
// it is short, byte by byte, at random, and against a plain reader that sees all the bytes at once.
//
// The loops yield, as there are no more threads for tests than processors: others that wait for a peer must get their turn.

import TestSupport
import Testing

@testable import WebSocketCore

@Suite struct SplitTests {
    /// Sessions longer than this are not cut at every pair of places.
    private let shortSession = 40

    @Test(arguments: Session.all) func isReadAsThePlainReaderReadsIt(session: Session) {
        let recording = session.scene.record(session.bytes)
        #expect(recording.plainEntries == PlainReader.entries(of: session.bytes, session.scene))
        #expect(recording.violation == nil)
    }

    @Test(arguments: Session.all) func isTheSameCutOnceAnywhere(session: Session) async {
        let whole = session.scene.record(session.bytes)
        // A long payload is cut at both its ends, and in steps of a prime in between.
        let step = session.bytes.count < 1000 ? 1 : 251
        let places = Array(stride(from: 0, through: session.bytes.count, by: step)) + Array(0...20) + [session.bytes.count - 1]
        for place in places where place <= session.bytes.count {
            expect(session, [place], equals: whole)
            await Task.yield()
        }
    }

    @Test(arguments: Session.all) func isTheSameCutTwiceAnywhere(session: Session) async {
        guard session.bytes.count <= shortSession else { return }
        let whole = session.scene.record(session.bytes)
        for first in 0...session.bytes.count {
            for second in first...session.bytes.count { expect(session, [first, second], equals: whole) }
            await Task.yield()
        }
    }

    @Test(arguments: Session.all) func isTheSameByteByByte(session: Session) {
        expect(session, Array(1..<max(1, session.bytes.count)), equals: session.scene.record(session.bytes))
    }

    @Test(arguments: [UInt64.random(in: .min ... .max), 1]) func isTheSameCutAtRandom(seed: UInt64) async {
        var random = SeededGenerator(seed: seed)
        for session in Session.all {
            let whole = session.scene.record(session.bytes)
            for _ in 0..<3 {
                let cuts = RandomSession.cuts(of: session.bytes.count, using: &random)
                #expect(session.scene.record(session.bytes.cut(at: cuts)) == whole, "seed \(seed), \(session.name), cuts \(cuts)")
            }
            await Task.yield()
        }
    }

    /// Random sessions, most of them good and some broken by a changed byte: cut at random, and against the plain reader.
    @Test(arguments: [UInt64.random(in: .min ... .max), 1]) func readsRandomSessions(seed: UInt64) async {
        var random = SeededGenerator(seed: seed)
        for turn in 0..<500 {
            let session = RandomSession.session(using: &random)
            let whole = session.scene.record(session.bytes)
            let cuts = RandomSession.cuts(of: session.bytes.count, using: &random)
            let context = "seed \(seed), turn \(turn), cuts \(cuts), bytes \(session.bytes), \(session.scene)"
            if whole.plainEntries != PlainReader.entries(of: session.bytes, session.scene) || whole.violation != nil {
                Issue.record("read otherwise than by the plain reader: \(context)")
            }
            if session.scene.record(session.bytes.cut(at: cuts)) != whole { Issue.record("differs when cut: \(context)") }
            await Task.yield()
        }
    }

    private func expect(_ session: Session, _ cuts: [Int], equals whole: Recording) {
        if session.scene.record(session.bytes.cut(at: cuts)) != whole {
            Issue.record("\(session.testDescription) differs when cut at \(cuts)")
        }
    }
}

extension [UInt8] {
    /// The pieces between the cuts, which are in ascending order.
    func cut(at cuts: [Int]) -> [ArraySlice<UInt8>] {
        zip([0] + cuts, cuts + [count]).map { self[$0..<$1] }
    }
}
