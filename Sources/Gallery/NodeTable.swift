// The nodes that are heard: a pure machine, time passed in.
//
//   unknown ── says what it is ──► heard ── silent for more than a beat and a half ──► silent ── for three ──► unknown
//                                  heard, silent ── says that it is gone ──► unknown

/// The nodes that are heard, this one among them.
struct NodeTable {
    /// A node, as the page is told of it.
    struct Row: Encodable, Equatable {
        var node: NodeFigures
        /// For how long it is heard, and how long ago it was, in seconds.
        var sinceSeconds: Double, agoSeconds: Double
        var isSilent: Bool
    }

    private struct Entry {
        var figures: NodeFigures
        let since: ContinuousClock.Instant
        var heard: ContinuousClock.Instant
    }

    /// More than a page can show: beyond that somebody makes them up.
    static let maxNodes = 100

    /// This node's id.
    let own: String
    /// How often a node says that it is there.
    let interval: Duration
    private var entries: [String: Entry] = [:]

    init(own: String, interval: Duration) {
        self.own = own
        self.interval = interval
    }

    /// This node is there.
    mutating func note(_ figures: NodeFigures, at now: ContinuousClock.Instant) {
        entries[own] = Entry(figures: figures, since: entries[own]?.since ?? now, heard: now)
    }

    /// Another one has said what it is. Of new ones, those that are too many are left out, until others go.
    mutating func hear(_ figures: NodeFigures, at now: ContinuousClock.Instant) {
        guard figures.id != own else { return }
        forgetSilent(at: now)
        guard entries[figures.id] != nil || entries.count < Self.maxNodes else { return }
        entries[figures.id] = Entry(figures: figures, since: entries[figures.id]?.since ?? now, heard: now)
    }

    /// Another one is gone.
    mutating func forget(_ id: String) { if id != own { entries[id] = nil } }

    /// Forgets those that have been silent for three beats.
    mutating func forgetSilent(at now: ContinuousClock.Instant) {
        entries = entries.filter { $0.key == own || $0.value.heard + interval * 3 >= now }
    }

    /// All nodes, in an order that stays.
    func rows(at now: ContinuousClock.Instant) -> [Row] {
        entries.values.sorted { ($0.figures.name, $0.figures.id) < ($1.figures.name, $1.figures.id) }.map { entry in
            let ago = now - entry.heard
            return Row(
                node: entry.figures, sinceSeconds: (now - entry.since) / .seconds(1), agoSeconds: ago / .seconds(1),
                isSilent: ago > interval * 1.5)
        }
    }
}
