// A queue whose elements are moved in and out.

/// A queue in one piece of memory, which it does not share.
///
/// A `Deque` asks at every change whether its memory is shared, and copies an element out before it forgets it: two reference counts and
/// a call for every message that waits.
struct RingBuffer<Element>: ~Copyable {
    private var memory = UnsafeMutableBufferPointer<Element>(start: nil, count: 0)
    private var head = 0
    /// How many elements there are.
    private(set) var count = 0

    private static var leastCapacity: Int { 8 }

    deinit {
        for offset in 0..<count { memory.deinitializeElement(at: place(offset)) }
        memory.deallocate()
    }

    var isEmpty: Bool { count == 0 }

    /// The memory's index of the element that is `offset` behind the first; the memory's size is a power of two.
    @inline(__always)
    private func place(_ offset: Int) -> Int { (head &+ offset) & (memory.count &- 1) }

    @inline(__always)
    mutating func append(_ element: consuming Element) {
        if count == memory.count { grow() }
        memory.initializeElement(at: place(count), to: element)
        count &+= 1
    }

    /// Takes the first element out.
    @inline(__always)
    mutating func popFirst() -> Element? {
        guard count > 0 else { return nil }
        let element = memory.moveElement(from: head)
        head = place(1)
        count &-= 1
        return element
    }

    /// The element that is `offset` behind the first.
    subscript(offset: Int) -> Element {
        get {
            precondition(offset >= 0 && offset < count)
            return memory[place(offset)]
        }
        set {
            precondition(offset >= 0 && offset < count)
            memory[place(offset)] = newValue
        }
    }

    mutating func removeAll() { self = RingBuffer() }

    private mutating func grow() {
        let larger = UnsafeMutableBufferPointer<Element>.allocate(capacity: max(Self.leastCapacity, 2 * memory.count))
        for offset in 0..<count { larger.initializeElement(at: offset, to: memory.moveElement(from: place(offset))) }
        memory.deallocate()
        memory = larger
        head = 0
    }
}
