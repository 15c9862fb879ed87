// What a server allows before and around its connections: the defaults and their reasons.

public import Logging
public import PubSub
public import WebSocketCore

extension WebSocketServer {
    /// What moves the bytes of WebSockets; HTTP and TLS are always SwiftNIO's.
    public enum Transport: String, Sendable, Hashable, CaseIterable {
        /// The fastest that there is: on Linux and without TLS an epoll loop of our own, else SwiftNIO.
        case automatic
        /// SwiftNIO.
        case nio
    }

    /// The limits and times of a server.
    public struct Configuration: Sendable {
        /// What each WebSocket may take.
        public var connection: ConnectionConfiguration
        /// Certificate and key for `wss`; nil for `ws`.
        public var tls: ServerTLS?
        /// Origins of pages that may connect, beside the server's own.
        public var allowedOrigins: Set<Origin>
        /// How many threads serve connections; one a core unless set.
        public var threads: Int
        /// How many TCP connections are served at a time; those over it get 503. Unlimited unless set: near the
        /// system's limit of open files accepting pauses, until a connection ends, and who connects waits.
        public var maxConnections: Int?
        /// The deadline of a request's head, TLS included, counted from the connection's start or, on a connection that is used again, from
        /// the head's first byte. Defaults to 10 seconds.
        ///
        /// It holds whatever arrives meanwhile, so that a byte now and then keeps nothing open (Slowloris). A head that has begun is answered
        /// with 408. The program's decision about a handshake has the same time, and 503 after it.
        public var handshakeTimeout: Duration
        /// The time in which a request's body must go on: `bodyTimeout` times `minTransferRate` bytes must arrive in each such stretch, or the
        /// request is answered with 408. Defaults to 20 seconds; a body as a whole may take any time.
        public var bodyTimeout: Duration
        /// The time in which a response must go on: the peer's system must take `responseTimeout` times `minTransferRate` bytes in each such
        /// stretch, or the connection is cut. Defaults to 30 seconds; a response as a whole may take any time.
        public var responseTimeout: Duration
        /// The least rate of a request's body and of a response, in bytes per second. Defaults to 1,000, a fortieth of what a phone with
        /// 320 kbit/s sends. With 0, a byte in each stretch of time is enough.
        public var minTransferRate: Int
        /// How long a connection may wait for its next request. Defaults to 65 seconds, since load balancers keep idle connections for 60
        /// and would else send a request into one that is being closed.
        public var keepAliveTimeout: Duration
        /// How long shutting down may take: 30 s; closes are spread over it, so that not all clients reconnect at once.
        public var drainTimeout: Duration
        /// The most header fields of a request: 100, several times what browsers send. More get 431.
        public var maxHeaderFields: Int
        /// The most bytes of a request's header: 16 KiB. More get 431.
        public var maxHeaderBytes: Int
        /// The most bytes of a request's body: 1 MiB, as a message. More get 413.
        public var maxBodyBytes: Int
        /// What other threads may have published that a thread has not delivered yet, in bytes: 32 MiB, a tenth of a second of the most
        /// that threads copy to each other. Over it, publications are dropped, the latest of each topic and key last, and each subscription's
        /// `SlowConsumerPolicy` says what that means; who publishes never waits, but can (`WebSocketServer.waitUntilDelivered()`).
        public var maxPublicationBacklog: Int
        /// What carries publications to other nodes; nil for a server by itself.
        public var backplane: (any Backplane)?
        /// How often a node tells the others on its backplane that it is there: 5 s. Who is silent three times as long is gone, and all members whose
        /// connections it had; what got lost on the way is noticed after this time.
        public var backplaneHeartbeat: Duration
        /// What moves the bytes of WebSockets.
        public var transport: Transport
        /// Where refusals (info), connections (debug) and faults go.
        public var logger: Logger

        /// Makes a configuration.
        public init(
            connection: ConnectionConfiguration = ConnectionConfiguration(), tls: ServerTLS? = nil, allowedOrigins: Set<Origin> = [],
            threads: Int = defaultThreads, maxConnections: Int? = nil, handshakeTimeout: Duration = .seconds(10),
            bodyTimeout: Duration = .seconds(20), responseTimeout: Duration = .seconds(30), minTransferRate: Int = 1000,
            keepAliveTimeout: Duration = .seconds(65), drainTimeout: Duration = .seconds(30), maxHeaderFields: Int = 100,
            maxHeaderBytes: Int = 16_384, maxBodyBytes: Int = 1 << 20, maxPublicationBacklog: Int = 33_554_432,
            backplane: (any Backplane)? = nil, backplaneHeartbeat: Duration = .seconds(5),
            transport: Transport = .automatic, logger: Logger = Logger(label: "duplex")
        ) {
            self.connection = connection
            self.tls = tls
            self.allowedOrigins = allowedOrigins
            self.threads = threads
            self.maxConnections = maxConnections
            self.handshakeTimeout = handshakeTimeout
            self.bodyTimeout = bodyTimeout
            self.responseTimeout = responseTimeout
            self.minTransferRate = minTransferRate
            self.keepAliveTimeout = keepAliveTimeout
            self.drainTimeout = drainTimeout
            self.maxHeaderFields = maxHeaderFields
            self.maxHeaderBytes = maxHeaderBytes
            self.maxBodyBytes = maxBodyBytes
            self.maxPublicationBacklog = maxPublicationBacklog
            self.backplane = backplane
            self.backplaneHeartbeat = backplaneHeartbeat
            self.transport = transport
            self.logger = logger
        }
    }
}
