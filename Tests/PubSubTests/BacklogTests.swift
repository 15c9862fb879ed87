import PubSub
import TestSupport
import Testing

@Suite struct BacklogTests {
    @Test func keepsTheOrder() {
        var backlog = Backlog<Int>()
        for number in 1...3 { backlog.append(number, size: 10 * number) }
        #expect(backlog.count == 3)
        #expect(backlog.bytes == 60)
        #expect(backlog.popFirst() == 1)
        #expect(backlog.bytes == 50)
        #expect([backlog.popFirst(), backlog.popFirst(), backlog.popFirst()] == [2, 3, nil])
        #expect(backlog.isEmpty)
        #expect(backlog.bytes == 0)
    }

    @Test func theLatestTakesThePlaceOfTheFirst() {
        var backlog = Backlog<String>()
        #expect(backlog.replace("a1", size: 1, key: "a") == false)
        #expect(backlog.replace("b1", size: 1, key: "b") == false)
        #expect(backlog.replace("a2", size: 5, key: "a") == true)
        #expect(backlog.bytes == 6)
        #expect(backlog.popFirst() == "a2")
        // The place is free: the next one with the key waits at the end.
        #expect(backlog.replace("a3", size: 1, key: "a") == false)
        #expect([backlog.popFirst(), backlog.popFirst(), backlog.popFirst()] == ["b1", "a3", nil])
    }

    @Test(arguments: 0..<10)
    func agreesWithItsPlainTwin(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var backlog = Backlog<Int>()
        var twin: [(item: Int, size: Int, key: String?)] = []
        for item in 0..<3000 {
            let size = Int.random(in: 0..<9, using: &random)
            switch Int.random(in: 0..<3, using: &random) {
            case 0:
                backlog.append(item, size: size)
                twin.append((item, size, nil))
            case 1:
                let key = String(Int.random(in: 0..<5, using: &random))
                if let index = twin.firstIndex(where: { $0.key == key }) {
                    #expect(backlog.replace(item, size: size, key: key) == true, "seed \(seed), item \(item)")
                    twin[index] = (item, size, key)
                } else {
                    #expect(backlog.replace(item, size: size, key: key) == false, "seed \(seed), item \(item)")
                    twin.append((item, size, key))
                }
            default:
                let first = twin.isEmpty ? nil : twin.removeFirst()
                #expect(backlog.popFirst() == first?.item, "seed \(seed), item \(item)")
            }
            #expect(backlog.count == twin.count && backlog.bytes == twin.reduce(0) { $0 + $1.size }, "seed \(seed), item \(item)")
        }
    }
}
