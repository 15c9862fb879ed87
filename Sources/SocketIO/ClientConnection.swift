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
        /// The namespaces that wait for somebody's decision.
        var joining: [String] = []
        /// Who decides.
        var deciding: [String: Task<Void, Never>] = [:]
        /// The namespaces that the client was in: what it sent before it knew is nothing wrong.
        var left: [String] = []
        var timeout: Timeout?
        var isClosed = false
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
        let (sockets, timeout, deciding) = state.withLockedValue { state in
            defer { state.deciding = [:] }
            state.isClosed = true
            return (state.sockets, state.timeout.take(), state.deciding)
        }
        timeout?.cancel()
        for task in deciding.values { task.cancel() }
        for socket in sockets { socket.leave(SocketIODisconnectReason(closure.reason)) }
    }

    // MARK: Packets

    private func handle(_ packet: SocketIOPacket, size: Int) {
        if case .connect(let auth) = packet.content { return join(packet.namespace, auth.map { .object($0) } ?? .object([:])) }
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

    private func join(_ name: String, _ auth: SocketIOValue) {
        enum Plan { case join, twice, tooMany, gone }
        let plan: Plan = state.withLockedValue { state in
            if state.isClosed { return .gone }
            if state.joining.contains(name) || state.sockets.contains(where: { $0.namespace.name == name }) { return .twice }
            if state.sockets.count + state.joining.count >= configuration.maxNamespaces { return .tooMany }
            state.joining.append(name)
            return .join
        }
        switch plan {
        case .gone: break
        case .twice: fail("the client joined a namespace that it is in already", nil)
        case .tooMany: refuse(name, SocketIOError("too many namespaces"))
        case .join:
            if let namespace = server.existingNamespace(name), namespace.admitsAnybody {
                admit(namespace, auth, nil)
            } else {
                let task = Task(executorPreference: session.webSocket?.taskExecutor) { await self.decide(name, auth) }
                let isLate = state.withLockedValue { state in
                    if state.joining.contains(name) { state.deciding[name] = task }
                    return state.isClosed
                }
                if isLate { task.cancel() }
            }
        }
    }

    private nonisolated(nonsending) func decide(_ name: String, _ auth: SocketIOValue) async {
        guard let namespace = await server.namespace(name, auth, session) else {
            return refuse(name, SocketIOError("Invalid namespace"))
        }
        let recovered = await namespace.recover(auth)
        let socket = SocketIOSocket(self, namespace, auth: auth, recovered: recovered)
        if recovered == nil || configuration.recovery?.skipMiddlewares == false {
            do {
                try await namespace.judge(socket)
            } catch {
                if !(error is SocketIOError || error is CancellationError && Task.isCancelled) {
                    configuration.logger.error("a middleware threw: \(error)", metadata: ["namespace": "\(name)"])
                }
                return refuse(name, .shown(of: error))
            }
        }
        admit(socket, recovered)
    }

    private func admit(_ namespace: SocketIONamespace, _ auth: SocketIOValue, _ recovered: RecoveredSession?) {
        admit(SocketIOSocket(self, namespace, auth: auth, recovered: recovered), recovered)
    }

    private func admit(_ socket: SocketIOSocket, _ recovered: RecoveredSession?) {
        let name = socket.namespace.name
        let (isOpen, timeout) = state.withLockedValue { state in
            state.joining.removeAll { $0 == name }
            state.deciding[name] = nil
            guard !state.isClosed else { return (false, nil as Timeout?) }
            state.sockets.append(socket)
            state.left.removeAll { $0 == name }
            return (true, state.timeout.take())
        }
        timeout?.cancel()
        guard isOpen else {
            // It has gone again, and may come back once more.
            if let recovered { socket.namespace.adapter.giveBack(recovered.session) }
            return
        }
        socket.namespace.add(socket, recovered)
    }

    private func refuse(_ name: String, _ error: SocketIOError) {
        let isClosed = state.withLockedValue { state in
            state.joining.removeAll { $0 == name }
            state.deciding[name] = nil
            return state.isClosed
        }
        guard !isClosed else { return }
        let packet = SocketIOPacket(namespace: name, content: .connectError(error.payload))
        guard let messages = try? configuration.parser.encode(packet) else { return }
        _ = send(messages, .automatic)
    }

    // MARK: Leaving

    func remove(_ socket: SocketIOSocket) {
        let name = socket.namespace.name
        state.withLockedValue { state in
            guard let index = state.sockets.firstIndex(where: { $0 === socket }) else { return }
            state.sockets.remove(at: index)
            guard !state.isClosed else { return }
            if state.left.count >= configuration.maxNamespaces { state.left.removeFirst() }
            state.left.append(name)
        }
    }

    /// Has all sockets leave, and closes the connection.
    func disconnectAll() {
        // Told first, so that the client does not take it for a lost connection and come back.
        for socket in state.withLockedValue({ $0.sockets }) { socket.disconnectNow() }
        session.close()
    }
}
