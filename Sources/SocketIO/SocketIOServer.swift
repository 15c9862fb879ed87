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
        var isClosed = false
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
    ///
    /// If the name fits a pattern that was given to ``of(matching:)`` before, the namespace is one of that parent's: its middlewares and
    /// handlers hold for it, as they do for one that is made for a client.
    public func of(_ name: String) -> SocketIONamespace {
        let name = name.hasPrefix("/") ? name : "/" + name
        if let known = existingNamespace(name) { return known }
        let parent = state.withLockedValue { $0.parents }.first { $0.fits?(name) == true }
        return namespace(named: name, parent)
    }

    private func namespace(named name: String, _ parent: SocketIOParentNamespace?) -> SocketIONamespace {
        if let known = existingNamespace(name) { return known }
        let made = SocketIONamespace(name, self, parent: parent)
        // A server that is closed has no namespaces: what the program says to this one, nobody hears, and nobody joins it.
        guard !state.withLockedValue({ $0.isClosed }) else { return made }
        made.start()
        // Before anybody else knows of it: who joins meets all the middlewares.
        parent?.adopt(made)
        let (namespace, tell) = state.withLockedValue { state in
            guard !state.isClosed else { return (nil as SocketIONamespace?, nil as (@Sendable (SocketIONamespace) -> Void)?) }
            let namespace = state.namespaces[name] ?? made
            state.namespaces[name] = namespace
            return (namespace, namespace === made ? state.onNewNamespace : nil)
        }
        // Somebody else was faster.
        if namespace !== made { made.close() }
        guard let namespace else { return made }
        tell?(namespace)
        return namespace
    }

    func existingNamespace(_ name: String) -> SocketIONamespace? { state.withLockedValue { $0.namespaces[name] } }
    var namespaceNames: [String] { state.withLockedValue { $0.namespaces.keys.sorted() } }

    /// Namespaces that are made when a client wants to join one that a closure accepts.
    ///
    /// The closure is asked for clients only. A namespace that the program makes by its name is none of this parent's, as in Node: use
    /// ``of(matching:)`` where the name alone decides.
    ///
    /// - Parameter isAccepted: given the name, the client's `auth`, and its connection.
    public func of(
        where isAccepted: @escaping @Sendable (String, SocketIOValue, EngineIOHandshake) async -> Bool
    ) -> SocketIOParentNamespace {
        add(SocketIOParentNamespace(isAccepted, fits: nil))
    }

    private func add(_ parent: SocketIOParentNamespace) -> SocketIOParentNamespace {
        state.withLockedValue { $0.parents.append(parent) }
        return parent
    }

    /// Namespaces that are made when a client wants to join one whose name fits a pattern, whole, or when the program asks for one.
    ///
    /// A namespace that exists already when the pattern is given stays as it is, as in Node: give patterns before names.
    public func of<Output>(matching pattern: sending Regex<Output>) -> SocketIOParentNamespace {
        let pattern = NamePattern(pattern)
        return add(SocketIOParentNamespace({ name, _, _ in pattern.fits(name) }, fits: { pattern.fits($0) }))
    }

    /// Is told of namespaces that are made.
    public func onNewNamespace(_ body: @escaping @Sendable (SocketIONamespace) -> Void) {
        state.withLockedValue { $0.onNewNamespace = body }
    }

    /// The namespace that a client wants to join, to be released by the caller; nil if it may not be.
    nonisolated(nonsending) func reserveNamespace(
        _ name: String, _ auth: SocketIOValue, _ session: EngineIOSession
    ) async -> SocketIONamespace? {
        while let namespace = await namespace(name, auth, session) {
            if namespace.reserve() { return namespace }
            // Its last socket has just left: it is made anew.
        }
        return nil
    }

    private nonisolated(nonsending) func namespace(
        _ name: String, _ auth: SocketIOValue, _ session: EngineIOSession
    ) async -> SocketIONamespace? {
        if let known = existingNamespace(name) { return known }
        for parent in state.withLockedValue({ $0.parents }) where await parent.isAccepted(name, auth, session.handshake) {
            return namespace(named: name, parent)
        }
        return nil
    }

    /// A namespace that has a parent has lost its last socket, or the last one that was on its way to it.
    func emptied(_ namespace: SocketIONamespace) {
        guard configuration.cleanupEmptyChildNamespaces else { return }
        let isGone = state.withLockedValue { state in
            guard state.namespaces[namespace.name] === namespace, namespace.closeIfEmpty() else { return false }
            state.namespaces[namespace.name] = nil
            return true
        }
        if isGone { namespace.close() }
    }

    // MARK: The main namespace

    /// All sockets of the main namespace.
    public var broadcast: SocketIOBroadcast { main.broadcast }

    /// Is told of every socket that joins the main namespace; see `SocketIONamespace.onConnection`.
    public func onConnection(_ body: @escaping @Sendable (SocketIOSocket) throws -> Void) { main.onConnection(body) }

    /// Is told of every socket that joins the main namespace; see `SocketIONamespace.onConnection`.
    public func onConnection(_ body: @escaping @Sendable (SocketIOSocket) async throws -> Void) { main.onConnection(body) }

    /// Judges everybody who wants to join the main namespace; see `SocketIONamespace.use`.
    public func use(_ middleware: @escaping @Sendable (SocketIOSocket) async throws -> Void) { main.use(middleware) }

    // MARK: The end

    /// Ends all connections; clients reconnect by themselves, to another node or when there is a server again.
    public func close() {
        engine.close()
        let namespaces = state.withLockedValue { state in
            defer {
                state.namespaces = [:]
                state.parents = []
            }
            state.isClosed = true
            return state.namespaces.values
        }
        for namespace in namespaces { namespace.close() }
    }
}

/// A pattern that any thread may ask.
private final class NamePattern<Output>: Sendable {
    private let pattern: Mutex<Regex<Output>>

    init(_ pattern: sending Regex<Output>) { self.pattern = Mutex(pattern) }

    func fits(_ name: String) -> Bool { pattern.withLock { ((try? $0.wholeMatch(in: name)) ?? nil) != nil } }
}

/// Namespaces that are made when clients want to join them; what is said of it holds for each of them, whenever it is said.
public final class SocketIOParentNamespace: Sendable {
    private struct State {
        var prepare: [@Sendable (SocketIONamespace) -> Void] = []
        var children: [ObjectIdentifier: SocketIONamespace] = [:]
    }

    private let state = NIOLockedValueBox(State())
    let isAccepted: @Sendable (String, SocketIOValue, EngineIOHandshake) async -> Bool
    /// Whether a name alone makes a namespace one of its children; nil if there is more to it.
    let fits: (@Sendable (String) -> Bool)?

    init(
        _ isAccepted: @escaping @Sendable (String, SocketIOValue, EngineIOHandshake) async -> Bool, fits: (@Sendable (String) -> Bool)?
    ) {
        self.isAccepted = isAccepted
        self.fits = fits
    }

    /// Prepares a child; every closure sees every child once.
    func adopt(_ namespace: SocketIONamespace) {
        let prepare = state.withLockedValue { state in
            state.children[ObjectIdentifier(namespace)] = namespace
            return state.prepare
        }
        for body in prepare { body(namespace) }
    }

    func forget(_ namespace: SocketIONamespace) {
        state.withLockedValue { _ = $0.children.removeValue(forKey: ObjectIdentifier(namespace)) }
    }

    /// The namespaces that there are now, in no order.
    public var children: [SocketIONamespace] { state.withLockedValue { Array($0.children.values) } }

    /// Prepares each namespace when it is made, before its first socket, and those that there are.
    public func onCreate(_ body: @escaping @Sendable (SocketIONamespace) -> Void) {
        let children = state.withLockedValue { state in
            state.prepare.append(body)
            return state.children.values
        }
        for child in children { body(child) }
    }

    /// Is told of every socket that joins one of them.
    public func onConnection(_ body: @escaping @Sendable (SocketIOSocket) throws -> Void) { onCreate { $0.onConnection(body) } }

    /// Is told of every socket that joins one of them, by a closure that awaits.
    public func onConnection(_ body: @escaping @Sendable (SocketIOSocket) async throws -> Void) { onCreate { $0.onConnection(body) } }

    /// Judges everybody who wants to join one of them.
    public func use(_ middleware: @escaping @Sendable (SocketIOSocket) async throws -> Void) { onCreate { $0.use(middleware) } }
}

extension WebSocketServer {
    /// Serves Socket.IO at its path, with and without a slash at the end, on this server's port. Call it before `run`.
    public func mount(_ io: SocketIOServer) { mount(io.engine) }
}
