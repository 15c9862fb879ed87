// Requests whose session is on another node, and those that another node has passed on to this one; see EngineIOForwarder.swift.

import HTTPTypes
import NIOCore
import WebSockets

extension EngineIOServer {
    /// The request as another node is to be told of it, without its body; nil if there is no other node, or it is none of long-polling's.
    func forwarded(_ request: ServerRequest) -> EngineIOForwardedRequest? {
        guard let forwarder, let kind = Self.kind(request), let id = request.query("sid") else { return nil }
        guard let forwarded = EngineIOForwardedRequest(sessionID: id, kind), forwarded.node != forwarder.node else { return nil }
        return forwarded
    }

    private static func kind(_ request: ServerRequest) -> EngineIOForwardedRequest.Kind? {
        let fields = request.head.headerFields
        switch request.head.method {
        case .get: return .poll(acceptsGzip: Gzip.isAccepted(by: fields))
        case .post: return .post(ByteBuffer(), isBinary: fields[.contentType] == binaryContentType)
        default: return nil
        }
    }

    /// What a payload of protocol 3's binary form calls itself.
    static let binaryContentType = "application/octet-stream"

    /// Answers a request that a client has sent to another node, as if it had come here.
    ///
    /// - Parameter answered: takes the answer, once, on any thread, perhaps before this returns.
    /// - Returns: the request; `cancel` it if the client goes before the answer, `release` it if only the other node does.
    public func serve(
        _ request: EngineIOForwardedRequest, answered: @escaping @Sendable (EngineIOForwardedAnswer) -> Void
    ) -> EngineIOExchange {
        let exchange = EngineIOExchange(self, request, answered)
        guard let session = session(request.sessionID) else {
            exchange.refuse(.sessionUnknown)
            return exchange
        }
        guard session.transport == .polling else {
            exchange.refuse(.badRequest)
            return exchange
        }
        switch request.kind {
        case .poll:
            exchange.begin(.poll(session))
            exchange.received(ByteBuffer())
        case .post(let body, let isBinary):
            beginPost(exchange, session, isBinary: isBinary)
            if body.readableBytes > exchange.maxBodyBytes { exchange.bodyOverLimit() } else { exchange.received(body) }
        }
        return exchange
    }
}
