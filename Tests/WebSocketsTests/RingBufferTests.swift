import TestSupport
import Testing

@testable import WebSockets

struct RingBufferTests {
    @Test func isEmptyAtFirst() {
        var queue = RingBuffer<Int>()
        let isEmpty = queue.isEmpty
        let first = queue.popFirst()
        #expect(isEmpty && first == nil)
    }

    @Test(arguments: 1...16 as ClosedRange<UInt64>) func behavesAsAnArrayDoes(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var queue = RingBuffer<String>()
        var model: [String] = []
        for step in 0..<2000 {
            switch Int.random(in: 0..<100, using: &random) {
            // Longer stretches of one kind, so that it grows and empties.
            case ..<(step / 200 % 2 == 0 ? 60 : 35):
                queue.append("\(step)")
                model.append("\(step)")
            case ..<95:
                let first = queue.popFirst()
                #expect(first == (model.isEmpty ? nil : model.removeFirst()), "seed \(seed), step \(step)")
            case ..<99:
                guard let index = model.indices.randomElement(using: &random) else { continue }
                queue[index] += "!"
                model[index] += "!"
            default:
                queue.removeAll()
                model = []
            }
            let elements = (0..<queue.count).map { queue[$0] }
            #expect(elements == model, "seed \(seed), step \(step)")
        }
    }

    @Test func letsGoOfWhatItHolds() {
        weak var popped: Canary?
        weak var removed: Canary?
        weak var left: Canary?
        do {
            var queue = RingBuffer<Canary>()
            func fill() -> (Canary, Canary) { (Canary(), Canary()) }
            do {
                let (first, second) = fill()
                (popped, removed) = (first, second)
                queue.append(first)
                queue.append(second)
            }
            #expect(popped != nil && removed != nil)
            _ = queue.popFirst()
            #expect(popped == nil && removed != nil)
            queue.removeAll()
            #expect(removed == nil)
            for _ in 0..<20 { queue.append(Canary()) }
            left = queue[19]
            #expect(left != nil)
        }
        #expect(left == nil)
    }

    private final class Canary {}
}
