// The ways in which a TCP connection ends, with TLS or without, as a test chooses.

import NIOCore
import NIOPosix

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// How an end of a connection goes away.
enum LineEnding: CaseIterable {
    /// RST.
    case reset
    /// FIN, and nothing is read any more; over TLS without close_notify.
    case closed
    /// FIN, and what comes is still read; over TLS without close_notify.
    case halfClosed
    /// FIN, and what comes is still read; over TLS, close_notify goes first.
    case closeNotify
}

/// Ends a connection below TLS; the first handler of its pipeline.
final class LineCutter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
}

extension Channel {
    /// Ends the connection; a `LineCutter` is the first handler of its pipeline.
    func end(_ ending: LineEnding) async {
        if ending == .reset {
            // Closing then resets, and drops what is unsent: what was written has reached the system by now.
            try? await (self as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
        }
        _ = try? await eventLoop.submit {
            switch ending {
            case .reset, .closed: try self.pipeline.syncOperations.context(handlerType: LineCutter.self).close(promise: nil)
            case .halfClosed: try self.pipeline.syncOperations.context(handlerType: LineCutter.self).close(mode: .output, promise: nil)
            case .closeNotify: self.close(mode: .output, promise: nil)
            }
        }.get()
    }
}
