// What one node knows, with times that are given.

import Testing

@testable import Gallery

@Suite struct NodeRoomTests {
    private let start = ContinuousClock.now
    private var room = NodeRoom(id: "own00000", interval: .seconds(2))

    private func line(_ text: String, of node: String) -> NodeLine {
        NodeLine(node: node, place: "h:1", user: "u", name: "Ada", text: text)
    }

    @Test mutating func aBeatIsDueAtIntervalsAndWhenTabsComeAndGo() {
        #expect(room.beat(connections: 0, at: start) != nil)
        #expect(room.beat(connections: 1, at: start + .seconds(1.9)) == nil)
        #expect(room.beat(connections: 2, at: start + .seconds(2))?.connections == 2)
        let tab = room.enter(nil, as: "Ken")
        #expect(room.beat(connections: 3, at: start + .seconds(2.1))?.names == ["Ken"])
        #expect(room.beat(connections: 3, at: start + .seconds(2.2)) == nil)
        #expect(room.enter(tab, as: "Ada") == tab)
        #expect(room.beat(connections: 3, at: start + .seconds(2.3))?.names == ["Ada"])
        room.leave(tab)
        #expect(room.beat(connections: 2, at: start + .seconds(2.4))?.tabs == 0)
        #expect(room.table.rows(at: start + .seconds(2.4)).map(\.node.connections) == [2], "this node is in its own table")
    }

    @Test mutating func silentNodesGoWithABeat() {
        room.hear(NodeNewsTests.figures, at: start)
        _ = room.beat(connections: 0, at: start + .seconds(6))
        #expect(room.table.rows(at: start + .seconds(6)).count == 2)
        _ = room.beat(connections: 0, at: start + .seconds(6.1))
        #expect(room.table.rows(at: start + .seconds(6.1)).count == 1)
        room.hear(NodeNewsTests.figures, at: start)
        room.forget(NodeNewsTests.figures.id)
        #expect(room.table.rows(at: start).count == 1)
    }

    @Test mutating func ofManyTabsSomeAreNamed() {
        #expect(!room.hasTabs)
        for number in 0..<20 { _ = room.enter(nil, as: "tab \(10 + number)") }
        let figures = room.beat(connections: 20, at: start)
        #expect(figures?.tabs == 20 && figures?.names.count == NodeNews.maxNames && room.hasTabs)
        #expect(figures.map { (try? NodeNews(NodeNews.here(node: $0).publication)) == .here(node: $0) } == true)
    }

    @Test mutating func whoHasNotComeSaysNothing() {
        #expect(room.line("x", by: nil, "u") == nil)
        let tab = room.enter(nil, as: "Ada")
        room.name = "h:1"
        #expect(room.line("x", by: tab, "u") == line("x", of: "own00000"))
        room.leave(tab)
        #expect(room.line("x", by: tab, "u") == nil)
    }

    @Test mutating func fiftyLinesAreKept() {
        for number in 1...60 { #expect(room.take(line("\(number)", of: "own00000"), at: start)?.number == number) }
        #expect(room.lines.map(\.number) == Array(11...60))
    }

    @Test mutating func otherNodesTogetherSayAHundredLinesASecond() {
        let taken = (0..<1000).filter { room.take(line("x", of: "other\($0 % 10)"), at: start) != nil }
        #expect(taken.count == 200)
        #expect(room.take(line("x", of: "own00000"), at: start) != nil, "what is said here is not theirs")
        #expect((0..<1000).count { _ in room.take(line("x", of: "other"), at: start + .seconds(1)) != nil } == 100)
    }
}
