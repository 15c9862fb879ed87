// The one way in: what arrives on a connection goes to its handler, on the connection's own thread.

public import WebSocketCore

/// What happens on one connection, told on the connection's own thread.
///
/// The calls of one connection come one after another, from `opened` to `closed`. They must not block: every connection of the thread
/// waits meanwhile. What a call sends leaves together, in one write, when all that arrived with it has been handled. For code
/// that awaits, take a handler closure and `for try await message in socket` instead; it runs on the same thread.
public protocol WebSocketHandler {
    /// The handshake is done; the client learns of it after this call.
    func opened(_ socket: WebSocket)
    /// A whole message has arrived.
    func received(_ message: Message, from socket: WebSocket)
    /// The connection has ended; nothing follows.
    func closed(_ socket: WebSocket, _ closure: Closure)
}

extension WebSocketHandler {
    /// Does nothing.
    public func opened(_ socket: WebSocket) {}
    /// Does nothing.
    public func closed(_ socket: WebSocket, _ closure: Closure) {}
}
