// Why a client has no session, or has lost it.

package import HTTPTypes

/// A session could not be opened, or has failed: the network's fault, or the server's.
public struct EngineIOClientError: Error, Sendable, CustomStringConvertible {
    /// What failed; more may be added.
    public struct Kind: RawRepresentable, Sendable, Hashable {
        /// A short and stable label.
        public let rawValue: String
        /// Makes a kind from its label.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The WebSocket could not be opened; `underlying` says why.
        public static let webSocket = Self(rawValue: "websocket error")
        /// The WebSocket ended.
        public static let webSocketClosed = Self(rawValue: "websocket closed")
        /// A poll failed.
        public static let poll = Self(rawValue: "poll error")
        /// A POST failed.
        public static let post = Self(rawValue: "post error")
        /// The session was not open in time (`EngineIOClientConfiguration.timeout`).
        public static let timeout = Self(rawValue: "timeout")
        /// What the server said first is no handshake.
        public static let invalidHandshake = Self(rawValue: "invalid handshake")
        /// The server sent what is no packet.
        public static let invalidPacket = Self(rawValue: "invalid packet")
        /// Too much waits to be sent (`EngineIOClientConfiguration.maxBufferedBytes`).
        public static let sendBufferFull = Self(rawValue: "send buffer full")
        /// Nothing came for longer than the server's heartbeat allows.
        public static let pingTimeout = Self(rawValue: "ping timeout")
        /// The address can not be one, or there is no transport to try: this program's mistake.
        public static let usage = Self(rawValue: "usage")
    }

    /// What failed.
    public let kind: Kind
    /// The HTTP status that the server answered with; nil where it did not.
    public let status: Int?
    /// The error beneath it, if there was one.
    public let underlying: (any Error)?
    /// What the server answered, but for the body; nil where it did not.
    package let response: HTTPResponse?
    private let detail: String

    init(_ kind: Kind, _ detail: String = "", response: HTTPResponse? = nil, underlying: (any Error)? = nil) {
        self.kind = kind
        self.detail = detail
        self.response = response
        status = response.map { Int($0.status.code) }
        self.underlying = underlying
    }

    /// What failed, and why.
    public var description: String { detail.isEmpty ? kind.rawValue : "\(kind.rawValue): \(detail)" }
}
