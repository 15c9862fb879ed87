// The support desk: whose turn it is, who cares for whom, and what was said. Knows nothing of sockets.

import SocketIO
import Synchronization

/// All cases and agents; any thread may ask.
final class Desk: Sendable {
    static let maxCases = 200, maxAgents = 50
    private let state = Mutex(State())

    /// For the agents: who waits, in turn, without what is said.
    var overview: Overview {
        state.withLock { state in
            func brief(_ number: Int) -> Case? {
                var brief = state.cases[number]
                brief?.lines.removeSubrange(1...)
                return brief
            }
            let open = state.cases.values.filter { $0.agent != nil && !$0.isDone }.map(\.number).sorted()
            return Overview(waiting: state.queue.compactMap(brief), open: open.compactMap(brief), agents: state.agents)
        }
    }

    /// Where each customer stands in the queue, from 1.
    var places: [(id: String, place: Int)] {
        state.withLock { state in state.queue.enumerated().compactMap { index, number in state.customers[number].map { ($0, index + 1) } } }
    }

    /// False if there are too many agents already: each is told of all cases.
    @discardableResult func arrive(_ id: String, _ name: String) -> Bool {
        state.withLock { state in
            guard state.agents.count < Self.maxAgents else { return false }
            state.agents.append(Agent(id: id, name: name))
            return true
        }
    }

    func ask(_ id: String, _ name: String, _ text: String) throws(SocketIOError) -> Case {
        try state.withLock { state throws(SocketIOError) in
            if let open = state.customers.first(where: { $0.value == id }) { throw SocketIOError("Your case \(open.key) is open already.") }
            guard state.customers.count < Self.maxCases else {
                throw SocketIOError("\(Self.maxCases) cases are open already; try again later.")
            }
            state.last += 1
            let line = Line(number: 0, role: "customer", name: name, text: text)
            let opened = Case(number: state.last, customer: name, lines: [line])
            state.cases[state.last] = opened
            state.customers[state.last] = id
            state.queue.append(state.last)
            return opened
        }
    }

    /// - Parameter key: the page's own, so that what it says again as no answer came is not heard twice; nil is returned then.
    func say(_ text: String, _ key: String, _ who: Support.Person, _ id: String, _ number: Int) throws(SocketIOError) -> Line? {
        try state.withLock { state throws(SocketIOError) in
            guard var current = state.cases[number], current.agent == id || state.customers[number] == id else {
                throw SocketIOError("Case \(number) is not yours, or done.")
            }
            let key = key.cut(to: 80)
            guard state.keys[number]?.contains(key) != true else { return nil }
            state.keys[number] = (state.keys[number] ?? []).suffix(49) + [key]
            let line = Line(number: (current.lines.last?.number ?? -1) + 1, role: who.role, name: who.name, text: text)
            current.lines = current.lines.suffix(99) + [line]
            state.cases[number] = current
            return line
        }
    }

    /// Gives a case to an agent; back to the head of the queue if to nobody. Those who wait may be taken, one's own be handed over.
    func assign(_ number: Int, to agent: String?, by id: String) throws(SocketIOError) -> (former: String?, now: Case) {
        try state.withLock { state throws(SocketIOError) in
            guard state.agents.contains(where: { $0.id == id }) else { throw SocketIOError("Only agents can do that.") }
            guard var changed = state.cases[number] else { throw SocketIOError("Case \(number) is done.") }
            guard changed.agent == id || changed.agent == nil && agent == id else {
                throw SocketIOError("\(changed.agentName ?? "Nobody") has case \(number).")
            }
            let next = state.agents.first { $0.id == agent }
            guard agent == nil || next != nil else { throw SocketIOError("This agent has left.") }
            let former = changed.agent
            (changed.agent, changed.agentName) = (next?.id, next?.name)
            state.queue.removeAll { $0 == number }
            if next == nil { state.queue.insert(number, at: 0) }
            state.cases[number] = changed
            return (former, changed)
        }
    }

    func finish(_ number: Int, by id: String) throws(SocketIOError) -> Case {
        try state.withLock { state throws(SocketIOError) in
            guard let done = state.cases[number], done.agent == id || state.customers[number] == id else {
                throw SocketIOError("Case \(number) is not yours, or done.")
            }
            return state.end(number, done)
        }
    }

    /// Somebody has left for good: a customer's case is done, an agent's go back to the queue. Gives those that changed.
    func leave(_ id: String) -> [Case] { state.withLock { $0.leave(id) } }
}
