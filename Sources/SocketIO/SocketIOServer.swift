// The server: its namespaces, and the Engine.IO server that carries them. Socket.IO protocol 5.

public import EngineIO
import Logging
import NIOConcurrencyHelpers
import Synchronization
public import WebSockets

/// Serves Socket.IO 4 clients: events, acknowledgements, rooms and namespaces, over WebSocket and HTTP long-polling.
///
/// ```swift
/// let io = SocketIOServer()
/// io.onConnection { socket in
///     socket.on("chat message") { (text: String) in io.emit("chat message", text) }
///     socket.on("add") { (a: Int, b: Int) in a + b }       // the result is the acknowledgement
/// }
/// server.mount(io)                                         // a WebSocketServer; at /socket.io/
/// ```
public final class SocketIOServer: SocketIOTarget, Sendable {
    private struct State {
        var namespaces: [String: SocketIONamespace] = [:]
        var parents: [SocketIOParentNamespace] = []
        var onNewNamespace: (@Sendable (SocketIONamespace) -> Void)?
        var main: SocketIONamespace?
        var engine: EngineIOServer?
    }

    /// The limits, times and habits.
    public let configuration: SocketIOConfiguration
    let timers = WheelTimers<Timeout>()
    private let state = NIOLockedValueBox(State())

    private let outgoing = Atomic<Bool>(false)
    /// Whether any socket wants to see what is sent.
    var anyoneSeesOutgoing: Bool { outgoing.load(ordering: .relaxed) }
    func seesOutgoing() { outgoing.store(true, ordering: .relaxed) }

    /// Makes a server; mount it on a `WebSocketServer`.
    public init(configuration: SocketIOConfiguration = SocketIOConfiguration()) {
        self.configuration = configuration
        _ = of("/")
    }

    /// The Engine.IO server beneath; for HTTP servers that carry long-polling by themselves.
    public var engine: EngineIOServer {
        state.withLockedValue { state in
            if let engine = state.engine { return engine }
            let engine = EngineIOServer(configuration: configuration.engine) { [self] in ClientConnection(self, $0) }
            state.engine = engine
            return engine
        }
    }

    // MARK: Namespaces

    /// The namespace that clients join unless they say otherwise.
    public var main: SocketIONamespace { of("/") }

    /// The namespace of a name; made if there is none. Clients may join it from now on.
    public func of(_ name: String) -> SocketIONamespace { namespace(named: name.hasPrefix("/") ? name : "/" + name, isChild: false) }

    private func namespace(named name: String, isChild: Bool, prepare: (SocketIONamespace) -> Void = { _ in }) -> SocketIONamespace {
        if let known = existingNamespace(name) { return known }
        let made = SocketIONamespace(name, self, isChild: isChild)
        made.start()
        prepare(made)
        let (namespace, tell) = state.withLockedValue { state in
            let namespace = state.namespaces[name] ?? made
            state.namespaces[name] = namespace
            return (namespace, namespace === made ? state.onNewNamespace : nil)
        }
        // Somebody else was faster.
        if namespace !== made { made.close() }
        tell?(namespace)
        return namespace
    }

    func existingNamespace(_ name: String) -> SocketIONamespace? { state.withLockedValue { $0.namespaces[name] } }

    /// Namespaces that are made when a client wants to join one that a closure accepts.
    ///
    /// - Parameter isAccepted: given the name, the client's `auth`, and its connection.
    public func of(
        where isAccepted: @escaping @Sendable (String, SocketIOValue, EngineIOHandshake) async -> Bool
    ) -> SocketIOParentNamespace {
        let parent = SocketIOParentNamespace(isAccepted)
        state.withLockedValue { $0.parents.append(parent) }
        return parent
    }

    /// Namespaces that are made when a client wants to join one whose name fits a pattern, whole.
    public func of<Output>(matching pattern: sending Regex<Output>) -> SocketIOParentNamespace {
        let pattern = NamePattern(pattern)
        return of { name, _, _ in pattern.fits(name) }
    }

    /// Is told of namespaces that are made.
    public func onNewNamespace(_ body: @escaping @Sendable (SocketIONamespace) -> Void) {
        state.withLockedValue { $0.onNewNamespace = body }
    }

    /// The namespace that a client wants to join; nil if it may not be.
    nonisolated(nonsending) func namespace(
        _ name: String, _ auth: SocketIOValue, _ session: EngineIOSession
    ) async -> SocketIONamespace? {
        if let known = existingNamespace(name) { return known }
        for parent in state.withLockedValue({ $0.parents }) where await parent.isAccepted(name, auth, session.handshake) {
            return namespace(named: name, isChild: true) { parent.adopt($0) }
        }
        return nil
    }

    /// A namespace that was made for a client has lost its last socket.
    func emptied(_ namespace: SocketIONamespace) {
        guard configuration.cleanupEmptyChildNamespaces else { return }
        let isGone = state.withLockedValue { state in
            guard state.namespaces[namespace.name] === namespace, namespace.socketCount == 0 else { return false }
            state.namespaces[namespace.name] = nil
            return true
        }
        if isGone { namespace.close() }
    }

    // MARK: The main namespace

    /// All sockets of the main namespace.
    public var broadcast: SocketIOBroadcast { main.broadcast }

    /// Is told of every socket that joins the main namespace; see `SocketIONamespace.onConnection`.
    public func onConnection(_ body: @escaping @Sendable (SocketIOSocket) -> Void) { main.onConnection(body) }

    /// Is told of every socket that joins the main namespace; see `SocketIONamespace.onConnection`.
    public func onConnection(_ body: @escaping @Sendable (SocketIOSocket) async -> Void) { main.onConnection(body) }

    /// Judges everybody who wants to join the main namespace; see `SocketIONamespace.use`.
    public func use(_ middleware: @escaping @Sendable (SocketIOSocket) async throws -> Void) { main.use(middleware) }

    // MARK: The end

    /// Ends all connections; clients reconnect by themselves, to another node or when there is a server again.
    public func close() {
        engine.close()
        for namespace in state.withLockedValue({ Array($0.namespaces.values) }) { namespace.close() }
        state.withLockedValue { state in
            state.namespaces = [:]
            state.parents = []
        }
    }
}

/// A pattern that any thread may ask.
private final class NamePattern<Output>: Sendable {
    private let pattern: Mutex<Regex<Output>>

    init(_ pattern: sending Regex<Output>) { self.pattern = Mutex(pattern) }

    func fits(_ name: String) -> Bool { pattern.withLock { ((try? $0.wholeMatch(in: name)) ?? nil) != nil } }
}

/// Namespaces that are made when clients want to join them; what is said of it holds for each of them.
public final class SocketIOParentNamespace: Sendable {
    private let prepare = NIOLockedValueBox<[@Sendable (SocketIONamespace) -> Void]>([])
    let isAccepted: @Sendable (String, SocketIOValue, EngineIOHandshake) async -> Bool

    init(_ isAccepted: @escaping @Sendable (String, SocketIOValue, EngineIOHandshake) async -> Bool) { self.isAccepted = isAccepted }

    func adopt(_ namespace: SocketIONamespace) {
        for body in prepare.withLockedValue({ $0 }) { body(namespace) }
    }

    /// Prepares each namespace when it is made, before its first socket.
    public func onCreate(_ body: @escaping @Sendable (SocketIONamespace) -> Void) { prepare.withLockedValue { $0.append(body) } }

    /// Is told of every socket that joins one of them.
    public func onConnection(_ body: @escaping @Sendable (SocketIOSocket) -> Void) { onCreate { $0.onConnection(body) } }

    /// Is told of every socket that joins one of them, by a closure that awaits.
    public func onConnection(_ body: @escaping @Sendable (SocketIOSocket) async -> Void) { onCreate { $0.onConnection(body) } }

    /// Judges everybody who wants to join one of them.
    public func use(_ middleware: @escaping @Sendable (SocketIOSocket) async throws -> Void) { onCreate { $0.use(middleware) } }
}

extension WebSocketServer {
    /// Serves Socket.IO at its path, with and without a slash at the end, on this server's port. Call it before `run`.
    public func mount(_ io: SocketIOServer) { mount(io.engine) }
}
