// What happens to a client's connection, under the names of the official client's Manager, and to one of its sockets.

/// What happens to a client's connection, which all of its sockets share.
public enum SocketIOClientEvent: Sendable {
    /// `open`: there is a connection.
    case open
    /// `error`: a connection could not be made.
    case error(SocketIOConnectError)
    /// `close`: the connection is over.
    case close(SocketIODisconnectReason)
    /// `reconnect_attempt`: another connection is tried, for the so-many-th time.
    case reconnectAttempt(Int)
    /// `reconnect`: there is a connection again, after so many attempts.
    case reconnect(Int)
    /// `reconnect_error`: an attempt failed.
    case reconnectError(SocketIOConnectError)
    /// `reconnect_failed`: there are no more attempts.
    case reconnectFailed

    /// The name that it has in the official client.
    public var name: String {
        switch self {
        case .open: "open"
        case .error: "error"
        case .close: "close"
        case .reconnectAttempt: "reconnect_attempt"
        case .reconnect: "reconnect"
        case .reconnectError: "reconnect_error"
        case .reconnectFailed: "reconnect_failed"
        }
    }
}

/// Where a socket of a client is on its way.
public enum SocketIOConnectionState: Sendable, Hashable, CustomStringConvertible {
    /// It is not connected, and does not try to be: it was not asked to, was refused, or was disconnected by either side.
    case disconnected(SocketIODisconnectReason?)
    /// It connects, for the first time or again; events are kept meanwhile.
    case connecting
    /// Events go both ways.
    case connected(id: String, isRecovered: Bool)

    /// In words.
    public var description: String {
        switch self {
        case .disconnected(nil): "disconnected"
        case .disconnected(let reason?): "disconnected (\(reason))"
        case .connecting: "connecting"
        case .connected(let id, let isRecovered): "connected as \(id)\(isRecovered ? ", recovered" : "")"
        }
    }
}

extension SocketIODisconnectReason {
    /// On a client: the server disconnected the socket, which does not reconnect by itself.
    public static let ioServerDisconnect = Self(rawValue: "io server disconnect")
    /// On a client: this program disconnected the socket.
    public static let ioClientDisconnect = Self(rawValue: "io client disconnect")
}
