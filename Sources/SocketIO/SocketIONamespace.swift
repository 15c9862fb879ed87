// A namespace: its sockets, who is let in, and what is said to all of them. Socket.IO protocol 5, "Connection to a namespace".

import EngineIO
import Logging
import NIOConcurrencyHelpers
import Synchronization

/// A namespace of a server: a channel of its own over the connections that all namespaces share.
///
/// `server.main` is the one that clients join unless they say otherwise; `server.of` makes others.
public final class SocketIONamespace: Sendable {
    private struct State {
        var sockets: [String: SocketIOSocket] = [:]
        var handlers = EventHandlers<SocketIOSocket>()
        var middlewares: [@Sendable (SocketIOSocket) async throws -> Void] = []
        var onConnection: [@Sendable (SocketIOSocket) throws -> Void] = []
        var onConnectionAsync: [@Sendable (SocketIOSocket) async throws -> Void] = []
        var onRoomEvent: (@Sendable (SocketIORoomEvent) -> Void)?
        var onExpired: (@Sendable (SocketIOSession) -> Void)?
        var serverHandlers: [String: @Sendable ([SocketIOValue]) async throws -> [SocketIOValue]] = [:]
        var adapter: (any SocketIOAdapter)?
        /// How many clients are with the middlewares, or on their way to them.
        var arriving = 0
        /// Whether the server has forgotten it: nobody joins any more.
        var isClosed = false

        var isEmpty: Bool { sockets.isEmpty && arriving == 0 }
    }

    /// The name, `/` for the main one.
    public let name: String
    /// The server that it is a part of.
    public let server: SocketIOServer
    /// The parent whose pattern its name fits.
    let parent: SocketIOParentNamespace?
    private let state = NIOLockedValueBox(State())
    private let ids = Atomic<Int>(0)
    private let arrivals = Atomic<Int>(0)

    init(_ name: String, _ server: SocketIOServer, parent: SocketIOParentNamespace? = nil) {
        self.name = name
        self.server = server
        self.parent = parent
    }

    /// Makes the adapter; before anybody else knows of the namespace.
    func start() {
        let adapter = server.configuration.adapter(self)
        state.withLockedValue { $0.adapter = adapter }
    }

    private static let fallback = SocketIONoAdapter()

    /// Where its rooms are.
    public var adapter: any SocketIOAdapter { state.withLockedValue { $0.adapter } ?? Self.fallback }

    /// The number of the next acknowledgement that is asked for; no two of a namespace are the same at a time.
    func nextID() -> Int { ids.wrappingAdd(1, ordering: .relaxed).oldValue & SocketIOPacket.maxID }

    /// The number of the next socket: greater than those before.
    func nextArrival() -> Int { arrivals.wrappingAdd(1, ordering: .relaxed).oldValue }

    // MARK: Sockets

    /// How many of this node's sockets are in it.
    public var socketCount: Int { state.withLockedValue { $0.sockets.count } }
    /// This node's sockets, in no order.
    public var localSockets: [SocketIOSocket] { state.withLockedValue { Array($0.sockets.values) } }
    /// One of this node's sockets.
    public func socket(_ id: String) -> SocketIOSocket? { state.withLockedValue { $0.sockets[id] } }

    // MARK: Who is let in

    /// Keeps the namespace for a client that is about to join, until `release`; false if the server has forgotten it.
    func reserve() -> Bool {
        state.withLockedValue { state in
            guard !state.isClosed else { return false }
            state.arriving += 1
            return true
        }
    }

    /// The client has joined, or does not.
    func release() {
        let isEmpty = state.withLockedValue { state in
            state.arriving -= 1
            return state.isEmpty
        }
        if isEmpty && parent != nil { server.emptied(self) }
    }

    /// Closes a namespace that nobody is in, nor on the way to; false if somebody is.
    func closeIfEmpty() -> Bool {
        state.withLockedValue { state in
            guard state.isEmpty, !state.isClosed else { return false }
            state.isClosed = true
            return true
        }
    }

    /// Judges everybody who wants to join; whoever throws refuses, and the client is told of it (`connect_error`): a `SocketIOError` as it
    /// is, anything else as an internal error. They are asked in the order in which they were added.
    ///
    /// What belongs to the client can be kept by `SocketIOSocket.setData`.
    public func use(_ middleware: @escaping @Sendable (SocketIOSocket) async throws -> Void) {
        state.withLockedValue { $0.middlewares.append(middleware) }
    }

    /// Whether nobody has to be asked.
    var admitsAnybody: Bool { server.configuration.recovery == nil && state.withLockedValue { $0.middlewares.isEmpty } }

    nonisolated(nonsending) func judge(_ socket: SocketIOSocket) async throws {
        for middleware in state.withLockedValue({ $0.middlewares }) { try await middleware(socket) }
    }

    /// The session that a client names when it comes back.
    func recover(_ auth: SocketIOValue) async -> RecoveredSession? {
        guard server.configuration.recovery != nil, let privateID = auth["pid"]?.string, let offset = auth["offset"]?.string else {
            return nil
        }
        return await adapter.restore(privateID: privateID, offset: offset)
    }

    /// Registers a closure that is called for every socket that joins, on the thread of its connection; it adds what handles the socket's events.
    ///
    /// A closure that throws disconnects the socket ("io server disconnect" on the client), and no later one is called. The error is logged: a
    /// `SocketIOError` at debug, any other at error. To tell the client why, throw in `use` instead.
    public func onConnection(_ body: @escaping @Sendable (SocketIOSocket) throws -> Void) {
        state.withLockedValue { $0.onConnection.append(body) }
    }

    /// Registers a closure that awaits, for every socket that joins; the socket's events wait for its end. One that throws does what the
    /// other `onConnection` says.
    public func onConnection(_ body: @escaping @Sendable (SocketIOSocket) async throws -> Void) {
        state.withLockedValue { $0.onConnectionAsync.append(body) }
    }

    /// Lets a socket in: what it missed, the answer to its CONNECT, and then whoever wants to know.
    ///
    /// - Returns: whether it is in; false if it has left before.
    func add(_ socket: SocketIOSocket, _ recovered: RecoveredSession?) -> Bool {
        guard recovered.map({ readmit(socket, $0) }) ?? admit(socket) else { return false }
        var answer: SocketIOObject = ["sid": .string(socket.id)]
        if let privateID = socket.privateID { answer["pid"] = .string(privateID) }
        socket.sendNow(SocketIOPacket(namespace: name, content: .connect(answer)))
        if recovered != nil {
            socket.caughtUp()
            adapter.transportChanged(socket)
        }
        let (sync, async) = state.withLockedValue { ($0.onConnection, $0.onConnectionAsync) }
        do {
            for body in sync { try body(socket) }
        } catch {
            disconnect(socket, error)
            return true
        }
        guard !async.isEmpty else { return true }
        socket.enqueue { [self] in
            do {
                for body in async { try await body(socket) }
            } catch {
                disconnect(socket, error)
            }
        }
        return true
    }

    /// Disconnects a socket for which `onConnection` threw.
    private func disconnect(_ socket: SocketIOSocket, _ error: any Error) {
        server.configuration.logger.log(
            level: error is SocketIOError ? .debug : .error, "onConnection threw, so the socket is disconnected: \(error)",
            metadata: ["socket": "\(socket.id)", "namespace": "\(name)"])
        socket.disconnect()
    }

    private func admit(_ socket: SocketIOSocket) -> Bool {
        insert(socket)
        guard socket.state.withLockedValue({ $0.connect() }) else {
            state.withLockedValue { _ = $0.sockets.removeValue(forKey: socket.id) }
            return false
        }
        _ = adapter.join(socket, rooms: [])
        socket.joinRoomsOfMiddlewares()
        return true
    }

    /// Lets a socket that has come back in where it was, and sends what it missed.
    private func readmit(_ socket: SocketIOSocket, _ recovered: RecoveredSession) -> Bool {
        guard socket.state.withLockedValue({ $0.connect() }), let missed = adapter.rejoin(socket, recovered) else {
            notReadmitted(socket, recovered)
            return false
        }
        socket.joinRoomsOfMiddlewares()
        for event in missed { socket.sendNow(SocketIOPacket(namespace: name, content: .event(event, id: nil))) }
        return true
    }

    private func notReadmitted(_ socket: SocketIOSocket, _ recovered: RecoveredSession) {
        // It has gone again, and may come back once more.
        guard socket.isIn else { return adapter.giveBack(recovered.session) }
        server.configuration.logger.info(
            "what a client missed was dropped while it was let in (limit SocketIORecovery.maxBytes): it has to begin anew",
            metadata: ["socket": "\(socket.id)", "namespace": "\(name)"])
        socket.client.session.close(.transportError)
    }

    /// Has a socket be one of this node's.
    func insert(_ socket: SocketIOSocket) { state.withLockedValue { $0.sockets[socket.id] = socket } }

    func remove(_ socket: SocketIOSocket, _ reason: SocketIODisconnectReason) {
        let session = reason.isRecoverable && self.socket(socket.id) === socket ? socket.session : nil
        adapter.leaveAll(socket)
        if let session { adapter.persist(session) }
        let isEmpty = state.withLockedValue { state in
            if state.sockets[socket.id] === socket { state.sockets[socket.id] = nil }
            return state.isEmpty
        }
        if isEmpty && parent != nil { server.emptied(self) }
    }

    // MARK: Handlers

    var handlers: EventHandlers<SocketIOSocket> { state.withLockedValue { $0.handlers } }

    func add(_ event: String, _ handler: EventHandler<SocketIOSocket>) {
        if SocketIOPacket.isReserved(event) {
            server.configuration.logger.error("\"\(event)\" is reserved, and no client sends it: use onConnection and its like")
        }
        state.withLockedValue { $0.handlers.add(event, handler) }
    }

    /// Is told what happens to this node's rooms; called again, the new closure takes the old one's place.
    public func onRoomEvent(_ body: @escaping @Sendable (SocketIORoomEvent) -> Void) { state.withLockedValue { $0.onRoomEvent = body } }

    func tell(_ events: [SocketIORoomEvent]) {
        guard !events.isEmpty, let body = state.withLockedValue({ $0.onRoomEvent }) else { return }
        for event in events { body(event) }
    }

    /// Is told of sessions whose clients have not come back in time; see `SocketIORecovery`.
    public func onSessionExpired(_ body: @escaping @Sendable (SocketIOSession) -> Void) { state.withLockedValue { $0.onExpired = body } }

    func expired(_ session: SocketIOSession) { state.withLockedValue { $0.onExpired }?(session) }

    // MARK: Other nodes

    /// Handles an event that another node sends by `serverSideEmit`; what it returns answers that.
    public func onServerSideEvent(_ event: String, _ body: @escaping @Sendable ([SocketIOValue]) async throws -> [SocketIOValue]) {
        state.withLockedValue { $0.serverHandlers[event] = body }
    }

    /// Hands an event of another node to its handler; called by adapters.
    ///
    /// - Returns: its answer; nil if nothing handles the event.
    public func receiveServerSideEvent(_ event: [SocketIOValue]) async throws -> [SocketIOValue]? {
        guard let name = event.first?.eventName, let body = state.withLockedValue({ $0.serverHandlers[name] }) else { return nil }
        return try await body(Array(event.dropFirst()))
    }

    /// Sends an event to the other nodes; nobody gets it without an adapter of a cluster.
    public func serverSideEmit(_ event: String, arguments: [SocketIOValue] = []) { adapter.serverSideEmit([.string(event)] + arguments) }

    /// Sends an event to the other nodes, and waits for their answers.
    public func serverSideEmitWithAck(
        _ event: String, arguments: [SocketIOValue] = [], timeout: Duration? = nil
    ) async throws -> [[SocketIOValue]] {
        try await adapter.serverSideEmitWithAck([.string(event)] + arguments, timeout: timeout)
    }

    func close() {
        let adapter = state.withLockedValue { state in
            state.isClosed = true
            return state.adapter.take()
        }
        adapter?.close()
        parent?.forget(self)
    }
}

extension SocketIOSocket.State {
    /// Notes that events go both ways now; false if the socket has left before.
    mutating func connect() -> Bool {
        guard phase == .connecting else { return false }
        phase = .connected
        return true
    }
}

extension SocketIONamespace: SocketIOTarget {
    /// All sockets of the namespace.
    public var broadcast: SocketIOBroadcast { SocketIOBroadcast(self) }
}
