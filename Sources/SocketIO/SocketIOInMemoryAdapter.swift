// The rooms of one node.

import EngineIO
import Logging
import NIOConcurrencyHelpers
import WebSockets

/// Keeps the rooms of one node; what most servers need.
public final class SocketIOInMemoryAdapter: SocketIOAdapter {
    private struct State {
        /// The rooms by their names.
        var rooms: [String: Room] = [:]
        /// The rooms of each socket that is in any.
        var memberships: [String: Set<String>] = [:]
        /// All sockets of the namespace, once something was said to many at a time.
        var everybody: Room?
    }

    private unowned let namespace: SocketIONamespace
    private let server: SocketIOServer
    private let state = NIOLockedValueBox(State())
    private let log: (any SocketIOEventLog)?

    /// Makes the adapter of a namespace.
    public convenience init(_ namespace: SocketIONamespace) {
        let log = namespace.server.configuration.recovery.map { RecoveryLog($0, namespace.server.timers) }
        log?.onExpired = { [weak namespace] in namespace?.expired($0) }
        self.init(namespace, log: log)
    }

    /// Makes the adapter of a namespace, with what keeps its events; nil for nothing.
    package init(_ namespace: SocketIONamespace, log: (any SocketIOEventLog)?) {
        self.namespace = namespace
        server = namespace.server
        self.log = log
    }

    // MARK: Rooms

    /// Puts a socket into rooms; see `SocketIOAdapter`.
    public func join(_ socket: SocketIOSocket, rooms: Set<String>) -> Set<String> {
        var events: [SocketIORoomEvent] = []
        let refused = state.withLockedValue { state in
            // One that has left joins nothing: nobody would take it out again.
            socket.isIn ? put(socket, into: rooms, &state, &events) : rooms
        }
        namespace.tell(events)
        return refused
    }

    private func put(
        _ socket: SocketIOSocket, into rooms: Set<String>, _ state: inout State, _ events: inout [SocketIORoomEvent]
    ) -> Set<String> {
        state.everybody?.add(socket)
        guard !rooms.isEmpty else { return [] }
        let limit = server.configuration.maxRooms
        var refused: Set<String> = []
        var own = state.memberships[socket.id] ?? []
        for room in rooms where room != socket.id && !own.contains(room) {
            guard own.count < limit else {
                refused.insert(room)
                continue
            }
            own.insert(room)
            if state.rooms[room] == nil {
                state.rooms[room] = Room()
                events.append(.create(room: room))
            }
            state.rooms[room]?.add(socket)
            events.append(.join(room: room, id: socket.id))
        }
        if !own.isEmpty { state.memberships[socket.id] = own }
        return refused
    }

    /// Takes a socket out of rooms.
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

    /// Takes a socket that is gone out of all rooms.
    public func leaveAll(_ socket: SocketIOSocket) {
        let events = state.withLockedValue { state in
            state.everybody?.remove(socket)
            return Self.take(socket, outOf: state.memberships.removeValue(forKey: socket.id) ?? [], &state)
        }
        namespace.tell(events)
    }

    private static func take(_ socket: SocketIOSocket, outOf rooms: Set<String>, _ state: inout State) -> [SocketIORoomEvent] {
        var events: [SocketIORoomEvent] = []
        for room in rooms {
            state.rooms[room]?.remove(socket)
            events.append(.leave(room: room, id: socket.id))
            guard state.rooms[room]?.members.isEmpty == true else { continue }
            state.rooms[room] = nil
            events.append(.delete(room: room))
        }
        return events
    }

    /// Has a socket that is on WebSocket now be told with the others.
    public func transportChanged(_ socket: SocketIOSocket) {
        state.withLockedValue { state in
            state.everybody?.transportChanged(socket)
            for room in state.memberships[socket.id] ?? [] { state.rooms[room]?.transportChanged(socket) }
        }
    }

    /// The rooms of a socket, its own among them.
    public func rooms(of id: String) -> Set<String> {
        guard namespace.socket(id) != nil else { return [] }
        return (state.withLockedValue { $0.memberships[id] } ?? []).union([id])
    }

    /// The rooms, and how many sockets are in each.
    public var allRooms: [String: Int] { state.withLockedValue { $0.rooms.mapValues(\.members.count) } }

    // MARK: For adapters of a cluster

    /// Whether any of this node's sockets is in a room, its own or another; one that is about to leave does not count in its own.
    package func hasRoom(_ room: String, besides leaver: SocketIOSocket? = nil) -> Bool {
        state.withLockedValue { $0.rooms[room] != nil } || namespace.socket(room).map { $0 !== leaver } == true
    }

    /// The ids of this node's sockets that are meant.
    package func ids(_ options: SocketIOBroadcastOptions) -> [String] { sockets(options).map(\.id) }

    /// This node's sockets that are meant, as other nodes are told of them.
    package func described(_ options: SocketIOBroadcastOptions) -> [SocketIOClusterMessage.Socket] {
        sockets(options).map { socket in
            let remote = SocketIORemoteSocket(socket)
            return SocketIOClusterMessage.Socket(id: remote.id, rooms: remote.rooms, data: remote.data, handshake: remote.handshake)
        }
    }

    // MARK: Who is meant

    /// This node's sockets that are meant.
    package func sockets(_ options: SocketIOBroadcastOptions) -> [SocketIOSocket] { state.withLockedValue { sockets(options, $0) } }

    private func sockets(_ options: SocketIOBroadcastOptions, _ state: State) -> [SocketIOSocket] {
        let meant = Self.included(options.rooms, namespace, state)
        guard !options.except.isEmpty else { return meant }
        let left = Set(Self.included(options.except, namespace, state))
        return meant.filter { !left.contains($0) }
    }

    private static func included(_ rooms: Set<String>, _ namespace: SocketIONamespace, _ state: State) -> [SocketIOSocket] {
        guard let first = rooms.first else { return namespace.localSockets }
        guard rooms.count > 1 else { return members(of: first, namespace, state) }
        return Array(rooms.reduce(into: Set<SocketIOSocket>()) { $0.formUnion(members(of: $1, namespace, state)) })
    }

    /// A room's sockets; each socket is the only one in the room of its id.
    private static func members(of room: String, _ namespace: SocketIONamespace, _ state: State) -> [SocketIOSocket] {
        if let room = state.rooms[room] { return Array(room.members) }
        return namespace.socket(room).map { [$0] } ?? []
    }

    // MARK: Broadcasts

    /// Who gets a broadcast.
    private enum Audience {
        case sockets([SocketIOSocket])
        /// A room whose sockets are told as a group, but for `others`.
        case group(Room, members: Set<SocketIOSocket>, others: Set<SocketIOSocket>)
    }

    /// Sends a packet to sockets; it is encoded once.
    public func broadcast(_ packet: SocketIOPacket, _ options: SocketIOBroadcastOptions) { broadcast(packet, options, offset: nil) }

    /// Sends a packet to sockets.
    ///
    /// - Parameter offset: the one that it has in the cluster's log, if it has one there.
    package func broadcast(_ packet: SocketIOPacket, _ options: SocketIOBroadcastOptions, offset: String?) {
        // In one moment: whoever comes back either finds it among what was missed or is in the audience.
        let (packet, audience) = state.withLockedValue { state -> (SocketIOPacket, Audience) in
            (log?.note(packet, options, offset: offset) ?? packet, self.audience(options, &state))
        }
        do throws(SocketIOUsageError) {
            let messages = try server.configuration.parser.encode(packet)
            send(messages.map { EngineIOPreparedMessage($0.compressed(options.compression)) }, packet, audience, options)
        } catch {
            server.configuration.logger.error("a broadcast is not sent: \(error)", metadata: ["namespace": "\(namespace.name)"])
        }
        if case .group(let room, _, _) = audience { state.withLockedValue { _ in room.endSending() } }
    }

    private func audience(_ options: SocketIOBroadcastOptions, _ state: inout State) -> Audience {
        guard let room = group(options, &state) else { return .sockets(sockets(options, state)) }
        room.sending += 1
        return .group(room, members: room.members, others: room.others)
    }

    /// The room that is meant, if its sockets can be told as a group: all of them, or all but one.
    private func group(_ options: SocketIOBroadcastOptions, _ state: inout State) -> Room? {
        guard options.rooms.count <= 1, options.except.count <= 1, !options.isVolatile, !server.anyoneSeesOutgoing else { return nil }
        // A room may have the name of what is excepted.
        if let except = options.except.first, state.rooms[except] != nil { return nil }
        guard let room = room(options.rooms.first, &state), room.isGroup else { return nil }
        return room
    }

    private func room(_ name: String?, _ state: inout State) -> Room? {
        if let name {
            state.rooms[name]?.becomeGroup()
            return state.rooms[name]
        }
        if state.everybody == nil, namespace.socketCount >= Room.groupThreshold {
            let room = Room()
            for socket in namespace.localSockets where socket.isIn { room.add(socket) }
            room.becomeGroup()
            state.everybody = room
        }
        return state.everybody
    }

    // Nobody is told under the lock: who is told may leave.
    private func send(
        _ prepared: [EngineIOPreparedMessage], _ packet: SocketIOPacket, _ audience: Audience, _ options: SocketIOBroadcastOptions
    ) {
        switch audience {
        case .sockets(let sockets):
            for socket in sockets { socket.send(prepared, packet, options) }
        case .group(let room, let members, let others):
            let except = options.except.first.flatMap { namespace.socket($0) }
            // What has attachments goes to each by itself, so that nothing comes between.
            if prepared.count == 1 { room.group?.send(prepared[0], except: except?.client.session) }
            for socket in prepared.count == 1 ? others : members where socket !== except { socket.send(prepared, packet, options) }
        }
    }

    /// Sends an event to sockets and collects their answers.
    public func broadcast(
        _ event: [SocketIOValue], _ options: SocketIOBroadcastOptions, counted: @escaping @Sendable (Int) -> Void,
        answered: @escaping @Sendable ([SocketIOValue]?) -> Void
    ) throws(SocketIOUsageError) -> @Sendable () -> Void {
        let id = namespace.nextID()
        let packet = SocketIOPacket(namespace: namespace.name, content: .event(event, id: id))
        let prepared = try server.configuration.parser.encode(packet).map { EngineIOPreparedMessage($0.compressed(options.compression)) }
        let sockets = sockets(options).filter { $0.awaitAnswer(id) { answered(try? $0.get()) } }
        counted(sockets.count)
        for socket in sockets { socket.send(prepared, packet, options) }
        return { for socket in sockets { socket.answer(id, .failure(SocketIOAckError(.timeout))) } }
    }

    // MARK: Sockets

    /// The sockets, described.
    public func fetchSockets(_ options: SocketIOBroadcastOptions) async throws -> [SocketIORemoteSocket] {
        sockets(options).map { SocketIORemoteSocket($0) }
    }

    /// Puts sockets into rooms.
    public func joinSockets(_ options: SocketIOBroadcastOptions, rooms: Set<String>) {
        for socket in sockets(options) { socket.join(rooms) }
    }

    /// Takes sockets out of rooms.
    public func leaveSockets(_ options: SocketIOBroadcastOptions, rooms: Set<String>) {
        for socket in sockets(options) { leave(socket, rooms: rooms) }
    }

    /// Has sockets leave the namespace.
    public func disconnectSockets(_ options: SocketIOBroadcastOptions, closingConnections: Bool) {
        for socket in sockets(options) { socket.disconnectNow(closingConnection: closingConnections) }
    }

    // MARK: Other nodes

    /// One: this node.
    public func serverCount() async throws -> Int { 1 }
    /// Does nothing, as there is no other node.
    public func serverSideEmit(_ event: [SocketIOValue]) {}
    /// No answers, as there is no other node.
    public func serverSideEmitWithAck(_ event: [SocketIOValue], timeout: Duration?) async throws -> [[SocketIOValue]] { [] }

    // MARK: Recovery

    /// Keeps a session whose client may come back, if recovery is on.
    public func persist(_ session: SocketIOSession) { (log as? RecoveryLog)?.persist(session) }
    /// Finds a session.
    public func restore(privateID: String, offset: String) async -> RecoveredSession? { (log as? RecoveryLog)?.restore(privateID, offset) }

    /// Lets a socket that has come back into the namespace and its rooms; see `SocketIOAdapter`.
    public func rejoin(_ socket: SocketIOSocket, _ recovered: RecoveredSession) -> [[SocketIOValue]]? {
        var events: [SocketIORoomEvent] = []
        let missed = state.withLockedValue { state -> [[SocketIOValue]]? in
            guard socket.isIn, let missed = log?.missed(recovered) else { return nil }
            namespace.insert(socket)
            _ = put(socket, into: recovered.session.rooms, &state, &events)
            return missed
        }
        namespace.tell(events)
        return missed
    }

    /// Does nothing.
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
        answered: @escaping @Sendable ([SocketIOValue]?) -> Void
    ) -> @Sendable () -> Void {
        counted(0)
        return {}
    }
    func fetchSockets(_ options: SocketIOBroadcastOptions) async throws -> [SocketIORemoteSocket] { [] }
    func joinSockets(_ options: SocketIOBroadcastOptions, rooms: Set<String>) {}
    func leaveSockets(_ options: SocketIOBroadcastOptions, rooms: Set<String>) {}
    func disconnectSockets(_ options: SocketIOBroadcastOptions, closingConnections: Bool) {}
    func serverCount() async throws -> Int { 1 }
    func serverSideEmit(_ event: [SocketIOValue]) {}
    func serverSideEmitWithAck(_ event: [SocketIOValue], timeout: Duration?) async throws -> [[SocketIOValue]] { [] }
    func persist(_ session: SocketIOSession) {}
    func restore(privateID: String, offset: String) async -> RecoveredSession? { nil }
    func rejoin(_ socket: SocketIOSocket, _ recovered: RecoveredSession) -> [[SocketIOValue]]? { nil }
    func close() {}
}
