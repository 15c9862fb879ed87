// From an event to what it causes: the machine is asked under the lock, and what it wants is done outside of it, one thing after another.

import Logging
import NIOCore
import Synchronization
import WebSocketCore
import WebSockets

extension EngineIOSession {
    /// Who does what the machine asks for.
    private enum Performer {
        case nobody
        case caller
        /// The WebSocket's thread: its messages have to be in order, and its callbacks one after another.
        case thread(WebSocket)
    }

    /// The WebSocket, if what is sent need not ask the machine.
    @inline(__always)
    var passingSocket: WebSocket? { isPassing.load(ordering: .acquiring) ? socket.load() : nil }

    /// The WebSocket, if what is sent can go to it at once: on its thread, and nothing that was said before is on its way.
    @inline(__always)
    var directSocket: WebSocket? {
        guard let socket = passingSocket, socket.isOnThread, socket.catchUp() else { return nil }
        return socket
    }

    /// Tells the machine of an event, and has done what it asks for.
    func run(_ event: (inout Machine, Timestamp) -> Void) {
        switch decide(event) {
        case .nobody: break
        case .caller: performInOrder()
        case .thread(let socket): socket.perform { self.performInOrder() }
        }
    }

    /// What was sent before leaves first: an end may be among what there is to do.
    private func performInOrder() {
        if let socket = socket.load(), socket.isOnThread { _ = socket.catchUp() }
        perform()
    }

    private func decide(_ event: (inout Machine, Timestamp) -> Void) -> Performer {
        let now = EngineIOServer.now
        return state.withLock { state in
            event(&state.machine, now)
            arm(&state)
            if state.machine.phase != .open { isPassing.store(false, ordering: .relaxed) }
            guard state.machine.hasActions, !state.isPerforming else { return .nobody }
            state.isPerforming = true
            // Until all is done, no message that arrives passes by.
            isDirect.store(false, ordering: .relaxed)
            guard let socket = socket.load() ?? state.machine.socket else { return .caller }
            guard socket.isOnThread else { return .thread(socket) }
            // A handler is not interrupted by what it causes.
            guard isDelivering else { return .caller }
            performsLater = true
            return .nobody
        }
    }

    private enum Step {
        case perform([Machine.Action])
        case handOver(WebSocket)
        case done
    }

    /// Does what there is to do; called by whoever set `isPerforming`.
    func perform() {
        while true {
            switch nextStep() {
            case .perform(let actions): perform(actions)
            case .handOver(let socket): return socket.perform { self.perform() }
            case .done: return
            }
        }
    }

    private func nextStep() -> Step {
        state.withLock { state in
            if let socket = state.machine.socket {
                self.socket.storeIfNil(socket)
                // The upgrade came while another thread was at it.
                if !socket.isOnThread { return .handOver(socket) }
            }
            let actions = state.machine.takeActions()
            guard actions.isEmpty else { return .perform(actions) }
            state.isPerforming = false
            isDirect.store(state.machine.directSocket != nil, ordering: .releasing)
            beginPassing(&state)
            return .done
        }
    }

    /// What is sent from now on goes to the WebSocket by itself, if that is the transport: all before has gone there.
    private func beginPassing(_ state: inout State) {
        if state.machine.phase == .open && state.machine.socket != nil { isPassing.store(true, ordering: .releasing) }
    }

    private func perform(_ actions: [Machine.Action]) {
        guard let upgrade = actions.firstIndex(where: \.isUpgrade) else { return actions.forEach(perform) }
        actions[..<upgrade].forEach(perform)
        // What was sent on the way leaves before the handler learns of the change, which then is complete.
        var rest = actions[(upgrade + 1)...]
        state.withLock { state in
            rest += state.machine.takeActions()
            beginPassing(&state)
        }
        rest.filter(\.isSend).forEach(perform)
        perform(actions[upgrade])
        rest.filter { !$0.isSend }.forEach(perform)
    }

    private func perform(_ action: Machine.Action) {
        switch action {
        case .opened: handler?.opened(self)
        case .received(let message): handler?.received(message, from: self)
        case .upgraded:
            logger.debug("upgraded", metadata: ["sid": "\(id)"])
            handler?.upgraded(self)
        case .closed(let closure): ended(closure)
        case .respond(let exchange, let reply): exchange.respond(reply)
        case .send(let socket, let packets): for packet in packets { packet.send(over: socket, supportsBinary: supportsBinary) }
        case .closeSocket(let socket): socket.close()
        }
    }

    private func ended(_ closure: EngineIOClosure) {
        server.ended(self)
        var metadata: Logger.Metadata = ["sid": "\(id)", "reason": "\(closure.reason)"]
        if let detail = closure.detail { metadata["detail"] = "\(detail)" }
        // What the client did wrong, or this server gave up, is for the operator to see.
        let isFault = closure.reason == .transportError || closure.reason == .parseError
        logger.log(level: isFault ? .info : .debug, "session ended", metadata: metadata)
        let handler = handler
        self.handler = nil
        handler?.closed(self, closure)
    }

    // MARK: The timer

    /// Sees to it that the timer fires in time; one that fires early asks again.
    private func arm(_ state: inout State) {
        guard let next = state.machine.nextDeadline else {
            guard state.armed != nil else { return }
            state.armed = nil
            return server.timers.disarm(self)
        }
        if let armed = state.armed, armed <= next { return }
        state.armed = next
        server.timers.arm(self, at: next)
    }

    /// The wheel's thread: it may be time.
    package func timerFired() {
        let heard = Timestamp(nanoseconds: heardDirectly.load(ordering: .relaxed))
        state.withLock { $0.armed = nil }
        run { machine, now in
            machine.heard(at: heard)
            machine.timerFired(at: now)
        }
    }
}

extension SessionMachine.Action {
    fileprivate var isUpgrade: Bool { if case .upgraded = self { true } else { false } }
    fileprivate var isSend: Bool { if case .send = self { true } else { false } }
}
