// The requests that this node has passed on and that are not answered: a pure machine, without clock or locks.
//
//   under way ── answered; the client goes; nobody hears it; its node is silent from one check to the next; its time is over ──► gone
//
// A node of which something is awaited is asked at each check whether it is there: it may be killed, stopped, or cut off while it holds polls.

import EngineIO
import NIOCore

struct ForwardedRequests {
    typealias Answered = @Sendable (EngineIOForwardedAnswer) -> Void

    struct Entry {
        let node: EngineIONode
        let isPoll: Bool
        let deadline: NIODeadline
        let answered: Answered
    }

    /// A node of which answers are awaited.
    private struct Owner {
        var ids: Set<UInt64> = []
        var isAsked = false
        var isHeard = false
    }

    /// What a check has found.
    struct Check {
        /// Whom to ask whether they are there.
        var asked: [EngineIONode] = []
        /// Requests that will not be answered any more.
        var failed: [(id: UInt64, entry: Entry)] = []
    }

    private let limit: Int
    /// How long a poll and a POST may take, if their node is there.
    private let (pollTime, postTime): (TimeAmount, TimeAmount)
    private var entries: [UInt64: Entry] = [:]
    private var owners: [EngineIONode: Owner] = [:]
    private var lastID: UInt64

    init(limit: Int, pollTime: TimeAmount, postTime: TimeAmount, firstID: UInt64) {
        self.limit = limit
        self.pollTime = pollTime
        self.postTime = postTime
        lastID = firstID &- 1
    }

    var isEmpty: Bool { entries.isEmpty }
    var count: Int { entries.count }
    /// The polls under way, by their numbers.
    var polls: [(id: UInt64, node: EngineIONode)] { entries.filter(\.value.isPoll).map { ($0.key, $0.value.node) } }

    /// Begins a request.
    ///
    /// - Returns: its number; nil if there are too many.
    mutating func add(_ request: EngineIOForwardedRequest, now: NIODeadline, _ answered: @escaping Answered) -> UInt64? {
        guard entries.count < limit else { return nil }
        lastID &+= 1
        let isPoll = if case .poll = request.kind { true } else { false }
        entries[lastID] = Entry(node: request.node, isPoll: isPoll, deadline: now + (isPoll ? pollTime : postTime), answered: answered)
        owners[request.node, default: Owner()].ids.insert(lastID)
        return lastID
    }

    /// Ends a request.
    ///
    /// - Parameter node: who has answered it; another one's answers do not count.
    mutating func remove(_ id: UInt64, answeredBy node: EngineIONode? = nil) -> Entry? {
        guard let entry = entries[id], node == nil || entry.node == node else { return nil }
        entries[id] = nil
        owners[entry.node]?.ids.remove(id)
        if owners[entry.node]?.ids.isEmpty == true { owners[entry.node] = nil }
        return entry
    }

    /// Ends all requests of a node, or of all nodes.
    mutating func removeAll(of node: EngineIONode? = nil) -> [Entry] {
        guard let node else {
            defer { (entries, owners) = ([:], [:]) }
            return Array(entries.values)
        }
        return (owners[node]?.ids ?? []).compactMap { remove($0) }
    }

    /// A node has said something.
    mutating func heard(_ node: EngineIONode) { owners[node]?.isHeard = true }

    /// Looks whether the nodes are still there; called again and again while anything is under way.
    mutating func check(now: NIODeadline) -> Check {
        var check = Check()
        for (node, owner) in owners {
            let isGone = owner.isAsked && !owner.isHeard
            for id in owner.ids where isGone || entries[id].map({ $0.deadline <= now }) == true {
                if let entry = remove(id) { check.failed.append((id, entry)) }
            }
            guard owners[node] != nil else { continue }
            owners[node]?.isAsked = true
            owners[node]?.isHeard = false
            check.asked.append(node)
        }
        return check
    }
}
