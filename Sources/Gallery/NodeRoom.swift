// What one node knows of what goes on here and elsewhere: the nodes, its own tabs, the last lines. Time passed in.

/// What one node knows.
struct NodeRoom {
    /// A line, and its number on this node.
    struct Said: Encodable, Equatable { var number: Int, line: NodeLine }

    /// The lines that who comes later is told.
    static let maxLines = 50

    let id: String
    /// Where this node listens; its id until that is known.
    var name: String
    private(set) var table: NodeTable
    private(set) var lines: [Said] = []
    private var tabs: [Int: String] = [:]
    private var lastTab = 0, lastLine = 0
    private var beatAt: ContinuousClock.Instant?
    /// For the lines of all other nodes together, as some may be made up.
    private var foreign = RateLimit(perSecond: 100, burst: 200)

    init(id: String, interval: Duration) {
        (self.id, name) = (id, id)
        table = NodeTable(own: id, interval: interval)
    }

    var hasTabs: Bool { !tabs.isEmpty }

    // MARK: Tabs

    /// A tab has come, or calls itself something else; returns its number.
    mutating func enter(_ tab: Int?, as name: String) -> Int {
        let number = tab ?? lastTab + 1
        lastTab = max(lastTab, number)
        tabs[number] = name
        // The others are to hear of it soon.
        beatAt = nil
        return number
    }

    mutating func leave(_ tab: Int) {
        tabs[tab] = nil
        beatAt = nil
    }

    /// What a tab says; nil before it has come.
    func line(_ text: String, by tab: Int?, _ user: String) -> NodeLine? {
        tab.flatMap { tabs[$0] }.map { NodeLine(node: id, place: name, user: user, name: $0, text: text) }
    }

    // MARK: Lines and nodes

    /// Keeps what was said here or elsewhere; nil if other nodes say too much.
    mutating func take(_ line: NodeLine, at now: ContinuousClock.Instant) -> Said? {
        guard line.node == id || foreign.allows(at: now) else { return nil }
        lastLine += 1
        let said = Said(number: lastLine, line: line)
        lines = lines.suffix(Self.maxLines - 1) + [said]
        return said
    }

    mutating func hear(_ figures: NodeFigures, at now: ContinuousClock.Instant) { table.hear(figures, at: now) }

    mutating func forget(_ node: String) { table.forget(node) }

    /// Brings the table up to date, and returns what the other nodes are to hear: at intervals, and when a tab has come or gone.
    mutating func beat(connections: Int, at now: ContinuousClock.Instant) -> NodeFigures? {
        let names = tabs.values.sorted().prefix(NodeNews.maxNames)
        let figures = NodeFigures(id: id, name: name, connections: connections, tabs: tabs.count, names: Array(names))
        table.note(figures, at: now)
        table.forgetSilent(at: now)
        if let beatAt, now < beatAt + table.interval { return nil }
        beatAt = now
        return figures
    }
}
