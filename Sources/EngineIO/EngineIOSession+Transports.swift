// What the transports bring: a WebSocket's messages and end, and requests of long-polling.

import NIOCore
import Synchronization
import WebSocketCore
import WebSockets

extension EngineIOSession {
    // MARK: Opening

    /// Opens with the request that asked for it.
    func open(_ exchange: EngineIOExchange) {
        let packet = server.configuration.openPacket(sid: id, transport: .polling)
        run { $0.open(polling: exchange, packet, at: $1) }
    }

    /// Opens on a WebSocket.
    func open(_ socket: WebSocket) {
        self.socket.storeIfNil(socket)
        let packet = server.configuration.openPacket(sid: id, transport: .webSocket)
        run { $0.open(webSocket: socket, packet, at: $1) }
    }

    // MARK: WebSocket

    /// A message has arrived; called on the WebSocket's thread.
    @inline(__always)
    func received(_ message: Message, on socket: WebSocket) {
        guard isDirect.load(ordering: .acquiring), self.socket.load() === socket, let message = Self.plainMessage(message) else {
            return receivedSlowly(message, on: socket)
        }
        heardDirectly.store(socket.now.nanoseconds, ordering: .relaxed)
        deliver(message)
    }

    /// What a message packet carries, in the forms that need no work; nil for all else.
    @inline(__always)
    private static func plainMessage(_ message: Message) -> Message? {
        guard message.kind == .text else { return message }
        var payload = message.payload
        guard payload.readInteger(as: UInt8.self) == EngineIOPacket.PacketType.message.digit else { return nil }
        return Message(kind: .text, payload: payload, compression: .automatic)
    }

    @inline(__always)
    private func deliver(_ message: Message) {
        isDelivering = true
        handler?.received(message, from: self)
        isDelivering = false
        guard performsLater else { return }
        performsLater = false
        perform()
    }

    @inline(never)
    private func receivedSlowly(_ message: Message, on socket: WebSocket) {
        let packet = Result { () throws(EngineIOError) in try EngineIOPacket(webSocket: message) }
        run { $0.received(packet, on: socket, at: $1) }
    }

    /// A WebSocket comes to a session on long-polling.
    func attach(_ socket: WebSocket) { run { $0.attach(socket, at: $1) } }

    /// A WebSocket has ended.
    func ended(_ socket: WebSocket, _ closure: Closure) {
        let closure = Self.closure(closure, limit: server.configuration)
        run { machine, _ in machine.socketEnded(socket, closure) }
    }

    /// What Node calls the ways in which a WebSocket ends: an error of the connection's is "transport error", all else "transport close".
    private static func closure(_ closure: Closure, limit: EngineIOConfiguration) -> EngineIOClosure {
        guard closure.initiator == .local else { return EngineIOClosure(.transportClose, closure.description) }
        switch closure.code {
        case .goingAway: return EngineIOClosure(.serverShuttingDown)
        case .messageTooBig: return EngineIOClosure(.transportError, "a message over \(limit.maxPayload) bytes (limit maxPayload)")
        case .tryAgainLater:
            let what = "the client read too slowly: over \(limit.maxBufferedBytes) bytes waited (limit maxBufferedBytes)"
            return EngineIOClosure(.transportError, what)
        case .normalClosure: return EngineIOClosure(.transportClose, closure.description)
        default: return EngineIOClosure(.transportError, closure.description)
        }
    }
}

/// A WebSocket's handler: it passes everything on to the session.
struct SessionSocket: WebSocketHandler {
    let session: EngineIOSession
    /// Whether the session began with this connection.
    let isFirst: Bool

    func opened(_ socket: WebSocket) {
        if isFirst { session.open(socket) } else { session.attach(socket) }
    }

    func received(_ message: Message, from socket: WebSocket) { session.received(message, on: socket) }

    func closed(_ socket: WebSocket, _ closure: Closure) { session.ended(socket, closure) }
}
