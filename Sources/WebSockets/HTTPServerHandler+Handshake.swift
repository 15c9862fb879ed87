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
            try Self.checkConnection(head.headers["connection"])
            handshake = try ServerHandshake(request: request.head, version: (head.version.major, head.version.minor))
            try route.check(handshake, server)
        } catch {
            return refuse(error.status, error.rule, error.description, headerFields: error.headerFields)
        }
        var request = request
        request.parameters = parameters
        request.subprotocols = handshake.subprotocols
        decide(request, handshake, route)
    }

    /// Stricter than RFC 9110 §5.6.3, which has tabs as white space: NIO's parser does not see an `upgrade` with a tab behind it, and would
    /// take the frames that follow for a request.
    private static func checkConnection(_ values: [String]) throws(HandshakeRefusal) {
        guard values.allSatisfy({ !$0.utf8.contains(0x09) }) else {
            throw HandshakeRefusal(.badRequest, .connection, "Connection must not hold a tab")
        }
    }

    private func decide(_ request: ServerRequest, _ handshake: ServerHandshake, _ route: Route) {
        switch route.decider {
        case .immediate(let decide): apply(decide(request), request, handshake, route)
        case .awaited(let decide): awaitDecision(decide, request, handshake, route)
        }
    }

    private func awaitDecision(
        _ decide: @escaping @Sendable (ServerRequest) async throws -> RouteDecision, _ request: ServerRequest,
        _ handshake: ServerHandshake, _ route: Route
    ) {
        guard let channel = context?.channel else { return }
        let logger = server.logger
        // Nothing is read while the decision is taken, so that a peer cannot fill memory with frames; nor does it wait for ever.
        Self.setReading(false, channel)
        gate.holdInputEnd()
        setDeadline(.decision)
        run { handler in
            do {
                let decision = try await decide(request)
                handler { $0.apply(decision, request, handshake, route) }
            } catch {
                logger.error("the decision about a handshake threw: \(error)", metadata: ["path": "\(request.path)"])
                handler { $0.refuseDecided(.internalServerError, .application, "the server failed to decide about this handshake") }
            }
        }
    }

    private func apply(_ decision: RouteDecision, _ request: ServerRequest, _ handshake: ServerHandshake, _ route: Route) {
        guard case .deciding = state, let context else { return }
        switch decision {
        case .reject(let response):
            log("the application refused the handshake", .application, response.head.status)
            readOn(context.channel)
            send(response, closes: true)
        case .accepted(let acceptance):
            guard !server.isDraining else { return refuseDecided(.serviceUnavailable, .draining, "shutting down") }
            do throws(HandshakeUsageError) {
                upgrade(context, try AcceptedHandshake(request, handshake, acceptance, server, route, requestBytes: meter.received))
            } catch {
                server.logger.error("this server's answer to a handshake can not be sent: \(error)")
                refuseDecided(.internalServerError, .application, "the server's answer to this handshake can not be sent")
            }
        }
    }

    func refuseDecided(_ status: HTTPResponse.Status, _ rule: HandshakeRefusal.Rule, _ why: String) {
        guard case .deciding = state, let context else { return }
        readOn(context.channel)
        refuse(status, rule, why)
    }

    /// The connection stays one of HTTP.
    private func readOn(_ channel: any Channel) {
        gate.open()
        Self.setReading(true, channel)
    }

    private static func setReading(_ isReading: Bool, _ channel: any Channel) {
        channel.setOption(.autoRead, value: isReading).assumeIsolated().whenFailure { _ in }
    }

    // MARK: The change

    private func upgrade(_ context: ChannelHandlerContext, _ accepted: AcceptedHandshake) {
        state = .upgrading
        cancelDeadline()
        leave(context, accepted)
    }

    /// Takes the HTTP handlers out of the pipeline.
    private func leave(_ context: ChannelHandlerContext, _ accepted: AcceptedHandshake) {
        gate.close()
        // Nothing was read behind the handshake, so the pipeline can go as it is.
        if gate.holdsOneHead && handOver(context, accepted) { return }
        let pipeline = context.pipeline.syncOperations
        guard let encoder = try? pipeline.handler(type: HTTPResponseEncoder.self),
            let queue = try? pipeline.handler(type: HTTPServerPipelineHandler.self),
            let decoder = try? pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
        else { return close() }
        pipeline.removeHandler(encoder).assumeIsolated()
            .flatMap { pipeline.removeHandler(queue) }
            .flatMap { pipeline.removeHandler(decoder) }
            .whenComplete { _ in
                guard case .upgrading = self.state else { return }
                if !self.handOver(context, accepted) { self.giveWay(context, accepted) }
            }
    }

    /// Puts the WebSocket into the pipeline; what had been read already becomes its first bytes.
    private func giveWay(_ context: ChannelHandlerContext, _ accepted: AcceptedHandshake) {
        let pipeline = context.pipeline.syncOperations
        let socket = accepted.makeSocket(thread)
        let transport = NIOTransport(socket: socket, handler: accepted.makeHandler(socket))
        context.channel.write(accepted.answer, promise: nil)
        guard (try? pipeline.addHandler(transport)) != nil else { return close() }
        // A closure that awaits messages begins here.
        thread.runWokenTasks()
        context.flush()
        // Before the first messages: they may be more than the connection takes, and it stops reading then.
        Self.setReading(true, context.channel)
        while let bytes = leftOver.next() { context.fireChannelRead(wrapInboundOut(bytes)) }
        context.fireChannelReadComplete()
        pipeline.removeHandler(context: context, promise: nil)
        gate.open()
        pipeline.removeHandler(gate, promise: nil)
        if !meter.isTapped { pipeline.removeHandler(meter, promise: nil) }
        // Draining has told those who were there before.
        if server.isDraining { socket.beginClose(.goingAway, "the server shuts down") }
    }
}
