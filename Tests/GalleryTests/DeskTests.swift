// Whose turn it is at the support desk.

import SocketIO
import Testing

@testable import Gallery

@Suite struct DeskTests {
    private let ann = Support.Person(role: "customer", name: "Ann"), gus = Support.Person(role: "agent", name: "Gus")

    private func refused(_ reason: String, _ body: () throws -> Void) {
        let error = #expect(throws: SocketIOError.self) { try body() }
        #expect(error?.message == reason)
    }

    /// Two customers and two agents; nobody is served yet.
    private func opened() throws -> Desk {
        let desk = Desk()
        _ = try desk.ask("a", "Ann", "Why?")
        _ = try desk.ask("b", "Ben", "How?")
        desk.arrive("g", "Gus")
        desk.arrive("h", "Hal")
        return desk
    }

    @Test func theFirstIsFirst() throws {
        let desk = try opened()
        #expect(desk.overview.waiting.map(\.customer) == ["Ann", "Ben"])
        #expect(desk.places.map(\.id) == ["a", "b"] && desk.places.map(\.place) == [1, 2])
        let (former, taken) = try desk.assign(1, to: "g", by: "g")
        #expect(former == nil && taken.agentName == "Gus" && taken.lines.map(\.text) == ["Why?"])
        #expect(desk.overview.waiting.map(\.number) == [2] && desk.overview.open.map(\.number) == [1])
        #expect(desk.places.map(\.id) == ["b"])
    }

    @Test func handedOverToAnotherOrBackToTheHead() throws {
        let desk = try opened()
        _ = try desk.assign(1, to: "g", by: "g")
        let (former, now) = try desk.assign(1, to: "h", by: "g")
        #expect(former == "g" && now.agentName == "Hal")
        refused("Hal has case 1.") { _ = try desk.assign(1, to: "g", by: "g") }
        _ = try desk.assign(1, to: nil, by: "h")
        #expect(desk.overview.waiting.map(\.number) == [1, 2])
        refused("Nobody has case 2.") { _ = try desk.assign(2, to: "h", by: "g") }
        refused("Only agents can do that.") { _ = try desk.assign(1, to: "a", by: "a") }
        refused("Case 7 is done.") { _ = try desk.assign(7, to: "g", by: "g") }
        _ = try desk.assign(1, to: "g", by: "g")
        refused("This agent has left.") { _ = try desk.assign(1, to: "x", by: "g") }
    }

    @Test func onlyTheTwoOfACaseSpeakAndARepetitionIsNotHeard() throws {
        let desk = try opened()
        #expect(try desk.say("And?", "1", ann, "a", 1)?.number == 1)
        #expect(try desk.say("And?", "1", ann, "a", 1) == nil)
        refused("Case 1 is not yours, or done.") { _ = try desk.say("I", "2", gus, "g", 1) }
        _ = try desk.assign(1, to: "g", by: "g")
        #expect(try desk.say("I see", "2", gus, "g", 1) == Desk.Line(number: 2, role: "agent", name: "Gus", text: "I see"))
        for number in 0..<200 { _ = try desk.say("more", "k\(number)", ann, "a", 1) }
        #expect(try desk.assign(1, to: nil, by: "g").now.lines.map(\.number) == Array(103..<203), "the last hundred are kept")
    }

    @Test func doneIsDone() throws {
        let desk = try opened()
        refused("Case 1 is not yours, or done.") { _ = try desk.finish(1, by: "g") }
        refused("Your case 1 is open already.") { _ = try desk.ask("a", "Ann", "Again?") }
        #expect(try desk.finish(1, by: "a").isDone)
        #expect(desk.overview.waiting.map(\.number) == [2])
        refused("Case 1 is not yours, or done.") { _ = try desk.say("I", "1", ann, "a", 1) }
        #expect(try desk.ask("a", "Ann", "Again?").number == 3)
    }

    @Test func whoLeavesForGood() throws {
        let desk = try opened()
        _ = try desk.assign(1, to: "g", by: "g")
        _ = try desk.assign(2, to: "g", by: "g")
        let changed = desk.leave("g")
        #expect(changed.map(\.number) == [2, 1] && changed.allSatisfy { $0.agent == nil && !$0.isDone }, "their customers are to know")
        #expect(desk.overview.waiting.map(\.number) == [1, 2], "in their old order")
        #expect(desk.overview.agents.map(\.name) == ["Hal"])
        #expect(desk.leave("a").map(\.isDone) == [true])
        #expect(desk.overview.waiting.map(\.number) == [2])
        #expect(desk.leave("nobody") == [])
    }

    @Test func theDeskIsBounded() throws {
        let desk = Desk()
        for number in 0..<Desk.maxCases { _ = try desk.ask("\(number)", "A", "?") }
        refused("200 cases are open already; try again later.") { _ = try desk.ask("one more", "A", "?") }
        for number in 0..<Desk.maxAgents { #expect(desk.arrive("agent \(number)", "G")) }
        #expect(!desk.arrive("one more", "G"))
        // Long keys are told apart by their beginning, and not kept whole.
        let key = String(repeating: "k", count: 5000)
        #expect(try desk.say("once", key, ann, "0", 1) != nil)
        #expect(try desk.say("once", key, ann, "0", 1) == nil)
    }
}
