import PubSub
import TestSupport
import Testing

/// A subscriber that has nothing to do.
private final class Subscriber {
    let name: Int
    init(_ name: Int) { self.name = name }
}

@Suite struct SubscriptionTableTests {
    private typealias Table = SubscriptionTable<Subscriber>

    /// Who gets a topic's message; somebody who would get it twice is there twice.
    private static func names(_ table: Table, _ topic: String) -> [Int] {
        switch table.channels(of: topic) {
        case .none: []
        case .one(let channel): channel.places.map(\.member.name).sorted()
        case .many(let channels): channels.flatMap { $0.places.map(\.member.name) }.sorted()
        }
    }

    @Test func tellsOfTheFirstAndTheLast() throws {
        let (a, b) = (Subscriber(1), Subscriber(2))
        let (first, second) = (Membership(a), Membership(b))
        var table = Table()
        #expect(table.add(first, to: .topic("x"), policy: .close) == .channel)
        #expect(table.add(first, to: .topic("x"), policy: .close) == .none)
        #expect(table.add(second, to: .topic("x"), policy: .close) == .member)
        #expect(Self.names(table, "x") == [1, 2])
        #expect(table.remove(first, from: .topic("x")) == .member)
        #expect(table.remove(first, from: .topic("x")) == .none)
        #expect(table.remove(second, from: .topic("x")) == .channel)
        #expect(table.count == 0)
        #expect(Self.names(table, "x") == [])
    }

    @Test func aSecondSubscriptionChangesThePolicy() throws {
        let a = Subscriber(1)
        let membership = Membership(a)
        var table = Table()
        table.add(membership, to: .topic("x"), policy: .close)
        table.add(membership, to: .topic("x"), policy: .latest)
        #expect(table.channel(.topic("x"))?.places.map(\.policy) == [.latest])
        #expect(membership.count == 1)
    }

    @Test func aNameThatLooksLikeAPatternIsAName() throws {
        let (a, b) = (Subscriber(1), Subscriber(2))
        let (first, second) = (Membership(a), Membership(b))
        var table = Table()
        table.add(first, to: .topic("room/+"), policy: .close)
        table.add(second, to: .pattern(try TopicPattern("room/+")), policy: .close)
        #expect(Self.names(table, "room/7") == [2])
        #expect(Self.names(table, "room/+") == [1, 2])
        #expect(Self.names(table, "room/#") == [2])
    }

    @Test func leavingAllTellsWhatIsEmptyNow() throws {
        let (a, b) = (Subscriber(1), Subscriber(2))
        let (first, second) = (Membership(a), Membership(b))
        var table = Table()
        let pattern = TopicFilter.pattern(try TopicPattern("p/#"))
        for filter in [.topic("x"), .topic("y"), pattern] { table.add(first, to: filter, policy: .close) }
        table.add(second, to: .topic("y"), policy: .close)
        #expect(Set(table.removeAll(first)) == [.topic("x"), pattern])
        #expect(first.count == 0)
        #expect(Self.names(table, "p/1") == [])
        #expect(Self.names(table, "y") == [2])
        #expect(table.count == 1)
    }

    /// A random walk beside the plain twin: a set of pairs, and each pattern's own word on what it takes.
    @Test(arguments: 0..<20)
    func agreesWithItsPlainTwin(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let subscribers = (0..<12).map { Subscriber($0) }
        let memberships = subscribers.map { Membership($0) }
        let words = ["a", "b", "c", ""]
        func path(_ words: [String], _ random: inout SeededGenerator) -> String {
            (0..<Int.random(in: 1...3, using: &random)).map { _ in words.randomElement(using: &random) ?? "" }.joined(separator: "/")
        }
        var table = Table()
        var twin: [Int: Set<TopicFilter>] = [:]
        for step in 0..<2000 {
            let who = Int.random(in: 0..<subscribers.count, using: &random)
            let isPattern = Bool.random(using: &random)
            let end = isPattern && Int.random(in: 0..<3, using: &random) == 0 ? "/#" : ""
            let text = path(isPattern ? words + ["+", "+"] : words, &random) + end
            let filter: TopicFilter
            if isPattern {
                guard let pattern = try? TopicPattern(text) else { continue }
                filter = .pattern(pattern)
            } else {
                filter = .topic(text)
            }
            switch Int.random(in: 0..<20, using: &random) {
            case 0:
                let gone = twin[who] ?? []
                twin[who] = []
                let empty = gone.filter { filter in !twin.values.contains { $0.contains(filter) } }
                #expect(Set(table.removeAll(memberships[who])) == empty, "seed \(seed), step \(step)")
            case 1..<9:
                table.remove(memberships[who], from: filter)
                twin[who]?.remove(filter)
            default:
                table.add(memberships[who], to: filter, policy: .close)
                twin[who, default: []].insert(filter)
            }
            let topic = path(words, &random)
            let expected = twin.flatMap { who, filters in filters.filter { $0.matches(topic) }.map { _ in who } }.sorted()
            try #require(Self.names(table, topic) == expected, "seed \(seed), step \(step), topic \(topic)")
            try #require(memberships[who].count == twin[who]?.count ?? 0, "seed \(seed), step \(step)")
        }
        for membership in memberships { _ = table.removeAll(membership) }
        #expect(table.count == 0)
    }
}
