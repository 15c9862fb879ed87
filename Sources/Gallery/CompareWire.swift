// One WebSocket's bytes, for all to see: its page gets what passes at the server's end, over another connection.

import NIOCore
import PubSub
import WebSocketCore
import WebSocketDeflate
import WebSockets

enum CompareWire {
    enum Event: Encodable {
        /// - Parameters:
        ///   - bytes: in hexadecimal; the first 2048 of them.
        ///   - count: how many they are.
        case passed(from: String, bytes: String, count: Int, time: Double)
    }
    /// What the server does on being asked.
    enum Request: Decodable { case ping, close(code: UInt16, reason: String), say(text: String) }

    private static let limits = RateLimits(perSecond: 20, burst: 40)

    static func mount(on server: WebSocketServer) {
        // Without compression: what is shown is to be read.
        server.webSocket("/compare/{run}/inspected", upgrade: { _ in .accept((), compression: .off) }) { (socket: WebSocket, _: Void) in
            for try await message in socket {
                guard limits.allows(socket.run, at: .now) else { return try socket.close(code: .policyViolation, reason: "too fast") }
                switch try? message.decoded(as: Request.self, atMost: 1024) {
                case .ping: Task { try? await socket.ping() }
                case .close(let code, let reason):
                    // A code that may not be sent (RFC 6455 §7.4), or a reason that is too long.
                    do { try socket.close(code: CloseCode(rawValue: code), reason: reason) } catch { try await socket.send("\(error)") }
                // Anything else comes back as it is.
                case .say, nil: try await socket.send(message)
                }
            }
        }
        server.tap("/compare/{run}/inspected") { [weak server] request in
            let topic = "compare/\(request.parameters["run"] ?? "")/wire"
            return { [weak server] passage in
                switch passage {
                case .received(let bytes): server?.publish(.json(event("client", bytes)), to: topic)
                case .sent(let bytes): server?.publish(.json(event("server", bytes)), to: topic)
                case .ended: server?.publish(.json(event("end", ByteBuffer())), to: topic)
                }
            }
        }
    }

    static func event(_ side: String, _ bytes: ByteBuffer) -> Event {
        let digits = Array("0123456789abcdef")
        let hex = bytes.readableBytesView.prefix(2048).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return .passed(from: side, bytes: String(hex), count: bytes.readableBytes, time: CompareRun.now)
    }
}
