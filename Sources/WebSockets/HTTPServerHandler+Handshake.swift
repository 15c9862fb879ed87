// The opening handshake on a server, and the change of the pipeline that follows it: RFC 6455 §4.2.
//
// A refused handshake always closes: what follows it may be frames, and must never be taken for a request.

import HTTPTypes
import Logging
import NIOCore
import NIOHTTP1
import WebSocketCore

extension HTTPServerHandler {
    // MARK: The decision

    func decideHandshake(_ request: ServerRequest, _ head: HTTPRequestHead, _ route: Route, _ parameters: [String: String]) {
        let handshake: ServerHandshake
        do throws(HandshakeRefusal) {
            handshake = try ServerHandshake(request: request.head, version: (head.version.major, head.version.minor))
            try handshake.checkOrigin(allowed: server.configuration.allowedOrigins, isSecure: server.isSecure)
        } catch {
            return refuse(error.status, error.description, headerFields: error.headerFields)
        }
        var request = request
        request.parameters = parameters
        request.subprotocols = handshake.subprotocols
        decide(request, handshake, route)
    }

    private func decide(_ request: ServerRequest, _ handshake: ServerHandshake, _ route: Route) {
        guard let channel = context?.channel else { return }
        let (decide, logger) = (route.decide, server.logger)
        // Nothing is read while the decision is taken, so that a peer cannot fill memory with frames; nor does it wait for ever.
        Self.setReading(false, channel)
        setDeadline(server.configuration.handshakeTimeout, "the decision took too long (limit handshakeTimeout)")
        run { handler in
            do {
                let decision = try await decide(request)
                handler { $0.apply(decision, request, handshake) }
            } catch {
                logger.error("the decision about a handshake threw: \(error)", metadata: ["path": "\(request.path)"])
                handler { $0.refuseDecided(.internalServerError, "the server failed to decide about this handshake") }
            }
        }
    }

    private func apply(_ decision: RouteDecision, _ request: ServerRequest, _ handshake: ServerHandshake) {
        guard case .deciding = state, let context else { return }
        switch decision {
        case .reject(let response):
            log("the application refused the handshake", response.head.status)
            Self.setReading(true, context.channel)
            send(response, closes: true)
        case .accept(let makeHandler, let usesInbox, let subprotocol, let headerFields):
            guard !server.isDraining else { return refuseDecided(.serviceUnavailable, "shutting down") }
            do throws(HandshakeUsageError) {
                let response = try handshake.response(subprotocol: subprotocol, additional: headerFields)
                upgrade(request, response, makeHandler, usesInbox)
            } catch {
                server.logger.error("this server's answer to a handshake can not be sent: \(error)")
                refuseDecided(.internalServerError, "the server's answer to this handshake can not be sent")
            }
        }
    }

    private func refuseDecided(_ status: HTTPResponse.Status, _ why: String) {
        guard case .deciding = state, let context else { return }
        Self.setReading(true, context.channel)
        refuse(status, why)
    }

    private static func setReading(_ isReading: Bool, _ channel: any Channel) {
        channel.setOption(.autoRead, value: isReading).assumeIsolated().whenFailure { _ in }
    }

    // MARK: The change

    private func upgrade(_ request: ServerRequest, _ response: HTTPResponse, _ makeHandler: @escaping MakeHandler, _ usesInbox: Bool) {
        guard let context else { return }
        state = .upgrading
        cancelDeadline()
        let headers = HTTPHeaders(response.headerFields)
        let head = HTTPResponseHead(version: .http1_1, status: .switchingProtocols, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        let socket = WebSocket(
            .init(
                request: request.head, parameters: request.parameters, subprotocol: response.headerFields[.secWebSocketProtocol],
                remoteAddress: request.remoteAddress, logger: server.logger),
            role: .server, configuration: server.configuration.connection, thread: thread,
            inbox: usesInbox ? Inbox(limit: server.configuration.connection.maxUnreadBytes) : nil)
        leave(context, socket, makeHandler)
    }

    /// Takes the HTTP handlers out of the pipeline and puts the WebSocket in; what had been read already becomes its first bytes.
    private func leave(_ context: ChannelHandlerContext, _ socket: WebSocket, _ makeHandler: @escaping MakeHandler) {
        gate.close()
        let pipeline = context.pipeline.syncOperations
        guard let encoder = try? pipeline.handler(type: HTTPResponseEncoder.self),
            let queue = try? pipeline.handler(type: HTTPServerPipelineHandler.self),
            let decoder = try? pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
        else { return close() }
        pipeline.removeHandler(encoder)
            .assumeIsolated().flatMap { pipeline.removeHandler(queue) }
            .flatMap { pipeline.removeHandler(decoder) }
            .whenComplete { _ in self.giveWay(context, socket, makeHandler) }
    }

    private func giveWay(_ context: ChannelHandlerContext, _ socket: WebSocket, _ makeHandler: MakeHandler) {
        let pipeline = context.pipeline.syncOperations
        let transport = NIOTransport(socket: socket, handler: makeHandler(socket))
        guard case .upgrading = state, (try? pipeline.addHandler(transport)) != nil else { return close() }
        // Before the first messages: they may be more than the connection takes, and it stops reading then.
        Self.setReading(true, context.channel)
        while let data = leftOver.popFirst() { context.fireChannelRead(data) }
        context.fireChannelReadComplete()
        pipeline.removeHandler(context: context, promise: nil)
        gate.open()
        pipeline.removeHandler(gate, promise: nil)
    }
}
