// What a client can be told: which way to go, whom to be, how long it may take; the defaults are the official client's where it has one.

public import HTTPTypes
public import Logging
public import NIOCore
public import NIOPosix
package import WebSocketCore
public import WebSocketDeflate
public import WebSockets

/// The settings of an Engine.IO client.
public struct EngineIOClientConfiguration: Sendable {
    /// Where the server is found: `/socket.io/`, as Socket.IO's servers have it.
    public var path: String
    /// The transports to use, the first one first: long-polling, which every network lets through, then WebSocket.
    public var transports: [EngineIOTransport]
    /// Whether to change from long-polling to WebSocket, if the server offers it: yes.
    public var allowsUpgrade: Bool
    /// Whether the next transport is tried when one can not be opened: no, as in the official client.
    public var triesAllTransports: Bool
    /// Whether to begin with WebSocket where it worked the last time in this process: no. It saves a round trip or two, where networks do
    /// not change under the program.
    public var remembersUpgrade: Bool
    /// More of the query, for every request; names and values are percent-encoded here.
    public var query: [String: String]
    /// More header fields for every request, such as `Authorization`, `Cookie` or `Origin`.
    public var headers: HTTPFields
    /// Whether cookies that the server sets on long-polling are sent back: yes, as load balancers keep a client at one server by them.
    public var keepsCookies: Bool
    /// TLS, for `https` and `wss`.
    public var tls: ClientTLS
    /// The proxy to connect through; nil to connect directly. The environment is not looked at.
    public var proxy: Proxy?
    /// How long it may take until the session is open, all tries together: 20 s.
    public var timeout: Duration
    /// The number of redirects of a session's first request that are followed in a row: 5; 0 follows none. The rules are the WebSocket
    /// client's: never from TLS to plaintext, and no credentials to another origin. The session stays where they lead.
    public var maxRedirects: Int
    /// How long the change to WebSocket may take: 10 s; then the session stays on long-polling.
    public var upgradeTimeout: Duration
    /// How long a close waits until what was sent before has left: 5 s.
    public var closeTimeout: Duration
    /// The most bytes of one message from the server, and of one answer to a poll: 16 MiB. The server is trusted more than a stranger, but
    /// not with all of this machine's memory.
    public var maxMessageSize: Int
    /// The most packets of one POST: 16, as Python's server takes no more at a time.
    public var maxPacketsPerPost: Int
    /// The most packets of one answer to a poll: 100,000, which are taken apart within milliseconds.
    public var maxPacketsPerPoll: Int
    /// The most bytes that wait to be sent: 16 MiB, four times what a Socket.IO socket keeps while there is no connection, which leaves all at
    /// once and may grow on the way (Base64, escapes). A session over it is closed with "transport error": a message that was left out would be
    /// missed by the ones behind it.
    public var maxBufferedBytes: Int
    /// How WebSocket messages are compressed: not at all, as Socket.IO's messages are short.
    public var compression: Compression
    /// Where to log; connections and their ends are logged at debug.
    public var logger: Logger
    /// The threads that connections are put on.
    public var eventLoopGroup: any EventLoopGroup
    /// What time it is; for tests, where a device sleeps for an hour.
    package var now: @Sendable () -> Timestamp = { EngineIOClientSession.now }

    /// Makes settings.
    public init(
        path: String = "/socket.io/", transports: [EngineIOTransport] = [.polling, .webSocket], allowsUpgrade: Bool = true,
        triesAllTransports: Bool = false, remembersUpgrade: Bool = false, query: [String: String] = [:], headers: HTTPFields = [:],
        keepsCookies: Bool = true, tls: ClientTLS = ClientTLS(), proxy: Proxy? = nil, timeout: Duration = .seconds(20),
        maxRedirects: Int = 5, upgradeTimeout: Duration = .seconds(10),
        closeTimeout: Duration = .seconds(5), maxMessageSize: Int = 16_777_216,
        maxPacketsPerPost: Int = 16, maxPacketsPerPoll: Int = 100_000, maxBufferedBytes: Int = 16_777_216, compression: Compression = .off,
        logger: Logger = Logger(label: "duplex.engine-io-client"),
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.path = path
        self.transports = transports
        self.allowsUpgrade = allowsUpgrade
        self.triesAllTransports = triesAllTransports
        self.remembersUpgrade = remembersUpgrade
        self.query = query
        self.headers = headers
        self.keepsCookies = keepsCookies
        self.tls = tls
        self.proxy = proxy
        self.timeout = timeout
        self.maxRedirects = maxRedirects
        self.upgradeTimeout = upgradeTimeout
        self.closeTimeout = closeTimeout
        self.maxMessageSize = maxMessageSize
        self.maxPacketsPerPost = maxPacketsPerPost
        self.maxPacketsPerPoll = maxPacketsPerPoll
        self.maxBufferedBytes = maxBufferedBytes
        self.compression = compression
        self.logger = logger
        self.eventLoopGroup = eventLoopGroup
    }
}

/// What a server says when a session opens (Engine.IO protocol 4, "Handshake").
public struct EngineIOOpening: Sendable, Hashable {
    /// The session's id. It is a secret: who knows it can speak in this client's place.
    public let sid: String
    /// The transports that the session may change to, by their names.
    public let upgrades: [String]
    /// How often the server pings.
    public let pingInterval: Duration
    /// How much later a ping may be.
    public let pingTimeout: Duration
    /// The most bytes of one payload that the server takes; nil for no limit known.
    public let maxPayload: Int?
}
