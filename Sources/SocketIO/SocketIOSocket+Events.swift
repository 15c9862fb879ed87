// From a packet to the handlers: Socket.IO protocol 5, "Sending and receiving data".
//
// What is handled by plain closures is handled where it arrives. What awaits something, and whatever comes behind that, goes through a queue, and
// one task takes one thing after the other; it ends with the last of them, so that an idle socket has no task.

import EngineIO
import Logging
import NIOConcurrencyHelpers
import WebSockets

extension SocketIOSocket {
    // MARK: Handlers

    func add(_ event: String?, _ handler: EventHandler<SocketIOSocket>, once: Bool = false) -> SocketIOHandlerID {
        if let event, SocketIOPacket.isReserved(event) {
            logger.error("\"\(event)\" is reserved, and no client sends it: use onDisconnect and its like instead of on(\"\(event)\")")
        }
        // One that has left hears nothing any more, and has forgotten its handlers.
        let id = SocketIOHandlerID()
        state.withLockedValue { if $0.phase != .disconnected { $0.handlers.add(event, handler, once: once, id: id) } }
        return id
    }

    /// Removes the handlers of an event that were added to this socket.
    public func off(_ event: String) { change { $0.remove(event) } }

    /// Removes one handler, by what `on`, `once` or `onAny` returned.
    public func off(id: SocketIOHandlerID) { change { $0.remove(id) } }

    /// Removes what `onAny` added.
    public func offAny() { change { $0.remove(nil) } }

    private func change(_ body: (inout EventHandlers<SocketIOSocket>) -> Void) {
        let old = state.withLockedValue { state in
            let old = state.handlers
            body(&state.handlers)
            return old
        }
        // Freed here, and not under the lock: what the closures hold may ask this socket something when it goes.
        withExtendedLifetime(old) {}
    }

    /// Judges every event of this socket before its handlers see it; one that throws stops the event, and `onError` is told.
    public func use(_ middleware: @escaping @Sendable (SocketIOEvent) async throws -> Void) {
        withRare { $0.middlewares.append(middleware) }
    }

    /// Sees every event that is sent to this socket by itself or by a broadcast.
    public func onAnyOutgoing(_ body: @escaping @Sendable (SocketIOEvent) -> Void) {
        withRare { $0.outgoing.append(body) }
        client.seesOutgoing()
    }

    /// Is told when the socket is about to leave its namespace; it is still in its rooms.
    public func onDisconnecting(_ body: @escaping @Sendable (SocketIODisconnectReason) -> Void) {
        withRare { $0.onDisconnecting.append(body) }
    }

    /// Is told when the socket has left its namespace; after all events before.
    public func onDisconnect(_ body: @escaping @Sendable (SocketIODisconnectReason) -> Void) { withRare { $0.onDisconnect.append(body) } }

    /// Is told of events whose arguments do not fit (`SocketIOArgumentError`), and of what middlewares and handlers throw.
    public func onError(_ body: @escaping @Sendable (any Error) -> Void) { withRare { $0.onError.append(body) } }

    // MARK: Arriving

    private enum Plan {
        case handle(EventHandlers<SocketIOSocket>.Matches)
        case start
        case wait
        case tooMuch
        case gone
    }

    /// Takes an event; called by the connection, one packet at a time.
    func receive(_ values: [SocketIOValue], id: Int?, size: Int) {
        let event = SocketIOEvent(values: values, acknowledgement: id.map { SocketIOAcknowledgement(self, id: $0) })
        let common = namespace.handlers
        let name = event.name
        let limit = server.configuration.maxPendingBytes
        let plan: Plan = state.withLockedValue { state in
            guard state.phase == .connected else { return .gone }
            if state.queue.isIdle && state.rare?.middlewares.isEmpty != false {
                let matches = Self.matches(name, &state, common)
                if matches.areSync { return .handle(matches) }
            }
            if state.queue.bytes > limit { return .tooMuch }
            return state.queue.add(.event(event, size: size)) ? .start : .wait
        }
        switch plan {
        case .handle(let matches):
            if let first = matches.first { call(first, event) }
            for handler in matches.others { call(handler, event) }
        case .start: startTask()
        case .wait, .gone: break
        case .tooMuch:
            logger.info(
                "a client sent more events than its handlers keep up with: over \(limit) bytes wait (limit maxPendingBytes)",
                metadata: ["socket": "\(self.id)", "event": "\(name)"])
            client.session.close(.transportError)
        }
    }

    private static func matches(
        _ name: String, _ state: inout State, _ common: EventHandlers<SocketIOSocket>
    ) -> EventHandlers<SocketIOSocket>.Matches {
        var matches = EventHandlers<SocketIOSocket>.Matches()
        _ = common.collect(name, into: &matches)
        if !state.handlers.isEmpty, state.handlers.collect(name, into: &matches) { state.handlers.removeOnce(name) }
        return matches
    }

    private func call(_ handler: EventHandler<SocketIOSocket>, _ event: SocketIOEvent) {
        guard case .sync(let body) = handler else { return }
        do { try body(self, event) } catch { failed(error, event) }
    }

    // MARK: The task

    /// Has something done in its turn, behind the events that have arrived.
    func enqueue(_ body: @escaping @Sendable () async -> Void) {
        if state.withLockedValue({ $0.queue.add(.call(body)) }) { startTask() }
    }

    private func startTask() {
        // On the connection's own thread where there is one, so that what the handlers say leaves in one write.
        Task(executorPreference: client.session.webSocket?.taskExecutor) {
            while let job = self.state.withLockedValue({ $0.queue.next() }) {
                switch job {
                case .call(let body): await body()
                case .event(let event, _): await self.handle(event)
                }
            }
        }
    }

    private nonisolated(nonsending) func handle(_ event: SocketIOEvent) async {
        let common = namespace.handlers
        let name = event.name
        let middlewares = state.withLockedValue { $0.rare?.middlewares ?? [] }
        do {
            for middleware in middlewares { try await middleware(event) }
        } catch {
            return failed(error, event)
        }
        let matches = state.withLockedValue { Self.matches(name, &$0, common) }
        if let first = matches.first { await callInTask(first, event) }
        for handler in matches.others { await callInTask(handler, event) }
    }

    private nonisolated(nonsending) func callInTask(_ handler: EventHandler<SocketIOSocket>, _ event: SocketIOEvent) async {
        do {
            switch handler {
            case .sync(let body): try body(self, event)
            case .async(let body): try await body(self, event)
            }
        } catch {
            failed(error, event)
        }
    }

    private func failed(_ error: any Error, _ event: SocketIOEvent) {
        let isClients = error is SocketIOError || error is SocketIOArgumentError
        logger.log(
            level: isClients ? .debug : .error, "an event failed: \(error)", metadata: ["socket": "\(id)", "event": "\(event.name)"])
        event.acknowledge(with: [SocketIOError.shown(of: error).answer])
        for observer in state.withLockedValue({ $0.rare?.onError ?? [] }) { observer(error) }
    }

    // MARK: The end

    /// Leaves the namespace, whoever caused it; once.
    func leave(_ reason: SocketIODisconnectReason) {
        let was: (phase: Phase, rare: Rare?)? = state.withLockedValue { state in
            guard state.phase != .disconnected else { return nil }
            let was = state.phase
            state.phase = .disconnected
            // What a client said before it left is heard; what comes in behind this program's back is not.
            if reason == .serverNamespaceDisconnect { state.queue.removeEvents() }
            return (was, was == .connected ? state.rare : nil)
        }
        guard let was else { return }
        let rare = was.rare
        for observer in rare?.onDisconnecting ?? [] { observer(reason) }
        // One that was never let in is on nobody's list.
        if was.phase == .connected {
            namespace.remove(self, reason)
            client.remove(self)
        }
        let acks = state.withLockedValue { state in
            defer { state.rare?.acks = [:] }
            return state.rare?.acks ?? [:]
        }
        for answer in acks.values { answer(.failure(SocketIOAckError(.disconnected))) }
        let end: @Sendable () -> Void = {
            for observer in rare?.onDisconnect ?? [] { observer(reason) }
            self.forget()
        }
        if state.withLockedValue({ $0.queue.isIdle }) { end() } else { enqueue(end) }
    }

    /// Forgets all closures: most of them hold the socket that holds them.
    private func forget() {
        let forgotten = state.withLockedValue { state in
            let forgotten = (state.handlers, state.rare)
            state.handlers = EventHandlers<SocketIOSocket>()
            state.rare = state.rare?.data.map { Rare(data: $0) }
            return forgotten
        }
        // Freed here, and not under the lock: what the closures hold may ask this socket something when it goes.
        withExtendedLifetime(forgotten) {}
    }
}
