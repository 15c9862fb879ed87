// When the timers of many connections are due, at the price of a place in an array each.
//
// Time is cut into ticks of 10 ms; a slot holds what is due in one tick, the slots are a circle of 41 s. What is due later than that waits in
// the farthest slot, and whoever is called looks whether it is time and asks again. The connections' deadlines are all of that kind: a
// keepalive of 20 s that is looked at anew each time, a close deadline of 5 s.

import NIOCore

/// Where an element waits in its wheel.
package struct TimerWheelPlace: Sendable {
    package static let none = TimerWheelPlace(slot: .max, index: 0)
    fileprivate var slot: UInt16
    fileprivate var index: UInt32
}

/// What waits in a wheel.
package protocol TimerWheelElement: AnyObject {
    var timer: TimerWheelPlace { get set }
    /// It may be time.
    func timerFired()
}

/// A wheel, and the one timer of its thread's loop that turns it; confined to the thread.
///
/// `@exclusivity(unchecked)`: no foreign code runs while one of these variables is being changed.
final class Alarm<Element: TimerWheelElement> {
    @exclusivity(unchecked) private var wheel = TimerWheel<Element>()
    @exclusivity(unchecked) private var next: (deadline: UInt64, timer: LoopTimer)?

    /// Has an element's timer fire at a time, and not at the one that was asked for before.
    func arm(_ element: Element, at deadline: NIODeadline, on thread: EventThread) {
        wheel.insert(element, at: deadline.uptimeNanoseconds, now: thread.now.uptimeNanoseconds)
        set(thread)
    }

    /// Has an element's timer not fire.
    func disarm(_ element: Element) { wheel.remove(element) }

    private func set(_ thread: EventThread) {
        guard let deadline = wheel.next else { return }
        if let next, next.deadline <= deadline { return }
        next?.timer.cancel()
        let timer = thread.schedule(at: .uptimeNanoseconds(deadline)) { [weak self] in
            guard let self else { return }
            next = nil
            for element in wheel.advance(to: thread.now.uptimeNanoseconds) { element.timerFired() }
            set(thread)
        }
        next = (deadline, timer)
    }
}

extension TimerWheel: Sendable where Element: Sendable {}

/// When many elements are due; times are nanoseconds.
package struct TimerWheel<Element: TimerWheelElement> {
    private static var tick: UInt64 { 10_000_000 }
    private static var slotCount: Int { 4096 }

    private var slots: [[Element]] = []
    /// A bit for each slot that is not empty.
    private var occupied: [UInt64] = []
    /// All that was due up to this tick has been taken.
    private var current: UInt64 = 0
    package private(set) var count = 0

    package init() {}

    /// Has an element be due at a time, which is rounded up to a tick; at another one before, it is not due any more.
    package mutating func insert(_ element: Element, at deadline: UInt64, now: UInt64) {
        remove(element)
        if slots.isEmpty { makeSlots() }
        // What is in the slots then keeps its ticks: they are all within a turn of the circle from `current`.
        if count == 0 { current = now / Self.tick }
        let due = deadline / Self.tick + (deadline % Self.tick == 0 ? 0 : 1)
        let tick = min(max(due, current + 1), current + UInt64(Self.slotCount) - 1)
        let slot = Int(tick % UInt64(Self.slotCount))
        element.timer = TimerWheelPlace(slot: UInt16(slot), index: UInt32(clamping: slots[slot].count))
        slots[slot].append(element)
        occupied[slot / 64] |= 1 << UInt64(slot % 64)
        count += 1
    }

    /// Has an element be due no more.
    package mutating func remove(_ element: Element) {
        let place = element.timer
        guard place.slot != TimerWheelPlace.none.slot else { return }
        element.timer = .none
        let (slot, index) = (Int(place.slot), Int(place.index))
        let last = slots[slot].removeLast()
        if index < slots[slot].count {
            slots[slot][index] = last
            last.timer.index = place.index
        }
        if slots[slot].isEmpty { clear(slot) }
        count -= 1
    }

    /// Takes what is due.
    package mutating func advance(to now: UInt64) -> [Element] {
        let end = now / Self.tick
        var due: [Element] = []
        while let tick = nextTick, tick <= end {
            let slot = Int(tick % UInt64(Self.slotCount))
            for element in slots[slot] { element.timer = .none }
            due += slots[slot]
            count -= slots[slot].count
            clear(slot)
            current = tick
        }
        current = max(current, end)
        return due
    }

    /// When something is due next; nil if nothing is.
    package var next: UInt64? { nextTick.map { $0 * Self.tick } }

    private var nextTick: UInt64? {
        guard count > 0 else { return nil }
        // Word by word from the slot behind the current one, once around.
        let first = Int((current + 1) % UInt64(Self.slotCount))
        for step in 0...occupied.count {
            let word = (first / 64 + step) % occupied.count
            var bits = occupied[word]
            if step == 0 { bits &= ~0 << UInt64(first % 64) }
            guard bits != 0 else { continue }
            let slot = word * 64 + bits.trailingZeroBitCount
            return current + 1 + UInt64((slot - first + Self.slotCount) % Self.slotCount)
        }
        return nil
    }

    private mutating func makeSlots() {
        slots = Array(repeating: [], count: Self.slotCount)
        occupied = Array(repeating: 0, count: Self.slotCount / 64)
    }

    /// Empties a slot, and gives its memory back: the next ones to come go to others.
    private mutating func clear(_ slot: Int) {
        slots[slot] = []
        occupied[slot / 64] &= ~(1 << UInt64(slot % 64))
    }
}
