// One client's connection: the sockets of all the namespaces that it is in share it. Socket.IO protocol 5, "Exchange protocol".

import EngineIO
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Synchronization
import WebSockets

/// A client's connection, beneath its sockets.
///
/// `@unchecked Sendable`: `decoder` is touched only by the session's callbacks, which come one after another; the rest is constant, atomic, or
/// behind a lock.
final class ClientConnection: EngineIOHandler, @unchecked Sendable {
    private struct State {
        /// One for each namespace; most clients have one.
        var sockets: [SocketIOSocket] = []
        /// The CONNECTs that have not been answered yet, in their order.
        var joining: [Joining] = []
        /// The number of the last one.
        var lastJoining = 0
        /// The namespaces that the client was in: what it sent before it knew is nothing wrong.
        var left: [String] = []
        var timeout: Timeout?
        var isClosed = false
    }

    /// A CONNECT that has not been answered yet.
    private struct Joining {
        let number: Int
        let name: String
        /// The task that runs the middlewares.
        var task: Task<Void, Never>?
        /// The socket that the middlewares see, once there is one.
        var socket: SocketIOSocket?
    }

    let server: SocketIOServer
    let session: EngineIOSession
    private let state = NIOLockedValueBox(State())
    private var decoder: any SocketIOPacketDecoder & ~Copyable
    private let outgoing = Atomic<Bool>(false)

    init(_ server: SocketIOServer, _ session: EngineIOSession) {
        self.server = server
        self.session = session
        decoder = server.configuration.parser.makeDecoder()
    }

    private var configuration: SocketIOConfiguration { server.configuration }

    /// Whether any of its sockets wants to see what is sent.
    var anyoneSeesOutgoing: Bool { outgoing.load(ordering: .relaxed) }
    func seesOutgoing() {
        outgoing.store(true, ordering: .relaxed)
        server.seesOutgoing()
    }

    // MARK: The session

    func opened(_ session: EngineIOSession) {
        // > "the server MUST close the connection" if no CONNECT comes (Node's `connectTimeout`).
        let timeout = server.timers.call(after: configuration.connectTimeout) { [weak self] in self?.joinedNothing() }
        state.withLockedValue { $0.timeout = timeout }
    }

    /// It is asked once, as Node does it: who joins and leaves again stays connected, and who is still being judged has not joined.
    private func joinedNothing() {
        guard state.withLockedValue({ $0.sockets.isEmpty }) else { return }
        configuration.logger.debug("a client joined no namespace in time (limit connectTimeout)")
        session.close(.init(rawValue: SocketIODisconnectReason.forcedServerClose.rawValue))
    }

    func received(_ message: Message, from session: EngineIOSession) {
        do throws(SocketIOParseError) {
            guard let packet = try decoder.add(message) else { return }
            handle(packet, size: message.payload.readableBytes)
        } catch {
            fail("the client \(error)", error)
        }
    }

    func upgraded(_ session: EngineIOSession) {
        for socket in state.withLockedValue({ $0.sockets }) { socket.namespace.adapter.transportChanged(socket) }
    }

    func closed(_ session: EngineIOSession, _ closure: EngineIOClosure) {
        let (sockets, timeout, joining) = state.withLockedValue { state in
            defer { state.joining = [] }
            state.isClosed = true
            return (state.sockets, state.timeout.take(), state.joining)
        }
        timeout?.cancel()
        let reason = SocketIODisconnectReason(closure.reason)
        withdraw(joining, reason)
        for socket in sockets { socket.leave(reason) }
    }

    // MARK: Packets

    private func handle(_ packet: SocketIOPacket, size: Int) {
        if case .connect(let auth) = packet.content { return join(packet.namespace, auth.map { .object($0) } ?? .object([:])) }
        if case .disconnect = packet.content, withdraw(packet.namespace) { return }
        let (socket, hasLeft) = state.withLockedValue { state in
            let socket = state.sockets.first { $0.namespace.name == packet.namespace }
            return (socket, socket == nil && state.left.contains(packet.namespace))
        }
        guard let socket else {
            if !hasLeft { fail("the client sent a packet to a namespace that it had not joined", nil) }
            return
        }
        switch packet.content {
        case .event(let values, let id): socket.receive(values, id: id, size: size)
        case .ack(let values, let id): socket.answer(id, .success(values))
        case .disconnect: socket.leave(.clientNamespaceDisconnect)
        case .connect, .connectError: fail("the client sent a packet that only servers send", nil)
        }
    }

    /// The client broke the protocol: its connection is closed.
    private func fail(_ why: String, _ error: (any Error)?) {
        configuration.logger.info("\(why): its connection is closed", metadata: ["sid": "\(session.id)"])
        session.close(.parseError)
    }

    /// Sends a packet's messages, with none of another's between.
    func send(_ messages: SocketIOMessages, _ compression: MessageCompression) -> Bool {
        guard !messages.attachments.isEmpty else {
            return session.send(compression == .automatic ? messages.first : messages.first.compressed(compression))
        }
        return session.send(messages.map { $0.compressed(compression) })
    }

    // MARK: Joining

    // As in Node, a CONNECT that comes while an earlier one to the same namespace is with the middlewares is no mistake: the client has given
    // up the first one, as React does in strict mode. Both run through the middlewares, both are answered, and the socket that is let in last
    // takes the place of the other (which in Node stays, and gets every broadcast as well).

    private func join(_ name: String, _ auth: SocketIOValue) {
        enum Plan { case join(Int), twice, tooMany, gone }
        let plan: Plan = state.withLockedValue { state in
            if state.isClosed { return .gone }
            if state.sockets.contains(where: { $0.namespace.name == name }) { return .twice }
            if state.sockets.count + state.joining.count >= configuration.maxNamespaces { return .tooMany }
            state.lastJoining += 1
            state.joining.append(Joining(number: state.lastJoining, name: name))
            return .join(state.lastJoining)
        }
        switch plan {
        case .gone: break
        case .twice: fail("the client joined a namespace that it is in already", nil)
        case .tooMany: refuse(name, SocketIOError("too many namespaces"))
        case .join(let number):
            if let namespace = server.existingNamespace(name), namespace.admitsAnybody, namespace.reserve() {
                admit(number, SocketIOSocket(self, namespace, auth: auth, recovered: nil), nil)
                namespace.release()
            } else {
                let task = Task(executorPreference: session.webSocket?.taskExecutor) { await self.decide(number, name, auth) }
                let isLate = !change(number) { $0.task = task }
                if isLate { task.cancel() }
            }
        }
    }

    /// Changes a CONNECT that has not been answered; false if it has been, or nobody waits for the answer.
    private func change(_ number: Int, _ body: (inout Joining) -> Void) -> Bool {
        state.withLockedValue { state in
            guard let index = state.joining.firstIndex(where: { $0.number == number }) else { return false }
            body(&state.joining[index])
            return true
        }
    }

    private nonisolated(nonsending) func decide(_ number: Int, _ name: String, _ auth: SocketIOValue) async {
        guard let namespace = await server.reserveNamespace(name, auth, session) else {
            if finish(number) { refuse(name, SocketIOError("Invalid namespace")) }
            return
        }
        defer { namespace.release() }
        let recovered = await namespace.recover(auth)
        let socket = SocketIOSocket(self, namespace, auth: auth, recovered: recovered)
        guard change(number, { $0.socket = socket }) else { return isGone(socket, recovered) }
        if recovered == nil || configuration.recovery?.skipMiddlewares == false {
            do {
                try await namespace.judge(socket)
            } catch {
                if !(error is SocketIOError || error is CancellationError && Task.isCancelled) {
                    configuration.logger.error("a middleware threw: \(error)", metadata: ["namespace": "\(name)"])
                }
                guard finish(number) else { return isGone(socket, recovered) }
                // Before the answer: a client that knows that it is refused is in nothing any more.
                socket.leave(.serverNamespaceDisconnect)
                return refuse(name, .shown(of: error))
            }
        }
        admit(number, socket, recovered)
    }

    /// The client has gone before it was let in.
    private func isGone(_ socket: SocketIOSocket, _ recovered: RecoveredSession?) {
        socket.leave(.transportClose)
        // It may come back once more, unless it has left of its own will.
        guard let recovered, state.withLockedValue({ $0.isClosed }) else { return }
        socket.namespace.adapter.giveBack(recovered.session)
    }

    private func admit(_ number: Int, _ socket: SocketIOSocket, _ recovered: RecoveredSession?) {
        let name = socket.namespace.name
        let (isOpen, timeout, replaced) = state.withLockedValue { state in
            guard let index = state.joining.firstIndex(where: { $0.number == number }) else {
                return (false, nil as Timeout?, nil as SocketIOSocket?)
            }
            state.joining.remove(at: index)
            let old = state.sockets.firstIndex { $0.namespace.name == name }
            let replaced = old.map { state.sockets.remove(at: $0) }
            state.sockets.append(socket)
            state.left.removeAll { $0 == name }
            return (true, state.timeout.take(), replaced)
        }
        timeout?.cancel()
        guard isOpen else { return isGone(socket, recovered) }
        replaced?.leave(.clientNamespaceDisconnect)
        guard !socket.namespace.add(socket, recovered) else { return }
        // The program has disconnected it meanwhile, or what it missed is not known any more.
        socket.leave(.transportError)
        remove(socket)
    }

    /// Takes a CONNECT off the list, to be answered; false if nobody waits for the answer.
    private func finish(_ number: Int) -> Bool {
        state.withLockedValue { state in
            guard let index = state.joining.firstIndex(where: { $0.number == number }) else { return false }
            state.joining.remove(at: index)
            return true
        }
    }

    private func refuse(_ name: String, _ error: SocketIOError) {
        let packet = SocketIOPacket(namespace: name, content: .connectError(error.payload))
        guard let messages = try? configuration.parser.encode(packet) else { return }
        _ = send(messages, .automatic)
    }

    /// The client leaves a namespace: it does not wait for the answers to its CONNECTs any more.
    ///
    /// - Returns: whether that was all there was to leave.
    private func withdraw(_ name: String) -> Bool {
        let (withdrawn, isAll) = state.withLockedValue { state -> ([Joining], Bool) in
            let withdrawn = state.joining.filter { $0.name == name }
            guard !withdrawn.isEmpty else { return ([], false) }
            state.joining.removeAll { $0.name == name }
            guard !state.sockets.contains(where: { $0.namespace.name == name }) else { return (withdrawn, false) }
            hasLeft(name, &state)
            return (withdrawn, true)
        }
        withdraw(withdrawn, .clientNamespaceDisconnect)
        return isAll
    }

    private func withdraw(_ joining: [Joining], _ reason: SocketIODisconnectReason) {
        for joining in joining {
            joining.task?.cancel()
            joining.socket?.leave(reason)
        }
    }

    // MARK: Leaving

    func remove(_ socket: SocketIOSocket) {
        let name = socket.namespace.name
        state.withLockedValue { state in
            guard let index = state.sockets.firstIndex(where: { $0 === socket }) else { return }
            state.sockets.remove(at: index)
            if !state.isClosed { hasLeft(name, &state) }
        }
    }

    private func hasLeft(_ name: String, _ state: inout State) {
        if state.left.count >= configuration.maxNamespaces { state.left.removeFirst() }
        state.left.append(name)
    }

    /// Has all sockets leave, and closes the connection.
    func disconnectAll() {
        // Told first, so that the client does not take it for a lost connection and come back.
        for socket in state.withLockedValue({ $0.sockets }) { socket.disconnectNow() }
        session.close()
    }
}
