// The one way in, of a client: what happens in its session goes to its handler.

public import WebSockets

/// What happens in one session of a client.
///
/// The calls come one after another, from `opened` to `closed`, on whichever thread brought the news; `closed` is the only one if the
/// session never opened. They must not block. A call that sends or closes is not interrupted by what that causes.
public protocol EngineIOClientHandler: AnyObject, Sendable {
    /// The session is open.
    func opened(_ session: EngineIOClientSession)
    /// A message has arrived.
    ///
    /// Its bytes are a slice of what was read from the network: whoever keeps small messages for long copies them.
    func received(_ message: Message, from session: EngineIOClientSession)
    /// The session has changed from long-polling to WebSocket.
    func upgraded(_ session: EngineIOClientSession)
    /// The session has ended, or could not be opened; nothing follows.
    ///
    /// - Parameter error: what went wrong; nil if this end closed, or the server did as it may.
    func closed(_ session: EngineIOClientSession, _ closure: EngineIOClosure, _ error: EngineIOClientError?)
}

extension EngineIOClientHandler {
    /// Does nothing.
    public func upgraded(_ session: EngineIOClientSession) {}
}
