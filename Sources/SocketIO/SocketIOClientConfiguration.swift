// What a Socket.IO client can be told; the defaults are the official client's where it has one.

public import EngineIO
public import Logging

/// The settings of a Socket.IO client.
public struct SocketIOClientConfiguration: Sendable {
    /// Path, transports, query, header fields, TLS, proxy, times: what the connection beneath is like.
    public var engine: EngineIOClientConfiguration
    /// How packets are written; both ends must use the same.
    public var parser: any SocketIOParser
    /// What the server is told when a socket connects, unless the socket has its own.
    public var auth: SocketIOAuth
    /// Whether and how a lost connection is made anew; nil for not.
    public var reconnection: SocketIOReconnection?
    /// Whether a socket connects as soon as it is asked for: no. What answers its events has to be there first, and other threads are fast.
    public var connectsAutomatically: Bool
    /// How long `emitWithAck` waits where nothing else is said: nil, for ever, as the official client has it; it ends with the connection in
    /// any case.
    public var ackTimeout: Duration?
    /// How often an event is sent again that was not acknowledged; nil for never. Above that, events leave one after another, each when
    /// the one before is acknowledged, also across connections.
    ///
    /// An event may arrive twice then, as an acknowledgement can be lost like anything else: give events a number of their own where that
    /// matters. `ackTimeout` is how long each try waits, 10 s if that is nil.
    public var retries: Int?
    /// What is kept of what is emitted while there is no connection.
    public var sendBuffer: SocketIOSendBuffer
    /// The most bytes of events that wait for a socket's handlers, before it is connected, or in a sequence of `SocketIOClientSocket.events`:
    /// 16 MiB, counted as they arrived. More of them end the connection ("transport error"), or have the sequence throw.
    public var maxPendingBytes: Int
    /// The most events that wait in a sequence of `SocketIOClientSocket.events`: 10,000; with one more, the sequence throws.
    public var maxPendingEvents: Int
    /// Where faults go.
    public var logger: Logger

    /// Makes settings.
    public init(
        engine: EngineIOClientConfiguration = EngineIOClientConfiguration(), parser: any SocketIOParser = SocketIOJSONParser(),
        auth: SocketIOAuth = .none, reconnection: SocketIOReconnection? = SocketIOReconnection(), connectsAutomatically: Bool = false,
        ackTimeout: Duration? = nil, retries: Int? = nil, sendBuffer: SocketIOSendBuffer = SocketIOSendBuffer(),
        maxPendingBytes: Int = 16_777_216, maxPendingEvents: Int = 10_000, logger: Logger = Logger(label: "duplex.socket-io-client")
    ) {
        self.engine = engine
        self.parser = parser
        self.auth = auth
        self.reconnection = reconnection
        self.connectsAutomatically = connectsAutomatically
        self.ackTimeout = ackTimeout
        self.retries = retries
        self.sendBuffer = sendBuffer
        self.maxPendingBytes = maxPendingBytes
        self.maxPendingEvents = maxPendingEvents
        self.logger = logger
    }
}

/// What the server is told when a socket connects: its `handshake.auth`.
///
/// A server of another origin, to which a redirect has led, is not told: the socket ends with `SocketIOConnectError.Reason.auth`.
public enum SocketIOAuth: Sendable {
    /// Nothing.
    case none
    /// An object.
    case value(SocketIOObject)
    /// An object that is asked for at each connect and reconnect, for credentials that expire. If the closure throws, `onConnectError` is
    /// told, and it is asked again after a while, as for a reconnect.
    case closure(@Sendable () async throws -> SocketIOObject)

    var isNone: Bool { if case .none = self { true } else { false } }

    /// Something that encodes as an object.
    ///
    /// - Throws: `SocketIOArgumentError` if it does not.
    public static func encoding(_ value: some Encodable) throws(SocketIOArgumentError) -> Self {
        guard case .object(let object) = try ValueEncoder().encode(value) else {
            throw SocketIOArgumentError(reason: "what is told at a connect must encode as an object")
        }
        return .value(object)
    }
}

/// What is kept of what is emitted while there is no connection.
public struct SocketIOSendBuffer: Sendable, Hashable {
    /// What becomes of an event for which there is no room.
    public enum Policy: Sendable, Hashable {
        /// It is not taken; `onError` is told, and who waits for its acknowledgement.
        case refuse
        /// The oldest ones are dropped for it.
        case dropOldest
    }

    /// The most events: 10,000.
    public var maxCount: Int
    /// The most bytes of memory, roughly: 4 MiB.
    public var maxBytes: Int
    /// What becomes of an event for which there is no room: it is refused, so that its sender knows.
    public var policy: Policy

    /// Makes a buffer's settings.
    public init(maxCount: Int = 10_000, maxBytes: Int = 4_194_304, policy: Policy = .refuse) {
        self.maxCount = maxCount
        self.maxBytes = maxBytes
        self.policy = policy
    }
}
