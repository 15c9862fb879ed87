import NIOConcurrencyHelpers
import Testing

@testable import PubSub

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

    // MARK: Other nodes

    private func came(_ member: PresenceMember) -> PresenceChange { .came(PresenceEntry(topic: "x", member: member)) }

    @Test func aMemberIsThereWithAnyNode() {
        let presence = Presence()
        let log = Log(presence)
        presence.apply(came(ann), of: 1)
        presence.join("x", ann)
        presence.apply(came(PresenceMember(id: "ann", info: "elsewhere")), of: 2)
        #expect(presence.members(of: "x") == [ann], "as this node knows her")
        presence.apply(.went(topic: "x", id: "ann"), of: 1)
        presence.leave("x", "ann")
        #expect(presence.members(of: "x").map(\.info) == ["elsewhere"])
        presence.apply(.went(topic: "x", id: "ann"), of: 1)
        presence.apply(.went(topic: "x", id: "ann"), of: 2)
        #expect(presence.members(of: "x") == [])
        #expect(log.lines == ["joined x ann", "left x ann"])
    }

    @Test func aNodesStateTakesThePlaceOfWhatWasKnown() {
        let presence = Presence()
        let log = Log(presence)
        presence.apply(came(ann), of: 1)
        presence.replace([bob, ann].map { PresenceEntry(topic: "x", member: $0) } + [PresenceEntry(topic: "y", member: ann)], of: 1)
        #expect(Set(presence.members(of: "x")) == [ann, bob])
        presence.replace([PresenceEntry(topic: "x", member: bob)], of: 1)
        #expect(presence.members(of: "x") == [bob])
        presence.forget(1)
        #expect(presence.members(of: "x") == [])
        #expect(Set(log.lines.prefix(3)) == ["joined x ann", "joined x bob", "joined y ann"])
        #expect(Set(log.lines[3..<5]) == ["left x ann", "left y ann"])
        #expect(log.lines.dropFirst(5) == ["left x bob"])
    }

    @Test func othersAreToldInOrderOfWhatIsShared() {
        let presence = Presence()
        let lines = NIOLockedValueBox<[String]>([])
        presence.join("x", bob)
        presence.connect(shares: { $0 != "own" }) { news in
            let line =
                switch news {
                case .changed(.came(let entry), let number): "\(number) came \(entry.topic) \(entry.member.id) \(entry.member.info)"
                case .changed(.went(let topic, let id), let number): "\(number) went \(topic) \(id)"
                case .beat(let number, let node): "\(number) beat to \(node ?? 0)"
                case .state(let entries, let number, let node): "\(number) to \(node): \(entries().map(\.member.id).sorted())"
                }
            lines.withLockedValue { $0.append(line) }
        }
        presence.join("x", ann)
        presence.join("x", ann)
        presence.join("own", ann)
        presence.join("x", PresenceMember(id: "ann", info: "Anna"))
        presence.tellBeat(to: nil)
        presence.tellState(to: 7)
        for _ in 0..<3 { presence.leave("x", "ann") }
        presence.leave("own", "ann")
        presence.apply(came(ann), of: 1)
        presence.disconnect()
        #expect(presence.members(of: "x") == [bob])
        presence.join("x", ann)
        #expect(
            lines.withLockedValue { $0 } == [
                "1 came x ann Ann", "2 came x ann Anna", "2 beat to 0", #"2 to 7: ["ann", "bob"]"#, "3 went x ann",
            ])
    }

    private final class Log: Sendable {
        private let store = NIOLockedValueBox<[String]>([])
        var lines: [String] { store.withLockedValue { $0 } }
        init(_ presence: Presence) {
            presence.observe { event in self.store.withLockedValue { $0.append("\(event.kind) \(event.topic) \(event.member.id)") } }
        }
    }
}
