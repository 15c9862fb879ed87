// A client that asks in plaintext where the server speaks TLS: what comes back is a TLS record, an alert as a rule (RFC 8446 §5.1, §6).

package import NIOCore

/// Looks whether the first bytes of a plaintext connection are a TLS record's, and leaves the pipeline.
package final class TLSDetector: ChannelInboundHandler, RemovableChannelHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer

    private let onDetected: () -> Void

    /// Makes a handler that calls a closure, on the channel's thread, if it sees TLS.
    package init(onDetected: @escaping () -> Void) { self.onDetected = onDetected }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        if Self.isRecord(bytes) { onDetected() }
        context.fireChannelRead(data)
        if bytes.readableBytes > 0 { context.pipeline.syncOperations.removeHandler(context: context, promise: nil) }
    }

    /// Whether bytes begin as an alert (21) or a handshake record (22) of SSL 3 to TLS 1.3, all of which say 3 as their first version byte.
    static func isRecord(_ bytes: ByteBuffer) -> Bool {
        guard let type = bytes.getInteger(at: bytes.readerIndex, as: UInt8.self), type == 21 || type == 22 else { return false }
        return bytes.getInteger(at: bytes.readerIndex + 1, as: UInt8.self) ?? 3 == 3
    }
}

extension ConnectError {
    /// A question for a connection that ended without an answer.
    package static func tlsHint(_ url: WebSocketURL) -> String {
        url.isSecure ? "does the server speak TLS on this port?" : "if it speaks TLS on this port, try wss://"
    }

    /// What a request ends with that was not answered.
    ///
    /// - Parameter isFirst: whether nothing was answered before.
    package static func closedWithoutAnswer(_ url: WebSocketURL, isFirst: Bool, underlying: any Error) -> ConnectError {
        let hint = isFirst && !url.isSecure ? "; \(tlsHint(url))" : ""
        return ConnectError(.connectionLost, url, "the server closed the connection without an answer\(hint)", underlying: underlying)
    }

    /// What a plaintext request to a port with TLS ends with.
    package static func answeredWithTLS(_ url: WebSocketURL, underlying: any Error) -> ConnectError {
        ConnectError(
            .invalidResponse, url, "the server answered with TLS bytes (a TLS alert), so it speaks TLS on this port; try wss://",
            underlying: underlying)
    }
}
