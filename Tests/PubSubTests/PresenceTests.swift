import NIOConcurrencyHelpers
import PubSub
import Testing

@Suite struct PresenceTests {
    private let ann = PresenceMember(id: "ann", info: "Ann")
    private let bob = PresenceMember(id: "bob")

    @Test func aMemberIsThereFromTheFirstConnectionToTheLast() {
        let presence = Presence()
        let log = Log(presence)
        presence.join("x", ann)
        presence.join("x", ann)
        presence.join("x", bob)
        presence.leave("x", "ann")
        #expect(Set(presence.members(of: "x")) == [ann, bob])
        presence.leave("x", "ann")
        #expect(presence.members(of: "x") == [bob])
        presence.leave("x", "ann")
        presence.leave("x", "bob")
        #expect(presence.members(of: "x") == [])
        #expect(log.lines == ["joined x ann", "joined x bob", "left x ann", "left x bob"])
    }

    @Test func topicsAreApart() {
        let presence = Presence()
        presence.join("x", ann)
        presence.join("y", bob)
        presence.leave("y", "ann")
        #expect(presence.members(of: "x") == [ann])
        #expect(presence.members(of: "y") == [bob])
    }

    @Test func theObserverMayAskAndChange() {
        let presence = Presence()
        let lines = NIOLockedValueBox<[String]>([])
        presence.observe { event in
            lines.withLockedValue { $0.append("\(event.kind) \(event.member.id), now \(presence.members(of: "x").count)") }
            if event.member.id == "ann", event.kind == .joined { presence.join("x", PresenceMember(id: "robot")) }
        }
        presence.join("x", ann)
        #expect(lines.withLockedValue { $0 } == ["joined ann, now 1", "joined robot, now 2"])
    }

    /// Many threads come and go; whatever their order, nobody is told of a leave before its join.
    @Test func eventsComeInTheOrderInWhichTheyHappened() async {
        let presence = Presence()
        let there = NIOLockedValueBox<(Set<String>, faults: Int, events: Int)>(([], 0, 0))
        presence.observe { event in
            there.withLockedValue { state in
                let fits = event.kind == .joined ? state.0.insert(event.member.id).inserted : state.0.remove(event.member.id) != nil
                state.faults += fits ? 0 : 1
                state.events += 1
            }
        }
        await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask {
                    for round in 0..<500 {
                        let member = PresenceMember(id: "m\(round % 3)")
                        presence.join("x", member)
                        presence.leave("x", member.id)
                    }
                }
            }
        }
        #expect(there.withLockedValue { $0.faults } == 0)
        #expect(there.withLockedValue { $0.0 }.isEmpty)
        #expect(there.withLockedValue { $0.events } >= 6)
    }

    private final class Log: Sendable {
        private let store = NIOLockedValueBox<[String]>([])
        var lines: [String] { store.withLockedValue { $0 } }
        init(_ presence: Presence) {
            presence.observe { event in self.store.withLockedValue { $0.append("\(event.kind) \(event.topic) \(event.member.id)") } }
        }
    }
}
