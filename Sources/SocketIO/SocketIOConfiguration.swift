// What a Socket.IO server allows its clients: the defaults, which are Node's where Node has one, and their reasons.

public import EngineIO
public import Logging

/// The limits, times and habits of a Socket.IO server.
public struct SocketIOConfiguration: Sendable {
    /// Path, transports, heartbeat, sizes, CORS: what the connections beneath are like.
    public var engine: EngineIOConfiguration
    /// How packets are written; both ends must use the same.
    public var parser: any SocketIOParser
    /// How long a client may stay connected without having joined a namespace: 45 s, as Node has it.
    public var connectTimeout: Duration
    /// The most namespaces that one client is in at a time: 100, more than programs have, and little enough to be searched one by one.
    public var maxNamespaces: Int
    /// The most rooms that one socket is in: 1,000. Joining beyond that fails and is logged, as rooms are often named by clients.
    public var maxRooms: Int
    /// The most bytes of events that wait for a socket's handlers: 1 MiB, counted as they arrived; a client that sends more than its
    /// handlers keep up with is disconnected.
    public var maxPendingBytes: Int
    /// How long `emitWithAck` waits where nothing else is said: nil, for ever, as Node has it; it ends with the connection in any case.
    public var ackTimeout: Duration?
    /// Whether a namespace that came of a pattern is removed when its last socket has left: no.
    public var cleanupEmptyChildNamespaces: Bool
    /// What is kept for clients that lose their connection, so that they miss nothing; nil for nothing.
    public var recovery: SocketIORecovery?
    /// Makes the adapter of each namespace: where its rooms are, and what reaches other nodes.
    public var adapter: @Sendable (SocketIONamespace) -> any SocketIOAdapter
    /// Where faults go.
    public var logger: Logger

    /// Makes a configuration.
    public init(
        engine: EngineIOConfiguration = EngineIOConfiguration(), parser: any SocketIOParser = SocketIOJSONParser(),
        connectTimeout: Duration = .seconds(45), maxNamespaces: Int = 100, maxRooms: Int = 1000, maxPendingBytes: Int = 1_048_576,
        ackTimeout: Duration? = nil, cleanupEmptyChildNamespaces: Bool = false, recovery: SocketIORecovery? = nil,
        adapter: @escaping @Sendable (SocketIONamespace) -> any SocketIOAdapter = { SocketIOInMemoryAdapter($0) },
        logger: Logger = Logger(label: "duplex.socket-io")
    ) {
        self.engine = engine
        self.parser = parser
        self.connectTimeout = connectTimeout
        self.maxNamespaces = maxNamespaces
        self.maxRooms = maxRooms
        self.maxPendingBytes = maxPendingBytes
        self.ackTimeout = ackTimeout
        self.cleanupEmptyChildNamespaces = cleanupEmptyChildNamespaces
        self.recovery = recovery
        self.adapter = adapter
        self.logger = logger
    }
}

/// Connection state recovery: a client that comes back in time keeps its id, rooms and data, and gets what it missed.
public struct SocketIORecovery: Sendable, Hashable {
    /// How long a client may be away: 2 minutes, as Node has it.
    public var maxDisconnectionDuration: Duration
    /// Whether a client that comes back is let in without asking the middlewares again: yes, as Node has it.
    public var skipMiddlewares: Bool
    /// The most bytes of events that are kept for those who are away, of one namespace: 16 MiB. The oldest are dropped first; a client that
    /// missed one of those begins anew.
    public var maxBytes: Int

    /// Makes a recovery.
    public init(maxDisconnectionDuration: Duration = .seconds(120), skipMiddlewares: Bool = true, maxBytes: Int = 16_777_216) {
        self.maxDisconnectionDuration = maxDisconnectionDuration
        self.skipMiddlewares = skipMiddlewares
        self.maxBytes = maxBytes
    }
}
