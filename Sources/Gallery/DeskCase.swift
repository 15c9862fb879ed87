// What the support desk keeps of its cases.

extension Desk {
    struct Line: Codable, Equatable { var number: Int, role: String, name: String, text: String }
    /// A customer's case: waiting without an agent, open with one, done.
    struct Case: Codable, Equatable {
        var number: Int, customer: String, agent: String? = nil, agentName: String? = nil, isDone = false, lines: [Line] = []
        var room: String { Desk.room(number) }
    }
    struct Agent: Codable, Equatable { var id: String, name: String }
    struct Overview: Codable, Equatable { var waiting: [Case], open: [Case], agents: [Agent] }

    static func room(_ number: Int) -> String { "case \(number)" }

    /// The cases that are not done, whose they are, what was said already, and who waits.
    struct State {
        var cases: [Int: Case] = [:], customers: [Int: String] = [:], keys: [Int: [String]] = [:]
        var queue: [Int] = [], agents: [Agent] = [], last = 0

        mutating func leave(_ id: String) -> [Case] {
            agents.removeAll { $0.id == id }
            var changed: [Case] = []
            for var waiting in cases.values.filter({ $0.agent == id }).sorted(by: { $0.number > $1.number }) {
                (waiting.agent, waiting.agentName) = (nil, nil)
                cases[waiting.number] = waiting
                queue.insert(waiting.number, at: 0)
                changed.append(waiting)
            }
            if let number = customers.first(where: { $0.value == id })?.key, let done = cases[number] { changed.append(end(number, done)) }
            return changed
        }

        mutating func end(_ number: Int, _ done: Case) -> Case {
            var done = done
            done.isDone = true
            (cases[number], customers[number], keys[number]) = (nil, nil, nil)
            queue.removeAll { $0 == number }
            return done
        }
    }
}
