// When the timers of many connections are due.

import TestSupport
import Testing

@testable import WebSockets

private final class Item: TimerWheelElement {
    let name: Int
    var timer = TimerWheelPlace.none
    init(_ name: Int) { self.name = name }
    func timerFired() {}
}

@Suite struct TimerWheelTests {
    private static let tick: UInt64 = 10_000_000

    @Test func isDueAtItsTickAndNotBefore() {
        var wheel = TimerWheel<Item>()
        let items = (0..<3).map { Item($0) }
        #expect(wheel.next == nil)
        wheel.insert(items[0], at: 5 * Self.tick, now: 0)
        wheel.insert(items[1], at: 2 * Self.tick + 1, now: 0)
        wheel.insert(items[2], at: 2 * Self.tick, now: 0)
        #expect(wheel.next == 2 * Self.tick)
        #expect(wheel.advance(to: 2 * Self.tick - 1).isEmpty)
        #expect(wheel.advance(to: 2 * Self.tick).map(\.name) == [2])
        #expect(wheel.next == 3 * Self.tick)
        #expect(wheel.advance(to: 100 * Self.tick).map(\.name) == [1, 0])
        #expect(wheel.next == nil)
        #expect(wheel.count == 0)
    }

    @Test func whatIsDueAlreadyIsDueAtTheNextTick() {
        var wheel = TimerWheel<Item>()
        let item = Item(0)
        wheel.insert(item, at: 0, now: 77 * Self.tick)
        #expect(wheel.next == 78 * Self.tick)
    }

    @Test func anotherTimeTakesThePlaceOfTheFormer() {
        var wheel = TimerWheel<Item>()
        let item = Item(0)
        wheel.insert(item, at: 5 * Self.tick, now: 0)
        wheel.insert(item, at: 3 * Self.tick, now: 0)
        #expect(wheel.count == 1)
        #expect(wheel.advance(to: 3 * Self.tick).count == 1)
        #expect(wheel.advance(to: 9 * Self.tick).isEmpty)
    }

    /// What is farther away than the circle is long is called early, and asks again.
    @Test func theFarFutureComesWithinOneCircle() {
        var wheel = TimerWheel<Item>()
        let item = Item(0)
        wheel.insert(item, at: .max, now: 1000 * Self.tick)
        #expect(wheel.next == (1000 + 4095) * Self.tick)
    }

    @Test(arguments: 0..<20)
    func agreesWithItsPlainTwin(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var wheel = TimerWheel<Item>()
        let items = (0..<200).map { Item($0) }
        var twin: [Int: UInt64] = [:]
        var now: UInt64 = UInt64.random(in: 0...1_000_000, using: &random) * Self.tick
        for step in 0..<5000 {
            let item = items[Int.random(in: 0..<items.count, using: &random)]
            switch Int.random(in: 0..<6, using: &random) {
            case 0:
                wheel.remove(item)
                twin[item.name] = nil
            case 1:
                now += UInt64.random(in: 0..<(Bool.random(using: &random) ? 100 : 5000), using: &random) * Self.tick
                let due = Set(wheel.advance(to: now).map(\.name))
                let expected = Set(twin.filter { $0.value <= now }.keys)
                #expect(due == expected, "seed \(seed), step \(step)")
                for name in expected { twin[name] = nil }
            default:
                let deadline = now + UInt64.random(in: 1..<4000, using: &random) * Self.tick
                wheel.insert(item, at: deadline, now: now)
                twin[item.name] = deadline
            }
            #expect(wheel.next == twin.values.min(), "seed \(seed), step \(step)")
            #expect(wheel.count == twin.count, "seed \(seed), step \(step)")
        }
    }
}
