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

    /// The WebSocket, if what is sent can go to it without asking anybody.
    ///
    /// On its thread only: what other threads send takes its place by the lock, and is given to the socket in that order.
    @inline(__always)
    var directSocket: WebSocket? {
        guard isDirect.load(ordering: .acquiring), let socket = socket.load(), socket.isOnThread else { return nil }
        return socket
    }

    /// Tells the machine of an event, and has done what it asks for.
    func run(_ event: (inout Machine, Timestamp) -> Void) {
        switch decide(event) {
        case .nobody: break
        case .caller: perform()
        case .thread(let socket): socket.perform { self.perform() }
        }
    }

    /// Sends a message; if that is for a WebSocket's thread to do, the caller is to have it call `perform`.
    func sendLater(_ prepared: EngineIOPreparedMessage) -> WebSocket? {
        if let socket = directSocket {
            Outgoing.prepared(prepared).send(over: socket, supportsBinary: supportsBinary)
            return nil
        }
        switch decide({ _ = $0.send([.prepared(prepared)], at: $1) }) {
        case .nobody: return nil
        case .caller: perform()
        case .thread(let socket): return socket
        }
        return nil
    }

    private func decide(_ event: (inout Machine, Timestamp) -> Void) -> Performer {
        let now = EngineIOServer.now
        return state.withLock { state in
            event(&state.machine, now)
            arm(&state)
            guard state.machine.hasActions, !state.isPerforming else { return .nobody }
            state.isPerforming = true
            // Until all is done, nothing passes by.
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
            case .perform(let actions): for action in actions { perform(action) }
            case .handOver(let socket): return socket.perform { self.perform() }
            case .done: return
            }
        }
    }

    private func nextStep() -> Step {
        state.withLock { state in
            if let socket = state.machine.socket {
                _ = self.socket.storeIfNil(socket)
                // The upgrade came while another thread was at it.
                if !socket.isOnThread { return .handOver(socket) }
            }
            let actions = state.machine.takeActions()
            guard actions.isEmpty else { return .perform(actions) }
            state.isPerforming = false
            isDirect.store(state.machine.directSocket != nil, ordering: .releasing)
            return .done
        }
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
