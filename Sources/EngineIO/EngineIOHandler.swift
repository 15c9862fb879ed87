// The one way in: what happens in a session goes to its handler.

public import WebSockets

/// What happens in one session.
///
/// The calls of one session come one after another, from `opened` to `closed`, in the order in which the client caused them, on whichever
/// thread brought the news: on WebSocket that is always the connection's own. They must not block, as every connection of the thread waits
/// meanwhile. What a call sends leaves together, in one write. A call that sends or closes is not interrupted by what that causes: `closed`
/// comes after it has returned.
public protocol EngineIOHandler: AnyObject, Sendable {
    /// The session is open; the client learns of it after this call.
    func opened(_ session: EngineIOSession)
    /// A message has arrived.
    ///
    /// Its bytes are a slice of what was read from the network: whoever keeps small messages for long copies them.
    func received(_ message: Message, from session: EngineIOSession)
    /// The session has changed from long-polling to WebSocket.
    func upgraded(_ session: EngineIOSession)
    /// The session has ended; nothing follows.
    func closed(_ session: EngineIOSession, _ closure: EngineIOClosure)
}

extension EngineIOHandler {
    /// Does nothing.
    public func opened(_ session: EngineIOSession) {}
    /// Does nothing.
    public func upgraded(_ session: EngineIOSession) {}
    /// Does nothing.
    public func closed(_ session: EngineIOSession, _ closure: EngineIOClosure) {}
}

/// How a session ended.
public struct EngineIOClosure: Sendable, Hashable, CustomStringConvertible {
    /// Why, in the words that Socket.IO's clients and servers know.
    public struct Reason: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
        /// The words.
        public let rawValue: String
        /// Makes a reason of its words.
        public init(rawValue: String) { self.rawValue = rawValue }
        /// The words.
        public var description: String { rawValue }

        /// The client closed, or its connection was lost.
        public static let transportClose = Self(rawValue: "transport close")
        /// The client broke a rule of the transport or a limit, or its poll was broken off.
        public static let transportError = Self(rawValue: "transport error")
        /// The client did not answer a ping in time.
        public static let pingTimeout = Self(rawValue: "ping timeout")
        /// The client sent what is no packet.
        public static let parseError = Self(rawValue: "parse error")
        /// This program closed the session.
        public static let forcedClose = Self(rawValue: "forced close")
        /// The server shuts down.
        public static let serverShuttingDown = Self(rawValue: "server shutting down")
    }

    /// Why.
    public let reason: Reason
    /// What exactly, for the log; nil where the reason says it all.
    public let detail: String?

    init(_ reason: Reason, _ detail: String? = nil) {
        self.reason = reason
        self.detail = detail
    }

    /// The reason and what exactly.
    public var description: String { detail.map { "\(reason): \($0)" } ?? reason.rawValue }
}
