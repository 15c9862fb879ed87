// A connection's handler, whatever its type, behind one virtual call.
//
// An existential is copied for every call, by functions that its type's metadata names; with a thousand messages a read, that is a tenth of
// the work. The box is one reference.

import WebSocketCore

/// A connection's handler; see `WebSocketHandler`.
class HandlerBox {
    fileprivate init() {}

    static func box(_ handler: some WebSocketHandler) -> HandlerBox { Box(handler) }

    func opened(_ socket: WebSocket) {}
    func received(_ message: Message, from socket: WebSocket) {}
    func closed(_ socket: WebSocket, _ closure: Closure) {}
}

private final class Box<Handler: WebSocketHandler>: HandlerBox {
    private let handler: Handler

    init(_ handler: Handler) { self.handler = handler }

    override func opened(_ socket: WebSocket) { handler.opened(socket) }
    override func received(_ message: Message, from socket: WebSocket) { handler.received(message, from: socket) }
    override func closed(_ socket: WebSocket, _ closure: Closure) { handler.closed(socket, closure) }
}
