// What a node knows of the others: a pure machine, time passed in.
//
//   unknown ── says anything ──► known, out of step ── its state, whole ──► in step ── its next change ──► in step
//                                in step ── a change that does not follow, or another number in its heartbeat ──► out of step: asked for its state
//   known ── silent for three heartbeats, or gone ──► unknown: nobody is there with it any more
//
// A node numbers its changes. So what was lost on the way is noticed at the next heartbeat at the latest, and whatever is dropped here is made good.

import NIOCore

/// The other nodes.
struct ClusterView {
    /// What is to be done.
    enum Effect: Hashable {
        case tell(ClusterMessage.Content, to: UInt64)
        /// A heartbeat, to one node or to all.
        case beat(to: UInt64?)
        case sendState(to: UInt64)
        case apply(PresenceChange, of: UInt64)
        case replace([PresenceEntry], of: UInt64)
        case forget(UInt64)
        case count(topic: String, question: UInt64, for: UInt64)
        case counted(UInt64, question: UInt64, by: UInt64)
    }

    private struct Node {
        var lastHeard: NIODeadline
        /// The last change that is known; nil while out of step from the beginning.
        var number: UInt64?
        var askedAt: NIODeadline?
        var staged: Staged?
    }

    /// The parts of a state that have come.
    private struct Staged {
        let number: UInt64
        var nextPart: UInt32 = 0
        var entries: [PresenceEntry] = []
    }

    /// More nodes than a cluster has: beyond that somebody makes them up.
    static let maxNodes = 4096

    let own: UInt64
    let heartbeat: TimeAmount
    /// The most members of states that have not come whole.
    let maxStaged: Int
    private var nodes: [UInt64: Node] = [:]
    private var stagedCount = 0

    init(own: UInt64, heartbeat: TimeAmount, maxStaged: Int = PresenceState.maxElsewhere) {
        self.own = own
        self.heartbeat = heartbeat
        self.maxStaged = maxStaged
    }

    /// The nodes that are there.
    var others: Set<UInt64> { Set(nodes.keys) }

    // MARK: Time

    /// A heartbeat is due.
    mutating func tick(now: NIODeadline) -> [Effect] {
        let gone = nodes.filter { $0.value.lastHeard + heartbeat * 3 < now }.keys
        return gone.flatMap { forget($0) } + [.beat(to: nil)]
    }

    private mutating func forget(_ id: UInt64) -> [Effect] {
        guard nodes[id] != nil else { return [] }
        dropStaged(id)
        nodes[id] = nil
        return [.forget(id)]
    }

    // MARK: What others say

    mutating func received(_ message: ClusterMessage, now: NIODeadline) -> [Effect] {
        let id = message.node
        guard id != own else { return [] }
        if message.content == .gone { return forget(id) }
        var effects: [Effect] = []
        if nodes[id] == nil {
            guard nodes.count < Self.maxNodes else { return [] }
            nodes[id] = Node(lastHeard: now)
            // It does not know of this one yet either.
            effects = [.beat(to: id)]
        }
        nodes[id]?.lastHeard = now
        return effects + take(message.content, id, now)
    }

    private mutating func take(_ content: ClusterMessage.Content, _ id: UInt64, _ now: NIODeadline) -> [Effect] {
        switch content {
        case .alive(let number): return nodes[id]?.number == number ? [] : ask(id, now)
        case .changed(let change, let number): return changed(change, number, id, now)
        case .wantsState: return [.sendState(to: id)]
        case .state(let entries, let number, let part, let isLast): return staged(entries, number, part, isLast, id, now)
        case .count(let topic, let question): return [.count(topic: topic, question: question, for: id)]
        case .counted(let count, let question): return [.counted(count, question: question, by: id)]
        case .gone: return []
        }
    }

    private mutating func changed(_ change: PresenceChange, _ number: UInt64, _ id: UInt64, _ now: NIODeadline) -> [Effect] {
        guard let last = nodes[id]?.number else { return ask(id, now) }
        // What is in the state already may come behind it.
        guard number > last else { return [] }
        guard number == last &+ 1 else { return ask(id, now) }
        nodes[id]?.number = number
        return [.apply(change, of: id)]
    }

    /// Asks a node for its state; not again while the answer may be on its way.
    private mutating func ask(_ id: UInt64, _ now: NIODeadline) -> [Effect] {
        if let askedAt = nodes[id]?.askedAt, now < askedAt + .nanoseconds(heartbeat.nanoseconds / 2) { return [] }
        nodes[id]?.askedAt = now
        return [.tell(.wantsState, to: id)]
    }

    // MARK: States

    private mutating func staged(
        _ entries: [PresenceEntry], _ number: UInt64, _ part: UInt32, _ isLast: Bool, _ id: UInt64, _ now: NIODeadline
    ) -> [Effect] {
        if part == 0 {
            dropStaged(id)
            nodes[id]?.staged = Staged(number: number)
        }
        guard var staged = nodes[id]?.staged, staged.number == number, staged.nextPart == part, stagedCount + entries.count <= maxStaged
        else {
            // A part is missing, or it is too much: the next heartbeat asks again.
            dropStaged(id)
            return []
        }
        // Not held twice while it grows.
        nodes[id]?.staged = nil
        staged.entries += entries
        staged.nextPart &+= 1
        guard isLast else {
            stagedCount += entries.count
            nodes[id]?.staged = staged
            return []
        }
        stagedCount -= staged.entries.count - entries.count
        nodes[id]?.number = number
        nodes[id]?.askedAt = nil
        return [.replace(staged.entries, of: id)]
    }

    private mutating func dropStaged(_ id: UInt64) {
        stagedCount -= nodes[id]?.staged?.entries.count ?? 0
        nodes[id]?.staged = nil
    }
}
