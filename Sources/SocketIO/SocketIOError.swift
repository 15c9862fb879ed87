// What this program tells a client of a failure.

import EngineIO

/// A failure that the client is told of: thrown by a middleware, it refuses the connection (CONNECT_ERROR); thrown by a handler, it answers
/// the event that asked for an acknowledgement.
///
/// Any other error that is thrown is logged, and the client learns only that something failed: what went wrong inside is not its business.
public struct SocketIOError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What happened, in words for the client's user or its program.
    public let message: String
    /// More of it; on a client, `error.data` of its `connect_error`.
    public let data: SocketIOValue?

    /// Makes a failure.
    public init(_ message: String, data: SocketIOValue? = nil) {
        self.message = message
        self.data = data
    }

    /// The words.
    public var description: String { message }

    /// What a client is told of any error.
    static func shown(of error: any Error) -> SocketIOError {
        if let error = error as? SocketIOError { return error }
        if let error = error as? SocketIOArgumentError { return SocketIOError(error.description) }
        return SocketIOError("internal server error")
    }

    /// The payload of a CONNECT_ERROR (Socket.IO protocol 5, "Connection to a namespace").
    var payload: SocketIOValue {
        var object: SocketIOObject = ["message": .string(message)]
        if let data { object["data"] = data }
        return .object(object)
    }

    /// What answers an event instead of a result.
    var answer: SocketIOValue {
        var object: SocketIOObject = ["error": .string(message)]
        if let data { object["data"] = data }
        return .object(object)
    }
}

/// An acknowledgement did not come.
public struct SocketIOAckError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Why; more may be added.
    public struct Reason: Sendable, Hashable {
        let text: String

        /// Nobody answered in time.
        public static let timeout = Self(text: "no acknowledgement came in time")
        /// The socket disconnected first.
        public static let disconnected = Self(text: "the socket has been disconnected")
        /// The event could not be sent: it can not be encoded, which the log tells, or too many wait for a connection already
        /// (`SocketIOSendBuffer`).
        public static let notSent = Self(text: "the event could not be sent")
        /// The other nodes of a cluster could not be asked: only this node's sockets were.
        public static let otherNodesUnreachable = Self(text: "the other nodes could not be asked")
    }

    /// Why.
    public let reason: Reason
    /// Of a broadcast, what those answered who did.
    public let responses: [[SocketIOValue]]

    init(_ reason: Reason, responses: [[SocketIOValue]] = []) {
        self.reason = reason
        self.responses = responses
    }

    /// Why.
    public var description: String { reason.text }
}

/// Why a socket left its namespace, in the words of Socket.IO's documentation.
public struct SocketIODisconnectReason: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    /// The words.
    public let rawValue: String
    /// Makes a reason of its words.
    public init(rawValue: String) { self.rawValue = rawValue }
    /// The words.
    public var description: String { rawValue }

    init(_ reason: EngineIOClosure.Reason) { self.init(rawValue: reason.rawValue) }

    /// This program disconnected the socket.
    public static let serverNamespaceDisconnect = Self(rawValue: "server namespace disconnect")
    /// The client left the namespace.
    public static let clientNamespaceDisconnect = Self(rawValue: "client namespace disconnect")
    /// The server shuts down.
    public static let serverShuttingDown = Self(.serverShuttingDown)
    /// The client did not answer a ping in time.
    public static let pingTimeout = Self(.pingTimeout)
    /// The connection was closed, or lost.
    public static let transportClose = Self(.transportClose)
    /// The connection failed.
    public static let transportError = Self(.transportError)
    /// The client sent what is no packet.
    public static let parseError = Self(.parseError)
    /// This program closed the connection.
    public static let forcedClose = Self(.forcedClose)
    /// The client joined no namespace in time.
    public static let forcedServerClose = Self(rawValue: "forced server close")

    /// Whether a client may come back from it and go on where it was (Socket.IO documentation, "Connection state recovery").
    var isRecoverable: Bool {
        [.transportError, .transportClose, .forcedClose, .pingTimeout, .serverShuttingDown, .forcedServerClose].contains(self)
    }
}
