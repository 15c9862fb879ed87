// What a client can be told: whom to be, which way to go, and how long it may take.

public import HTTPTypes
public import Logging
public import NIOCore
public import NIOPosix

extension WebSocketClient {
    /// The settings of a client.
    public struct Configuration: Sendable {
        /// More header fields for the handshake, such as `Authorization`, `Cookie` or `Origin`. Those of the handshake itself
        /// (`Host`, `Upgrade`, `Connection`, `Sec-WebSocket-…`) are refused.
        public var headers: HTTPFields
        /// The subprotocols to offer, the preferred one first.
        public var subprotocols: [String]
        /// TLS, for `wss`.
        public var tls: ClientTLS
        /// The proxy to connect through; nil to connect directly. The environment is not looked at.
        public var proxy: Proxy?
        /// How long it may take until the WebSocket is open: 10 s for everything together, from the resolver over TCP, proxy and TLS
        /// to the answer, redirects included; several retransmissions of a bad network.
        public var timeout: Duration
        /// How many redirects are followed, one after another: 5, as whoever needs more goes in circles. At 0, a redirect is a refusal.
        public var maxRedirects: Int
        /// The limits and times of the connection.
        public var connection: ConnectionConfiguration
        /// Where to log; connections and their ends are logged at debug.
        public var logger: Logger
        /// The threads that connections are put on, one after another.
        public var eventLoopGroup: any EventLoopGroup

        /// Makes settings.
        public init(
            headers: HTTPFields = [:], subprotocols: [String] = [], tls: ClientTLS = ClientTLS(), proxy: Proxy? = nil,
            timeout: Duration = .seconds(10), maxRedirects: Int = 5, connection: ConnectionConfiguration = ConnectionConfiguration(),
            logger: Logger = Logger(label: "duplex.client"), eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
        ) {
            self.headers = headers
            self.subprotocols = subprotocols
            self.tls = tls
            self.proxy = proxy
            self.timeout = timeout
            self.maxRedirects = maxRedirects
            self.connection = connection
            self.logger = logger
            self.eventLoopGroup = eventLoopGroup
        }
    }
}
