// From a packet to a client's handlers: Socket.IO protocol 5, "Sending and receiving data".
//
// Everything is handled in a task that takes one thing after the other and ends with the last of them. So no call of the program's runs a
// handler in its middle, and an idle socket has no task.

import EngineIO
import Logging
import NIOConcurrencyHelpers

extension SocketIOClientSocket {
    // MARK: Handlers

    func add(_ event: String?, _ handler: EventHandler<SocketIOClientSocket>, once: Bool = false) -> SocketIOHandlerID {
        if let event, SocketIOPacket.isReserved(event) {
            logger.error("\"\(event)\" is reserved, and no server sends it: use onConnect and its like instead of on(\"\(event)\")")
        }
        let id = SocketIOHandlerID()
        state.withLockedValue { $0.handlers.add(event, handler, once: once, id: id) }
        return id
    }

    /// Removes the handlers of an event.
    public func off(_ event: String) { change { $0.remove(event) } }

    /// Removes one handler, by what `on`, `once` or `onAny` returned.
    public func off(id: SocketIOHandlerID) { change { $0.remove(id) } }

    /// Removes what `onAny` added.
    public func offAny() { change { $0.remove(nil) } }

    private func change(_ body: (inout EventHandlers<SocketIOClientSocket>) -> Void) {
        let old = state.withLockedValue { state in
            let old = state.handlers
            body(&state.handlers)
            return old
        }
        // Freed here, and not under the lock: what the closures hold may ask this socket something when it goes.
        withExtendedLifetime(old) {}
    }

    /// Removes all closures: those of events, and `onConnect` and its like.
    public func off() {
        let old = state.withLockedValue { state in
            let old = state
            state.handlers = EventHandlers<SocketIOClientSocket>()
            (state.onConnect, state.onConnectError, state.onDisconnect, state.onError, state.outgoing) = ([], [], [], [], [])
            return old
        }
        // Freed here, and not under the lock: what the closures hold may ask this socket something when it goes.
        withExtendedLifetime(old) {}
    }

    /// Is told whenever the socket has connected (`connect`), in its turn with events: what it missed, if it is recovered, comes before.
    public func onConnect(_ body: @escaping @Sendable () -> Void) { state.withLockedValue { $0.onConnect.append(body) } }

    /// Is told whenever the socket could not connect (`connect_error`).
    public func onConnectError(_ body: @escaping @Sendable (SocketIOConnectError) -> Void) {
        state.withLockedValue { $0.onConnectError.append(body) }
    }

    /// Is told whenever the socket was connected and is no more (`disconnect`); after all events before.
    public func onDisconnect(_ body: @escaping @Sendable (SocketIODisconnectReason) -> Void) {
        state.withLockedValue { $0.onDisconnect.append(body) }
    }

    /// Is told of events whose arguments do not fit (`SocketIOArgumentError`), of what handlers throw, and of what could not be sent
    /// (`SocketIOUsageError`, `SocketIOAckError` for want of room).
    public func onError(_ body: @escaping @Sendable (any Error) -> Void) { state.withLockedValue { $0.onError.append(body) } }

    /// Sees every event that is sent.
    public func onAnyOutgoing(_ body: @escaping @Sendable (SocketIOEvent) -> Void) { state.withLockedValue { $0.outgoing.append(body) } }

    // MARK: What the machine asks for

    func perform(_ action: ClientSocketMachine.Action) {
        switch action {
        case .authenticate(let number): authenticate(number)
        case .retryAuthentication(let number, let delay): authenticate(number, after: delay)
        case .deliver(let values, let id, let epoch, let size):
            deliver(SocketIOEvent(values: values, acknowledgement: id.map { SocketIOAcknowledgement(self, id: $0, epoch: epoch) }), size)
        case .connected:
            state.withLockedValue { $0.lastError = nil }
            tell(\.onConnect) { $0() }
        case .connectError(let error):
            state.withLockedValue { $0.lastError = error }
            tell(\.onConnectError) { $0(error) }
        case .disconnected(let reason): tell(\.onDisconnect) { $0(reason) }
        case .answer(let answer, let result): answer(result)
        case .arm(let id, let time): arm(id, time)
        case .disarm(let id): state.withLockedValue { $0.timeouts.removeValue(forKey: id) }?.cancel()
        case .overflow(let what):
            logger.warning("\(what)", metadata: ["namespace": "\(namespace)"])
            failed(SocketIOAckError(.notSent))
        case .stateChanged(let new): changed(new)
        case .inactive: endAuthentication()
        case .openConnection, .send, .flooded: break
        }
    }

    private func authenticate(_ number: Int) {
        let auth = state.withLockedValue { $0.auth } ?? client.configuration.auth
        if let other = client.connection?.otherOrigin, !auth.isNone { return withhold(number, other) }
        switch auth {
        case .none: authenticated(number, nil)
        case .value(let object): authenticated(number, object)
        case .closure(let body):
            let task = Task {
                do { authenticated(number, try await body()) } catch { notAuthenticated(number, error) }
            }
            endAuthentication(task)
        }
    }

    private func withhold(_ number: Int, _ other: String) {
        let text = "the server redirected to \(other), another origin, which does not get the auth for this one: connect there directly"
        client.run { client in
            machine.withheld(number, SocketIOConnectError(.auth, text))
            client.take(from: self)
        }
    }

    /// Ends what is under way for an earlier connect.
    private func endAuthentication(_ next: Task<Void, Never>? = nil, _ delay: Timeout? = nil) {
        let (task, timeout) = state.withLockedValue { state in
            let old = (state.authTask, state.authDelay)
            (state.authTask, state.authDelay) = (next, delay)
            return old
        }
        task?.cancel()
        timeout?.cancel()
    }

    private func authenticated(_ number: Int, _ auth: SocketIOObject?) {
        client.run { client in
            machine.authenticated(number, auth)
            client.take(from: self)
        }
    }

    private func notAuthenticated(_ number: Int, _ error: any Error) {
        let random = Double.random(in: 0...1)
        client.run { client in
            machine.notAuthenticated(number, error, random: random)
            client.take(from: self)
        }
    }

    private func authenticate(_ number: Int, after delay: Duration) {
        let timeout = SocketIOClient.timers.call(after: delay) { [weak self] in
            guard let self else { return }
            client.run { client in
                self.machine.authenticateAgain(number)
                client.take(from: self)
            }
        }
        endAuthentication(nil, timeout)
    }

    private func arm(_ id: Int, _ time: Duration) {
        let timeout = SocketIOClient.timers.call(after: time) { [weak self] in
            guard let self else { return }
            client.run { client in
                self.machine.timedOut(id)
                client.take(from: self)
            }
        }
        state.withLockedValue { $0.timeouts[id] = timeout }
    }

    private func changed(_ new: SocketIOConnectionState) {
        for feed in state.withLockedValue({ Array($0.stateFeeds.values) }) { feed.yield(new) }
        switch new {
        case .connecting: break
        case .connected: resumeWaiters(new, .success(()))
        case .disconnected(let reason):
            let error = state.withLockedValue { $0.lastError.take() }
            resumeWaiters(new, .failure(error ?? SocketIOConnectError(.disconnected, reason?.rawValue ?? "the socket was disconnected")))
        }
    }

    // MARK: Arriving

    private func deliver(_ event: SocketIOEvent, _ size: Int) {
        feed(event, size)
        let limit = client.configuration.maxPendingBytes
        let (starts, isFull) = state.withLockedValue { state in
            guard !state.handlers.isEmpty else { return (false, false) }
            return (state.queue.add(.event(event, size: size)), state.queue.bytes > limit)
        }
        if starts { startTask() }
        if isFull { client.flooded(self) }
    }

    /// Has observers told in their turn, behind the events that have arrived.
    private func tell<Observer: Sendable>(_ path: any KeyPath<State, [Observer]> & Sendable, _ call: @escaping @Sendable (Observer) -> Void)
    {
        enqueue { [self] in
            for observer in state.withLockedValue({ $0[keyPath: path] }) { call(observer) }
        }
    }

    private func enqueue(_ body: @escaping @Sendable () async -> Void) {
        if state.withLockedValue({ $0.queue.add(.call(body)) }) { startTask() }
    }

    private func startTask() {
        Task {
            while let job = state.withLockedValue({ $0.queue.next() }) {
                switch job {
                case .call(let body): await body()
                case .event(let event, _): await handle(event)
                }
            }
        }
    }

    private func handle(_ event: SocketIOEvent) async {
        let name = event.name
        let matches = state.withLockedValue { state in
            var matches = EventHandlers<SocketIOClientSocket>.Matches()
            if state.handlers.collect(name, into: &matches) { state.handlers.removeOnce(name) }
            return matches
        }
        if let first = matches.first { await call(first, event) }
        for handler in matches.others { await call(handler, event) }
    }

    private func call(_ handler: EventHandler<SocketIOClientSocket>, _ event: SocketIOEvent) async {
        do {
            switch handler {
            case .sync(let body): try body(self, event)
            case .async(let body): try await body(self, event)
            }
        } catch {
            logger.log(
                level: error is SocketIOArgumentError || error is SocketIOError ? .debug : .error, "an event failed: \(error)",
                metadata: ["namespace": "\(namespace)", "event": "\(event.name)"])
            event.acknowledge(with: [SocketIOError.shown(of: error).answer])
            failed(error)
        }
    }

    func failed(_ error: any Error) { tell(\.onError) { $0(error) } }
}
