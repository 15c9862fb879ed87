// Why a socket is not connected.

/// A socket could not connect.
public struct SocketIOConnectError: Error, Sendable, CustomStringConvertible {
    /// What failed; more may be added.
    public struct Reason: RawRepresentable, Sendable, Hashable {
        /// A short and stable label.
        public let rawValue: String
        /// Makes a reason of its label.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The server said no (CONNECT_ERROR): a middleware's refusal, or a namespace that does not exist. The socket does not connect by itself
        /// any more.
        public static let refused = Self(rawValue: "refused")
        /// There is no connection to the server; `underlying` says why. It is tried again, by `SocketIOReconnection`.
        public static let connection = Self(rawValue: "connection")
        /// The closure of `SocketIOAuth` threw; `underlying` is what. It is asked again.
        public static let auth = Self(rawValue: "auth")
        /// The server speaks an older protocol: Socket.IO 2, which is not compatible. The socket does not connect by itself any more.
        public static let incompatible = Self(rawValue: "incompatible")
        /// The socket, or the client, was disconnected meanwhile.
        public static let disconnected = Self(rawValue: "disconnected")
    }

    /// What failed.
    public let reason: Reason
    /// The server's words, or what failed in ours.
    public let message: String
    /// What the server added to its words: `data` of a middleware's error.
    public let data: SocketIOValue?
    /// The error beneath it, if there was one.
    public let underlying: (any Error)?

    init(_ reason: Reason, _ message: String, data: SocketIOValue? = nil, underlying: (any Error)? = nil) {
        self.reason = reason
        self.message = message
        self.data = data
        self.underlying = underlying
    }

    /// What a CONNECT_ERROR says (Socket.IO protocol 5, "Connection to a namespace").
    init(refusal payload: SocketIOValue) {
        self.init(.refused, payload["message"]?.string ?? payload.string ?? "", data: payload["data"])
    }

    /// The words.
    public var description: String { message.isEmpty ? reason.rawValue : message }
}
