// The rooms of one node.

import EngineIO
import Logging
import NIOConcurrencyHelpers
import WebSockets

/// Keeps the rooms of one node; what most servers need.
public final class SocketIOInMemoryAdapter: SocketIOAdapter {
    private struct State {
        /// The sockets of each room.
        var rooms: [String: Set<SocketIOSocket>] = [:]
        /// The rooms of each socket that is in any.
        var memberships: [String: Set<String>] = [:]
    }

    private unowned let namespace: SocketIONamespace
    private let server: SocketIOServer
    private let state = NIOLockedValueBox(State())
    private let log: RecoveryLog?

    /// Makes the adapter of a namespace.
    public init(_ namespace: SocketIONamespace) {
        self.namespace = namespace
        server = namespace.server
        log = namespace.server.configuration.recovery.map { RecoveryLog($0, namespace.server.timers) }
        log?.onExpired = { [weak namespace] in namespace?.expired($0) }
    }

    // MARK: Rooms

    public func join(_ socket: SocketIOSocket, rooms: Set<String>) -> Set<String> {
        let limit = server.configuration.maxRooms
        var events: [SocketIORoomEvent] = []
        let refused = state.withLockedValue { state in
            var refused: Set<String> = []
            var own = state.memberships[socket.id] ?? []
            // One that has left joins nothing: nobody would take it out again.
            guard socket.isIn else { return rooms }
            for room in rooms where room != socket.id && !own.contains(room) {
                guard own.count < limit else {
                    refused.insert(room)
                    continue
                }
                own.insert(room)
                if state.rooms[room] == nil { events.append(.create(room: room)) }
                state.rooms[room, default: []].insert(socket)
                events.append(.join(room: room, id: socket.id))
            }
            if !own.isEmpty { state.memberships[socket.id] = own }
            return refused
        }
        namespace.tell(events)
        return refused
    }

    public func leave(_ socket: SocketIOSocket, rooms: Set<String>) {
        let events = state.withLockedValue { state in
            guard var own = state.memberships[socket.id] else { return [] as [SocketIORoomEvent] }
            let left = own.intersection(rooms)
            own.subtract(left)
            state.memberships[socket.id] = own.isEmpty ? nil : own
            return Self.take(socket, outOf: left, &state)
        }
        namespace.tell(events)
    }

    public func leaveAll(_ socket: SocketIOSocket) {
        let events = state.withLockedValue { state in
            Self.take(socket, outOf: state.memberships.removeValue(forKey: socket.id) ?? [], &state)
        }
        namespace.tell(events)
    }

    private static func take(_ socket: SocketIOSocket, outOf rooms: Set<String>, _ state: inout State) -> [SocketIORoomEvent] {
        var events: [SocketIORoomEvent] = []
        for room in rooms {
            state.rooms[room]?.remove(socket)
            events.append(.leave(room: room, id: socket.id))
            guard state.rooms[room]?.isEmpty == true else { continue }
            state.rooms[room] = nil
            events.append(.delete(room: room))
        }
        return events
    }

    public func rooms(of id: String) -> Set<String> {
        guard namespace.socket(id) != nil else { return [] }
        return (state.withLockedValue { $0.memberships[id] } ?? []).union([id])
    }

    public var allRooms: [String: Int] { state.withLockedValue { $0.rooms.mapValues(\.count) } }

    public func transportChanged(_ socket: SocketIOSocket) {}

    // MARK: Who is meant

    /// This node's sockets that are meant.
    func sockets(_ options: SocketIOBroadcastOptions) -> [SocketIOSocket] {
        let meant = state.withLockedValue { Self.included(options.rooms, namespace, $0) }
        guard !options.except.isEmpty else { return meant }
        let left = Set(state.withLockedValue { Self.included(options.except, namespace, $0) })
        return meant.filter { !left.contains($0) }
    }

    private static func included(_ rooms: Set<String>, _ namespace: SocketIONamespace, _ state: State) -> [SocketIOSocket] {
        guard let first = rooms.first else { return namespace.localSockets }
        guard rooms.count > 1 else { return members(of: first, namespace, state) }
        return Array(rooms.reduce(into: Set<SocketIOSocket>()) { $0.formUnion(members(of: $1, namespace, state)) })
    }

    /// A room's sockets; each socket is the only one in the room of its id.
    private static func members(of room: String, _ namespace: SocketIONamespace, _ state: State) -> [SocketIOSocket] {
        if let room = state.rooms[room] { return Array(room) }
        return namespace.socket(room).map { [$0] } ?? []
    }

    // MARK: Broadcasts

    public func broadcast(_ packet: SocketIOPacket, _ options: SocketIOBroadcastOptions) {
        let packet = log?.note(packet, options) ?? packet
        let messages: SocketIOMessages
        do throws(SocketIOUsageError) {
            messages = try server.configuration.parser.encode(packet)
        } catch {
            return server.configuration.logger.error("a broadcast is not sent: \(error)", metadata: ["namespace": "\(namespace.name)"])
        }
        let prepared = messages.map { EngineIOPreparedMessage($0.compressed(options.compression)) }
        for socket in sockets(options) { socket.send(prepared, packet, options) }
    }

    public func broadcast(
        _ event: [SocketIOValue], _ options: SocketIOBroadcastOptions, counted: @escaping @Sendable (Int) -> Void,
        answered: @escaping @Sendable ([SocketIOValue]) -> Void
    ) {
        let id = namespace.nextID()
        let packet = SocketIOPacket(namespace: namespace.name, content: .event(event, id: id))
        let sockets = sockets(options).filter { socket in
            socket.awaitAnswer(id) { if case .success(let values) = $0 { answered(values) } }
        }
        counted(sockets.count)
        guard let messages = try? server.configuration.parser.encode(packet) else {
            return server.configuration.logger.error("a broadcast can not be encoded", metadata: ["namespace": "\(namespace.name)"])
        }
        let prepared = messages.map { EngineIOPreparedMessage($0.compressed(options.compression)) }
        for socket in sockets { socket.send(prepared, packet, options) }
        guard let timeout = options.timeout else { return }
        // What has not been answered by then is not waited for any more.
        _ = server.timers.call(after: timeout) { for socket in sockets { socket.answer(id, .failure(SocketIOAckError(.timeout))) } }
    }

    // MARK: Sockets

    public func fetchSockets(_ options: SocketIOBroadcastOptions) async throws -> [SocketIORemoteSocket] {
        sockets(options).map { SocketIORemoteSocket($0) }
    }

    public func joinSockets(_ options: SocketIOBroadcastOptions, rooms: Set<String>) {
        for socket in sockets(options) { socket.join(rooms) }
    }

    public func leaveSockets(_ options: SocketIOBroadcastOptions, rooms: Set<String>) {
        for socket in sockets(options) { leave(socket, rooms: rooms) }
    }

    public func disconnectSockets(_ options: SocketIOBroadcastOptions, closingConnections: Bool) {
        for socket in sockets(options) { socket.disconnect(closingConnection: closingConnections) }
    }

    // MARK: Other nodes

    public func serverCount() async throws -> Int { 1 }
    public func serverSideEmit(_ event: [SocketIOValue]) {}
    public func serverSideEmitWithAck(_ event: [SocketIOValue], timeout: Duration?) async throws -> [[SocketIOValue]] { [] }

    // MARK: Recovery

    public func persist(_ session: SocketIOSession) { log?.persist(session) }
    public func restore(privateID: String, offset: String) async -> RecoveredSession? { log?.restore(privateID, offset) }
    public func close() {}
}

/// The adapter of a namespace that is closed.
final class SocketIONoAdapter: SocketIOAdapter {
    func join(_ socket: SocketIOSocket, rooms: Set<String>) -> Set<String> { rooms }
    func leave(_ socket: SocketIOSocket, rooms: Set<String>) {}
    func leaveAll(_ socket: SocketIOSocket) {}
    func rooms(of id: String) -> Set<String> { [] }
    var allRooms: [String: Int] { [:] }
    func transportChanged(_ socket: SocketIOSocket) {}
    func broadcast(_ packet: SocketIOPacket, _ options: SocketIOBroadcastOptions) {}
    func broadcast(
        _ event: [SocketIOValue], _ options: SocketIOBroadcastOptions, counted: @escaping @Sendable (Int) -> Void,
        answered: @escaping @Sendable ([SocketIOValue]) -> Void
    ) { counted(0) }
    func fetchSockets(_ options: SocketIOBroadcastOptions) async throws -> [SocketIORemoteSocket] { [] }
    func joinSockets(_ options: SocketIOBroadcastOptions, rooms: Set<String>) {}
    func leaveSockets(_ options: SocketIOBroadcastOptions, rooms: Set<String>) {}
    func disconnectSockets(_ options: SocketIOBroadcastOptions, closingConnections: Bool) {}
    func serverCount() async throws -> Int { 1 }
    func serverSideEmit(_ event: [SocketIOValue]) {}
    func serverSideEmitWithAck(_ event: [SocketIOValue], timeout: Duration?) async throws -> [[SocketIOValue]] { [] }
    func persist(_ session: SocketIOSession) {}
    func restore(privateID: String, offset: String) async -> RecoveredSession? { nil }
    func close() {}
}
