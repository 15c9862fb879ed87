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
        /// How long a request may take to arrive, TLS included: 10 s from the connection's start or the last response, whatever
        /// arrives meanwhile, so that a byte now and then keeps nothing open (Slowloris).
        public var handshakeTimeout: Duration
        /// How long a response may take to leave: 30 s, after which a peer that does not read is cut off.
        public var responseTimeout: Duration
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
            responseTimeout: Duration = .seconds(30), drainTimeout: Duration = .seconds(30), maxHeaderFields: Int = 100,
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
            self.responseTimeout = responseTimeout
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
