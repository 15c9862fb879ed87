// Which nodes are heard, with times that are given.

import Testing

@testable import Gallery

@Suite struct NodeTableTests {
    private let start = ContinuousClock.now
    private var table = NodeTable(own: "own00000", interval: .seconds(2))

    private func node(_ id: String, _ name: String, connections: Int = 0) -> NodeFigures {
        NodeFigures(id: id, name: name, connections: connections, tabs: 0, names: [])
    }

    private func ids(at seconds: Double) -> [String] { table.rows(at: start + .seconds(seconds)).map(\.node.id) }

    @Test mutating func tellsSinceWhenAndWhenLast() {
        table.note(node("own00000", "h:2"), at: start)
        table.hear(node("b", "h:1"), at: start + .seconds(1))
        table.hear(node("b", "h:1", connections: 7), at: start + .seconds(3))
        table.note(node("own00000", "h:2"), at: start + .seconds(4))
        #expect(
            table.rows(at: start + .seconds(4)) == [
                .init(node: node("b", "h:1", connections: 7), sinceSeconds: 3, agoSeconds: 1, isSilent: false),
                .init(node: node("own00000", "h:2"), sinceSeconds: 4, agoSeconds: 0, isSilent: false),
            ])
    }

    @Test mutating func whoMissesABeatIsSilentAndGoneAfterThree() {
        table.note(node("own00000", "h:1"), at: start)
        table.hear(node("b", "h:2"), at: start)
        for (seconds, isSilent) in [(3.0, false), (3.5, true), (6, true)] {
            table.forgetSilent(at: start + .seconds(seconds))
            #expect(table.rows(at: start + .seconds(seconds)).last?.isSilent == isSilent)
        }
        table.forgetSilent(at: start + .seconds(6.5))
        #expect(ids(at: 6.5) == ["own00000"], "this one does not forget itself")
        // It is back, and heard since then.
        table.hear(node("b", "h:2"), at: start + .seconds(7))
        #expect(table.rows(at: start + .seconds(7)).last?.sinceSeconds == 0)
    }

    @Test mutating func whoSaysFarewellIsGoneAtOnce() {
        table.note(node("own00000", "h:1"), at: start)
        table.hear(node("b", "h:2"), at: start)
        table.forget("b")
        table.forget("own00000")
        table.forget("unknown")
        #expect(ids(at: 0) == ["own00000"])
    }

    @Test mutating func nobodyElseSpeaksAsThisNode() {
        table.note(node("own00000", "h:1"), at: start)
        table.hear(node("own00000", "elsewhere", connections: 9), at: start)
        #expect(table.rows(at: start).map(\.node) == [node("own00000", "h:1")])
    }

    @Test mutating func aHundredAreRememberedAndMoreAreNot() {
        table.note(node("own00000", "h:1"), at: start)
        for number in 0..<200 { table.hear(node("\(number)", "x"), at: start) }
        #expect(ids(at: 0).count == NodeTable.maxNodes)
        // Those that are known go on, and new ones have room once others are gone, without a tick.
        table.hear(node("7", "x", connections: 1), at: start + .seconds(5))
        #expect(ids(at: 5).count == NodeTable.maxNodes)
        table.hear(node("199", "x"), at: start + .seconds(7))
        #expect(Set(ids(at: 7)) == ["7", "199", "own00000"])
    }
}
