// Where a namespace's rooms are, and what carries a broadcast to them: on this node, and, with an adapter of a cluster, on all of them.
//
// Everything that concerns more than one socket goes through the adapter, so that another one changes no handler. What nodes have to ask each
// other is here from the start: it is what the JavaScript adapters send as `ClusterMessage`.

import EngineIO
public import WebSockets

/// Which sockets of a namespace are meant, and how they are reached.
public struct SocketIOBroadcastOptions: Sendable, Hashable {
    /// The sockets in any of these rooms; all sockets of the namespace if there are none.
    public var rooms: Set<String>
    /// But for those in any of these.
    public var except: Set<String>
    /// Whether those that can not take it now are left out.
    public var isVolatile: Bool
    /// Whether only this node's are meant.
    public var isLocal: Bool
    /// Whether it is compressed.
    public var compression: MessageCompression
    /// How long answers are waited for.
    public var timeout: Duration?

    /// Makes options.
    public init(
        rooms: Set<String> = [], except: Set<String> = [], isVolatile: Bool = false, isLocal: Bool = false,
        compression: MessageCompression = .automatic, timeout: Duration? = nil
    ) {
        self.rooms = rooms
        self.except = except
        self.isVolatile = isVolatile
        self.isLocal = isLocal
        self.compression = compression
        self.timeout = timeout
    }
}

/// What happens to rooms.
public enum SocketIORoomEvent: Sendable, Hashable {
    /// A first socket joins.
    case create(room: String)
    /// A socket has joined.
    case join(room: String, id: String)
    /// A socket has left.
    case leave(room: String, id: String)
    /// The last socket has left.
    case delete(room: String)
}

/// Keeps a namespace's rooms and carries what is said to them; all of it from any thread.
///
/// An adapter of a cluster does on its own node what `SocketIOInMemoryAdapter` does, by way of one, and has the other nodes do the same.
public protocol SocketIOAdapter: AnyObject, Sendable {
    // MARK: This node's sockets

    /// Puts a socket into rooms.
    ///
    /// - Returns: the rooms that it may not join, as it is in as many as it may be (`SocketIOConfiguration.maxRooms`).
    func join(_ socket: SocketIOSocket, rooms: Set<String>) -> Set<String>
    /// Takes a socket out of rooms.
    func leave(_ socket: SocketIOSocket, rooms: Set<String>)
    /// Takes a socket that is gone out of all rooms.
    func leaveAll(_ socket: SocketIOSocket)
    /// The rooms of one of this node's sockets, its own among them; empty if there is no such socket.
    func rooms(of id: String) -> Set<String>
    /// The rooms that this node's sockets are in, and how many in each; without the sockets' own.
    var allRooms: [String: Int] { get }
    /// A socket's transport has changed.
    func transportChanged(_ socket: SocketIOSocket)

    // MARK: All nodes' sockets

    /// Sends a packet to sockets.
    func broadcast(_ packet: SocketIOPacket, _ options: SocketIOBroadcastOptions)
    /// Sends an event to sockets and collects their answers.
    ///
    /// - Parameters:
    ///   - counted: told, once for each node, how many sockets were asked there.
    ///   - answered: told of each answer, and, with nil, of each socket that has left without one.
    /// - Returns: ends the waiting for answers.
    /// - Throws: `SocketIOUsageError` if the event can not be sent; then nobody is told anything.
    func broadcast(
        _ event: [SocketIOValue], _ options: SocketIOBroadcastOptions, counted: @escaping @Sendable (Int) -> Void,
        answered: @escaping @Sendable ([SocketIOValue]?) -> Void
    ) throws(SocketIOUsageError) -> @Sendable () -> Void
    /// The sockets, described.
    func fetchSockets(_ options: SocketIOBroadcastOptions) async throws -> [SocketIORemoteSocket]
    /// Puts sockets into rooms.
    func joinSockets(_ options: SocketIOBroadcastOptions, rooms: Set<String>)
    /// Takes sockets out of rooms.
    func leaveSockets(_ options: SocketIOBroadcastOptions, rooms: Set<String>)
    /// Does something behind all broadcasts that were asked for before, as far as they do not take too long; at once unless an adapter says otherwise.
    func afterwards(_ body: @escaping @Sendable () -> Void)
    /// Has sockets leave the namespace.
    func disconnectSockets(_ options: SocketIOBroadcastOptions, closingConnections: Bool)

    // MARK: Other nodes

    /// How many nodes share this namespace, this one included.
    func serverCount() async throws -> Int
    /// Sends an event to the other nodes.
    func serverSideEmit(_ event: [SocketIOValue])
    /// Sends an event to the other nodes and waits for their answers.
    func serverSideEmitWithAck(_ event: [SocketIOValue], timeout: Duration?) async throws -> [[SocketIOValue]]

    // MARK: Recovery

    /// Keeps a session whose client may come back.
    func persist(_ session: SocketIOSession)
    /// Finds a session, which is not found again; nil if it is not known, or too old, or what its client missed is not known any more.
    func restore(privateID: String, offset: String) async -> RecoveredSession?
    /// Takes a session back that was found, and whose client has gone again before it was let in.
    func giveBack(_ session: SocketIOSession)
    /// Lets a socket that has come back into the namespace and its rooms.
    ///
    /// To a broadcast on this node, this happens in one moment: what was said before is missed, what is said later goes to the socket.
    ///
    /// - Returns: the events that it missed, in order; nil if it has gone again, or they are not known any more.
    func rejoin(_ socket: SocketIOSocket, _ recovered: RecoveredSession) -> [[SocketIOValue]]?

    /// Ends: the namespace is gone.
    func close()
}

extension SocketIOAdapter {
    /// Does something at once.
    public func afterwards(_ body: @escaping @Sendable () -> Void) { body() }
    /// Keeps it again.
    public func giveBack(_ session: SocketIOSession) { persist(session) }
}

/// What is kept of a client that may come back.
public struct SocketIOSession: Sendable {
    /// The socket's id.
    public let id: String
    /// The secret that the client proves itself with.
    public let privateID: String
    /// The rooms that it was in, its own among them.
    public let rooms: Set<String>
    /// What was kept with it.
    public let data: (any Codable & Sendable)?

    /// Makes a session.
    public init(id: String, privateID: String, rooms: Set<String>, data: (any Codable & Sendable)?) {
        self.id = id
        self.privateID = privateID
        self.rooms = rooms
        self.data = data
    }
}

/// A client that has come back.
public struct RecoveredSession: Sendable {
    /// What was kept.
    public let session: SocketIOSession
    /// The offset of the last event that it has.
    public let offset: String
    /// What it has missed, as far as a cluster's log was read, with the offsets in that.
    package let missed: [(offset: String, event: [SocketIOValue])]

    /// Makes it.
    public init(_ session: SocketIOSession, offset: String) { self.init(session, offset: offset, missed: []) }

    /// Makes it with what was missed.
    package init(_ session: SocketIOSession, offset: String, missed: [(offset: String, event: [SocketIOValue])]) {
        self.session = session
        self.offset = offset
        self.missed = missed
    }

    var id: String { session.id }
    var privateID: String { session.privateID }
    var data: (any Codable & Sendable)? { session.data }
}
