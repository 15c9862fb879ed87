// One client in one namespace: what any thread may ask of it. Its events are in SocketIOSocket+Events.swift, what it sends in
// SocketIOSocket+Emitting.swift.

public import EngineIO
import Logging
import NIOConcurrencyHelpers
import Synchronization
import WebSockets

/// A client in a namespace.
///
/// It can be used from any thread, task or actor. From one thread, events leave in the order of the calls.
public final class SocketIOSocket: Sendable {
    /// Where the socket is on its way.
    enum Phase: Sendable { case connecting, connected, disconnected }

    struct State {
        var phase = Phase.connecting
        var handlers = EventHandlers<SocketIOSocket>()
        /// What waits for the handlers, and whether a task is at it.
        var queue = EventQueue()
        /// What most sockets never have.
        var rare: Rare?
        /// What is sent to a client that has come back and has not got yet all that it missed; nil for all others.
        var held: [@Sendable () -> Void]?
    }

    /// What most sockets never have.
    struct Rare {
        var outgoing: [@Sendable (SocketIOEvent) -> Void] = []
        var middlewares: [@Sendable (SocketIOEvent) async throws -> Void] = []
        var onDisconnecting: [@Sendable (SocketIODisconnectReason) -> Void] = []
        var onDisconnect: [@Sendable (SocketIODisconnectReason) -> Void] = []
        var onError: [@Sendable (any Error) -> Void] = []
        var acks: [Int: @Sendable (Result<[SocketIOValue], SocketIOAckError>) -> Void] = [:]
        var data: (any Codable & Sendable)?
        /// The rooms that middlewares have put it into: it joins them when it is let in.
        var rooms: Set<String> = []
    }

    /// The socket's id: of this namespace, and no secret.
    public let id: String
    /// The namespace that it is in.
    public let namespace: SocketIONamespace
    /// Whether the client has come back and goes on where it was; see `SocketIORecovery`.
    public let isRecovered: Bool
    let client: ClientConnection
    /// The later it came, the greater.
    let number: Int
    let auth: SocketIOValue
    /// The secret by which the client is known when it comes back; nil without recovery.
    package let privateID: String?
    let state: NIOLockedValueBox<State>
    private let catchingUp = Atomic<Bool>(false)

    init(
        _ client: ClientConnection, _ namespace: SocketIONamespace, auth: SocketIOValue, recovered: RecoveredSession? = nil
    ) {
        self.client = client
        self.namespace = namespace
        number = namespace.nextArrival()
        self.auth = auth
        isRecovered = recovered != nil
        id = recovered?.id ?? SessionID().text
        privateID = namespace.server.configuration.recovery == nil ? nil : recovered?.privateID ?? SessionID().text
        var state = State()
        state.rare = recovered?.data.map { Rare(data: $0) }
        state.held = recovered.map { _ in [] }
        self.state = NIOLockedValueBox(state)
        catchingUp.store(recovered != nil, ordering: .relaxed)
    }

    var server: SocketIOServer { namespace.server }
    var logger: Logger { server.configuration.logger }

    // MARK: What is known

    /// What the client sent to be let in, and the request that opened its connection.
    public var handshake: SocketIOHandshake { SocketIOHandshake(auth: auth, connection: client.session.handshake) }
    /// The connection beneath, which other namespaces may share.
    public var connection: EngineIOSession { client.session }
    /// Whether events go both ways.
    public var isConnected: Bool { state.withLockedValue { $0.phase == .connected } }

    // MARK: Data

    /// Keeps a value with the socket, in the place of the one before; `fetchSockets` shows it to all nodes, and recovery restores it.
    public func setData(_ value: some Codable & Sendable) {
        withRare(evenIfGone: true) { $0.data = value }
    }

    /// The value that was kept with the socket; nil if there is none, or it is of another type.
    public func data<T: Codable & Sendable>(as type: T.Type = T.self) -> T? {
        let data = state.withLockedValue { $0.rare?.data }
        // What was kept on another node has come as values.
        return data as? T ?? (data as? SocketIOValue).flatMap { try? ValueDecoder().decode(type, from: $0) }
    }

    /// What is kept of the client, should it come back; nil without recovery.
    package var session: SocketIOSession? {
        privateID.map { SocketIOSession(id: id, privateID: $0, rooms: rooms, data: state.withLockedValue { $0.rare?.data }) }
    }

    /// - Parameter evenIfGone: whether it is done to a socket that has left, too: closures would be kept for nothing.
    func withRare(evenIfGone: Bool = false, _ body: (inout Rare) -> Void) {
        state.withLockedValue { state in
            guard evenIfGone || state.phase != .disconnected else { return }
            var rare = state.rare ?? Rare()
            state.rare = nil
            body(&rare)
            state.rare = rare
        }
    }

    // MARK: Rooms

    // Until a socket is let in, its rooms are its own business: no adapter and no other node knows of it, nothing that is said to a room reaches
    // it, and nothing is left of it if it is refused.

    /// The rooms that it is in, its own (`id`) among them; while middlewares run, those that it will be in.
    public var rooms: Set<String> {
        state.withLockedValue { $0.phase == .connecting ? $0.rare?.rooms ?? [] : nil } ?? namespace.adapter.rooms(of: id)
    }

    /// Joins rooms; those beyond `SocketIOConfiguration.maxRooms` are refused, and logged.
    ///
    /// In a middleware it takes effect when the socket is let in.
    ///
    /// - Returns: whether it is in all of them now.
    @discardableResult
    public func join(_ rooms: String...) -> Bool { join(rooms) }

    /// Joins rooms; see `join(_:)`.
    @discardableResult
    public func join(_ rooms: some Sequence<String>) -> Bool {
        let rooms = Set(rooms)
        return isRefusedNone(joinLater(rooms) ?? namespace.adapter.join(self, rooms: rooms))
    }

    /// Notes rooms of a socket that has not been let in.
    ///
    /// - Returns: those that it may not join; nil if it is in, or has left.
    private func joinLater(_ rooms: Set<String>) -> Set<String>? {
        let limit = server.configuration.maxRooms
        return state.withLockedValue { state in
            guard state.phase == .connecting else { return nil }
            var rare = state.rare ?? Rare()
            state.rare = nil
            defer { state.rare = rare }
            return rooms.filter { room in
                guard room != id, !rare.rooms.contains(room) else { return false }
                guard rare.rooms.count < limit else { return true }
                rare.rooms.insert(room)
                return false
            }
        }
    }

    /// Joins the rooms that middlewares have put it into, now that it is in the namespace.
    func joinRoomsOfMiddlewares() {
        let rooms = state.withLockedValue { state in
            defer { state.rare?.rooms = [] }
            return state.rare?.rooms ?? []
        }
        if !rooms.isEmpty { _ = isRefusedNone(namespace.adapter.join(self, rooms: rooms)) }
    }

    private func isRefusedNone(_ refused: Set<String>) -> Bool {
        guard !refused.isEmpty else { return true }
        let limit = server.configuration.maxRooms
        logger.warning("a socket may not join more than \(limit) rooms (limit maxRooms)", metadata: ["socket": "\(id)"])
        return false
    }

    /// Leaves a room.
    public func leave(_ room: String) {
        let isLater = state.withLockedValue { state in
            guard state.phase == .connecting else { return false }
            state.rare?.rooms.remove(room)
            return true
        }
        if !isLater { namespace.adapter.leave(self, rooms: [room]) }
    }

    // MARK: The end

    /// Leaves the namespace: the client is told ("io server disconnect"), and does not reconnect by itself.
    ///
    /// - Parameter closingConnection: whether the connection beneath is closed, too, and with it all of the client's sockets.
    public func disconnect(closingConnection: Bool = false) {
        namespace.adapter.afterwards { self.disconnectNow(closingConnection: closingConnection) }
    }

    func disconnectNow(closingConnection: Bool = false) {
        if closingConnection { return client.disconnectAll() }
        send(SocketIOPacket(namespace: namespace.name, content: .disconnect))
        leave(.serverNamespaceDisconnect)
    }
}

extension SocketIOSocket: CustomStringConvertible {
    /// The id and the namespace.
    public var description: String { "SocketIOSocket(\(id), \(namespace.name))" }
}

extension SocketIOSocket: Hashable {
    /// Whether two are the same socket.
    public static func == (left: SocketIOSocket, right: SocketIOSocket) -> Bool { left === right }
    /// Hashes which socket it is.
    public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}

extension SocketIOSocket {
    /// Whether it can still be in rooms.
    var isIn: Bool { state.withLockedValue { $0.phase != .disconnected } }

    // MARK: Coming back

    /// Whether the client has come back and has not got yet all that it missed.
    var isCatchingUp: Bool { catchingUp.load(ordering: .acquiring) }

    /// Keeps what is to be sent until the client has got what it missed; false if that is now.
    func hold(_ send: @escaping @Sendable () -> Void) -> Bool {
        state.withLockedValue { state in
            guard state.held != nil else { return false }
            state.held?.append(send)
            return true
        }
    }

    /// The client has got what it missed: sends what was kept meanwhile, and from then on at once.
    func caughtUp() {
        while true {
            let held = state.withLockedValue { state -> [@Sendable () -> Void] in
                guard let held = state.held, !held.isEmpty else {
                    state.held = nil
                    catchingUp.store(false, ordering: .releasing)
                    return []
                }
                state.held = []
                return held
            }
            guard !held.isEmpty else { return }
            for send in held { send() }
        }
    }

    /// Sends what was encoded once for many.
    func send(_ prepared: [EngineIOPreparedMessage], _ packet: SocketIOPacket, _ options: SocketIOBroadcastOptions) {
        if isCatchingUp, hold({ self.sendNow(prepared, packet, options) }) { return }
        sendNow(prepared, packet, options)
    }

    private func sendNow(_ prepared: [EngineIOPreparedMessage], _ packet: SocketIOPacket, _ options: SocketIOBroadcastOptions) {
        let session = client.session
        if options.isVolatile && !session.isWritable { return }
        if client.anyoneSeesOutgoing { tellOfOutgoing(packet) }
        if prepared.count == 1 { session.send(prepared[0]) } else { session.send(prepared) }
    }
}
