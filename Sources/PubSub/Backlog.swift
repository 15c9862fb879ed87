// Messages that wait apart from a connection's send buffer, so that whole ones can still be dropped or replaced.

import DequeModule

/// Messages that wait for a slow subscriber, oldest first.
public struct Backlog<Item> {
    private struct Entry {
        var item: Item
        var size: Int
        let key: String?
    }

    private var entries = Deque<Entry>()
    /// How many were taken from the front, ever.
    private var taken = 0
    /// Where the messages with a key wait, counted from the first one ever.
    private var places: [String: Int] = [:]
    /// Their sizes together.
    public private(set) var bytes = 0

    /// Makes one in which nothing waits.
    public init() {}

    /// How many wait.
    public var count: Int { entries.count }

    /// Whether nothing waits.
    public var isEmpty: Bool { entries.isEmpty }

    /// Adds a message, or puts it in the place of the one with the same key.
    ///
    /// - Returns: whether there was one with the same key.
    public mutating func replace(_ item: Item, size: Int, key: String) -> Bool {
        if let place = places[key] {
            bytes += size - entries[place - taken].size
            entries[place - taken].item = item
            entries[place - taken].size = size
            return true
        }
        places[key] = taken + entries.count
        add(Entry(item: item, size: size, key: key))
        return false
    }

    /// Adds a message.
    public mutating func append(_ item: Item, size: Int) { add(Entry(item: item, size: size, key: nil)) }

    private mutating func add(_ entry: Entry) {
        entries.append(entry)
        bytes += entry.size
    }

    /// Takes the oldest message.
    public mutating func popFirst() -> Item? {
        guard let entry = entries.popFirst() else { return nil }
        taken += 1
        bytes -= entry.size
        if let key = entry.key { places[key] = nil }
        return entry.item
    }
}
