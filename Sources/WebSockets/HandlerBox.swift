// A connection's handler, whatever its type, behind one virtual call.
//
// An existential is copied for every call, by functions that its type's metadata names; with a thousand messages a read, that is a tenth of
// the work. The box is one reference.

import WebSocketCore

/// A connection's handler; see `WebSocketHandler`.
class HandlerBox {
    fileprivate init() {}

    /// - Parameter known: the boxes of handlers without state, of which one serves all connections of a thread.
    static func box<Handler: WebSocketHandler>(_ handler: Handler, _ known: inout [ObjectIdentifier: HandlerBox]) -> HandlerBox {
        guard MemoryLayout<Handler>.size == 0 else { return Box(handler) }
        let type = ObjectIdentifier(Handler.self)
        if let box = known[type] { return box }
        let box = Box(handler)
        known[type] = box
        return box
    }

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
