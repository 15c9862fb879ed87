// Presence and counts over all nodes of a cluster: does what a `ClusterView` asks for, over whatever backplane there is.
//
// What others say is taken up on an event loop of its own accord, never inside of the backplane's call: what comes of it may publish in turn.

import NIOConcurrencyHelpers
package import NIOCore

/// A node's place among the others of its backplane.
package final class TopicCluster: Sendable {
    private struct Question {
        var missing: Set<UInt64>
        var sum = 0
        let answered: @Sendable (Int) -> Void
    }

    private struct State {
        var view: ClusterView
        var timer: RepeatedTask?
        var countHere: (@Sendable (String) async -> Int)?
        /// What others have said and is not taken up.
        var waiting = 0
        var questions: [UInt64: Question] = [:]
        var lastQuestion: UInt64 = 0
        /// The questions of others that are being answered.
        var counting = 0
    }

    /// The most messages that wait; more are dropped, and the next heartbeats notice.
    private static let maxWaiting = 10_000
    /// The most questions under way, own and others'.
    private static let maxQuestions = 1000
    /// How long other nodes may take to say how many listen.
    package static let answerTime = TimeAmount.seconds(2)
    /// How many bytes of a state one message holds, roughly.
    private static let partSize = 65_536

    private let backplane: any Backplane
    private let presence: Presence
    private let heartbeat: TimeAmount
    private let eventLoop: any EventLoop
    private let node = UInt64.random(in: .min ... .max)
    private let state: NIOLockedValueBox<State>

    /// Makes a node's place; nothing is said before `start`.
    package init(_ backplane: any Backplane, _ presence: Presence, heartbeat: TimeAmount, on eventLoop: any EventLoop) {
        self.backplane = backplane
        self.presence = presence
        self.heartbeat = heartbeat
        self.eventLoop = eventLoop
        state = NIOLockedValueBox(State(view: ClusterView(own: node, heartbeat: heartbeat)))
    }

    // MARK: Beginning and end

    /// Begins, once the backplane has.
    ///
    /// - Parameter countHere: how many of this node's connections a message to a topic would go to.
    package func start(countHere: @escaping @Sendable (String) async -> Int) {
        for topic in [ClusterMessage.topic, ClusterMessage.topic(of: node)] { backplane.subscribe(to: .topic(topic)) }
        let backplane = backplane
        presence.connect(shares: { backplane.shares($0) }, tell: { [weak self] in self?.tell($0) })
        state.withLockedValue { state in
            state.countHere = countHere
            // Under the lock, for which the first heartbeat waits: what others answer to it is taken only where there is a timer.
            state.timer = eventLoop.scheduleRepeatedTask(initialDelay: .zero, delay: heartbeat) { [weak self] _ in self?.tick() }
        }
    }

    /// Says farewell; before the backplane ends.
    package func stop() {
        let (timer, questions) = state.withLockedValue { state in
            let (timer, questions) = (state.timer, state.questions)
            state.view = ClusterView(own: node, heartbeat: heartbeat)
            (state.timer, state.countHere, state.questions) = (nil, nil, [:])
            return (timer, questions)
        }
        guard let timer else { return }
        timer.cancel()
        for question in questions.values { question.answered(question.sum) }
        presence.disconnect()
        say(.gone, to: nil)
        for topic in [ClusterMessage.topic, ClusterMessage.topic(of: node)] { backplane.unsubscribe(from: .topic(topic)) }
    }

    // MARK: Questions

    /// How many connections of the other nodes a message to a topic would go to; those that do not say within 2 s are not counted.
    package func countElsewhere(_ topic: String) async -> Int {
        guard backplane.shares(topic) else { return 0 }
        return await withCheckedContinuation { continuation in
            ask(topic) { continuation.resume(returning: $0) }
        }
    }

    private func ask(_ topic: String, _ answered: @escaping @Sendable (Int) -> Void) {
        let id = state.withLockedValue { state -> UInt64? in
            let others = state.view.others
            guard !others.isEmpty, state.timer != nil, state.questions.count < Self.maxQuestions else { return nil }
            state.lastQuestion += 1
            state.questions[state.lastQuestion] = Question(missing: others, answered: answered)
            return state.lastQuestion
        }
        guard let id else { return answered(0) }
        say(.count(topic: topic, question: id), to: nil)
        eventLoop.scheduleTask(in: Self.answerTime) { [weak self] in self?.end(id) }
    }

    private func end(_ id: UInt64) {
        if let question = state.withLockedValue({ $0.questions.removeValue(forKey: id) }) { question.answered(question.sum) }
    }

    private func counted(_ count: UInt64, _ id: UInt64, by node: UInt64) {
        let done = state.withLockedValue { state -> Question? in
            guard state.questions[id]?.missing.remove(node) != nil else { return nil }
            state.questions[id]?.sum += Int(count)
            return state.questions[id]?.missing.isEmpty == true ? state.questions.removeValue(forKey: id) : nil
        }
        done?.answered(done?.sum ?? 0)
    }

    private func count(_ topic: String, _ question: UInt64, for other: UInt64) {
        let countHere = state.withLockedValue { state -> (@Sendable (String) async -> Int)? in
            guard state.counting < Self.maxQuestions, let countHere = state.countHere else { return nil }
            state.counting += 1
            return countHere
        }
        guard let countHere else { return }
        Task {
            let count = await countHere(topic)
            state.withLockedValue { $0.counting -= 1 }
            say(.counted(UInt64(max(0, count)), question: question), to: other)
        }
    }

    // MARK: What others say

    /// Takes a publication of another node, if it is none of the program's.
    ///
    /// - Returns: whether it is the nodes' own.
    package func take(_ publication: Publication) -> Bool {
        guard ClusterMessage.isReserved(publication.topic) else { return false }
        let isTaken = state.withLockedValue { state in
            guard state.waiting < Self.maxWaiting, state.timer != nil else { return false }
            state.waiting += 1
            return true
        }
        if isTaken { eventLoop.execute { self.takeUp(publication.payload) } }
        return true
    }

    private func takeUp(_ bytes: ByteBuffer) {
        let message = ClusterMessage(bytes)
        let effects = state.withLockedValue { state in
            state.waiting -= 1
            guard let message, state.timer != nil else { return [] as [ClusterView.Effect] }
            return state.view.received(message, now: .now())
        }
        for effect in effects { perform(effect) }
    }

    private func tick() {
        for effect in state.withLockedValue({ $0.view.tick(now: .now()) }) { perform(effect) }
    }

    private func perform(_ effect: ClusterView.Effect) {
        switch effect {
        case .tell(let content, let other): say(content, to: other)
        case .beat(let other): presence.tellBeat(to: other)
        case .sendState(let other): presence.tellState(to: other)
        case .apply(let change, let other): presence.apply(change, of: other)
        case .replace(let entries, let other): presence.replace(entries, of: other)
        case .forget(let other): presence.forget(other)
        case .count(let topic, let question, let other): count(topic, question, for: other)
        case .counted(let count, let question, let other): counted(count, question, by: other)
        }
    }

    // MARK: What is said

    private func say(_ content: ClusterMessage.Content, to other: UInt64?) {
        let topic = other.map(ClusterMessage.topic(of:)) ?? ClusterMessage.topic
        let payload = ClusterMessage(node: node, content).encoded
        backplane.publish(Publication(topic: topic, payload: payload, isText: false))
    }

    private func tell(_ news: PresenceNews) {
        switch news {
        case .changed(let change, let number): say(.changed(change, number: number), to: nil)
        case .beat(let number, let other): say(.alive(number: number), to: other)
        case .state(let entries, let number, let other): sayState(entries(), number, to: other)
        }
    }

    private func sayState(_ entries: [PresenceEntry], _ number: UInt64, to other: UInt64) {
        var (rest, part) = (entries[...], UInt32(0))
        repeat {
            var size = 0
            let taken = rest.prefix { entry in
                defer { size += entry.topic.utf8.count + entry.member.id.utf8.count + entry.member.info.utf8.count + 12 }
                return size < Self.partSize
            }
            rest = rest.dropFirst(taken.count)
            say(.state(Array(taken), number: number, part: part, isLast: rest.isEmpty), to: other)
            part += 1
        } while !rest.isEmpty
    }
}
