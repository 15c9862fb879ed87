// What waits to be sent to one session.

import NIOCore
import WebSocketCore
import WebSockets

/// One packet on its way out, whichever transport it will take.
enum Outgoing: Sendable {
    case control(EngineIOPacket)
    case message(Message)
    case prepared(EngineIOPreparedMessage)

    /// The length of the text form in bytes.
    var textLength: Int {
        switch self {
        case .control(let packet): packet.textLength
        case .message(let message): EngineIOPacket(message).textLength
        case .prepared(let prepared): EngineIOPacket(prepared.message).textLength
        }
    }

    func writeText(to bytes: inout ByteBuffer) {
        switch self {
        case .control(let packet): packet.writeText(to: &bytes)
        case .message(let message): EngineIOPacket(message).writeText(to: &bytes)
        case .prepared(let prepared): bytes.writeImmutableBuffer(prepared.packetText)
        }
    }

    /// Whether a poll's answer that holds it may be compressed.
    var allowsCompression: Bool {
        switch self {
        case .control: true
        case .message(let message): message.compression != .never
        case .prepared(let prepared): prepared.message.compression != .never
        }
    }

    /// Sends it over a WebSocket.
    @discardableResult
    func send(over socket: WebSocket, supportsBinary: Bool) -> SendResult {
        switch self {
        case .control(let packet): socket.trySend(packet.webSocketMessage())
        case .message(let message): Self.send(message, over: socket, supportsBinary: supportsBinary)
        case .prepared(let prepared):
            if supportsBinary || prepared.message.kind == .text {
                socket.trySend(prepared.webSocket)
            } else {
                Self.send(prepared.message, over: socket, supportsBinary: false)
            }
        }
    }

    /// Sends a message over a WebSocket.
    @inline(__always) @discardableResult
    static func send(_ message: Message, over socket: WebSocket, supportsBinary: Bool) -> SendResult {
        switch message.kind {
        case .text: socket.trySend(message, after: EngineIOPacket.PacketType.message.digit)
        case .binary:
            socket.trySend(supportsBinary ? message : EngineIOPacket(message).webSocketMessage(supportsBinary: false))
        }
    }

    /// The payload of an answer to a poll.
    static func payload(_ packets: [Outgoing]) -> ByteBuffer {
        // What many get by itself is sent from the same memory.
        if packets.count == 1, case .prepared(let prepared) = packets[0] { return prepared.packetText }
        var bytes = ByteBufferAllocator().buffer(capacity: packets.reduce(0) { $0 + $1.textLength + 1 })
        for (index, packet) in packets.enumerated() {
            if index > 0 { bytes.writeInteger(EngineIOPayload.separator) }
            packet.writeText(to: &bytes)
        }
        return bytes
    }
}
