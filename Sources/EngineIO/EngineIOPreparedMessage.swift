// A message that many sessions get: encoded once for each transport, whatever their number.

import NIOConcurrencyHelpers
import NIOCore
import WebSocketCore
public import WebSockets

/// A message that was encoded once, to be sent to many.
///
/// WebSockets share the bytes of one frame, polls those of one packet; the latter are made when the first poll asks for them.
public final class EngineIOPreparedMessage: Sendable {
    /// The message.
    public let message: Message
    /// The frame.
    let webSocket: PreparedMessage
    private let polling = NIOLockedValueBox<ByteBuffer?>(nil)

    /// Encodes a message.
    public init(_ message: Message) {
        self.message = message
        webSocket = PreparedMessage(EngineIOPacket(message).webSocketMessage().compressed(message.compression))
    }

    /// The packet's text form.
    var packetText: ByteBuffer {
        // What a WebSocket sends as text is that very form.
        if message.kind == .text { return webSocket.payload }
        return polling.withLockedValue { known in
            if let known { return known }
            let packet = EngineIOPacket(message)
            var bytes = ByteBufferAllocator().buffer(capacity: packet.textLength)
            packet.writeText(to: &bytes)
            known = bytes
            return bytes
        }
    }
}
