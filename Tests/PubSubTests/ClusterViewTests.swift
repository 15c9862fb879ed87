import NIOCore
import Testing

@testable import PubSub

@Suite struct ClusterViewTests {
    private typealias Effect = ClusterView.Effect
    private var view = ClusterView(own: 1, heartbeat: .seconds(4), maxStaged: 3)
    private var now = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private static func entry(_ id: String) -> PresenceEntry { PresenceEntry(topic: "t", member: PresenceMember(id: id)) }
    private static func came(_ id: String) -> PresenceChange { .came(entry(id)) }

    private mutating func hear(_ content: ClusterMessage.Content, from node: UInt64 = 2) -> [Effect] {
        view.received(ClusterMessage(node: node, content), now: now)
    }

    /// In step with node 2, at change 5.
    private mutating func getInStep() {
        _ = hear(.alive(number: 5))
        #expect(hear(.state([Self.entry("a")], number: 5, part: 0, isLast: true)) == [.replace([Self.entry("a")], of: 2)])
    }

    @Test mutating func aNewNodeIsGreetedAndAsked() {
        #expect(hear(.alive(number: 0)) == [.beat(to: 2), .tell(.wantsState, to: 2)])
        #expect(view.others == [2])
        #expect(hear(.alive(number: 0)) == [], "the answer may be on its way")
        now = now + .seconds(2)
        #expect(hear(.alive(number: 0)) == [.tell(.wantsState, to: 2)], "it is not")
        #expect(hear(.state([], number: 0, part: 0, isLast: true)) == [.replace([], of: 2)])
        #expect(hear(.alive(number: 0)) == [])
    }

    @Test mutating func whatItSaysItselfIsNotHeard() {
        #expect(hear(.alive(number: 0), from: 1) == [])
        #expect(view.others == [])
    }

    @Test mutating func changesFollowTheState() {
        getInStep()
        #expect(hear(.changed(Self.came("old"), number: 5)) == [])
        #expect(hear(.changed(Self.came("b"), number: 6)) == [.apply(Self.came("b"), of: 2)])
        #expect(hear(.changed(.went(topic: "t", id: "b"), number: 7)) == [.apply(.went(topic: "t", id: "b"), of: 2)])
        #expect(hear(.alive(number: 7)) == [])
    }

    /// Whoever can write to the cluster can name any number.
    @Test mutating func numbersMayEnd() {
        _ = hear(.state([], number: .max, part: 0, isLast: true))
        #expect(hear(.changed(Self.came("a"), number: .max)) == [])
        #expect(hear(.alive(number: 0)) == [.tell(.wantsState, to: 2)])
    }

    @Test mutating func aChangeThatIsMissingIsNoticed() {
        getInStep()
        #expect(hear(.changed(Self.came("b"), number: 7)) == [.tell(.wantsState, to: 2)])
        #expect(hear(.changed(Self.came("c"), number: 6)) == [.apply(Self.came("c"), of: 2)])
        getInStep()
        #expect(hear(.alive(number: 6)) == [.tell(.wantsState, to: 2)])
        getInStep()
        #expect(hear(.alive(number: 4)) == [.tell(.wantsState, to: 2)])
    }

    @Test mutating func aStateComesInParts() {
        _ = hear(.alive(number: 5))
        let (a, b) = (Self.entry("a"), Self.entry("b"))
        #expect(hear(.state([a], number: 5, part: 0, isLast: false)) == [])
        #expect(hear(.state([b], number: 5, part: 1, isLast: true)) == [.replace([a, b], of: 2)])
        // A part is missing, or of another state.
        #expect(hear(.state([a], number: 5, part: 0, isLast: false)) == [])
        #expect(hear(.state([b], number: 5, part: 2, isLast: true)) == [])
        #expect(hear(.state([b], number: 5, part: 1, isLast: true)) == [])
        #expect(hear(.state([a], number: 5, part: 0, isLast: false)) == [])
        #expect(hear(.state([b], number: 6, part: 1, isLast: true)) == [])
    }

    @Test mutating func whatWaitsToBeWholeHasALimit() {
        let entries = ["a", "b"].map(Self.entry)
        for node in 2...3 as ClosedRange<UInt64> {
            #expect(hear(.state(entries, number: 5, part: 0, isLast: false), from: node) == [.beat(to: node)])
        }
        #expect(hear(.state([], number: 5, part: 1, isLast: true), from: 3) == [], "it was over the limit of 3")
        #expect(hear(.state([], number: 5, part: 1, isLast: true), from: 2) == [.replace(entries, of: 2)])
        #expect(hear(.state(entries, number: 5, part: 0, isLast: false), from: 3) == [], "there is room again")
        #expect(hear(.gone, from: 3) == [.forget(3)])
        #expect(hear(.state(entries, number: 5, part: 0, isLast: false)) == [])
        #expect(hear(.state([], number: 5, part: 1, isLast: true)) == [.replace(entries, of: 2)])
    }

    @Test mutating func aSilentNodeIsForgotten() {
        getInStep()
        _ = hear(.alive(number: 0), from: 3)
        for _ in 0..<3 {
            now = now + .seconds(4)
            #expect(view.tick(now: now) == [.beat(to: nil)])
            _ = hear(.alive(number: 0), from: 3)
        }
        now = now + .nanoseconds(1)
        #expect(view.tick(now: now) == [.forget(2), .beat(to: nil)])
        #expect(view.others == [3])
        #expect(hear(.changed(Self.came("b"), number: 6)) == [.beat(to: 2), .tell(.wantsState, to: 2)], "it is back")
    }

    @Test mutating func aNodeThatGoesIsForgottenAtOnce() {
        getInStep()
        #expect(hear(.gone) == [.forget(2)])
        #expect(hear(.gone) == [])
        #expect(view.others == [])
    }

    @Test mutating func questionsAreAnswered() {
        getInStep()
        #expect(hear(.wantsState) == [.sendState(to: 2)])
        #expect(hear(.count(topic: "t", question: 9)) == [.count(topic: "t", question: 9, for: 2)])
        #expect(hear(.counted(3, question: 9)) == [.counted(3, question: 9, by: 2)])
    }

    @Test mutating func noMoreNodesThanACouldBe() {
        for node in 2..<UInt64(ClusterView.maxNodes + 10) { _ = hear(.alive(number: 0), from: node) }
        #expect(view.others.count == ClusterView.maxNodes)
    }
}
