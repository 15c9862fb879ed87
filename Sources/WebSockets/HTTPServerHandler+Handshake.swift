// The opening handshake on a server, and the change of the pipeline that follows it: RFC 6455 §4.2.
//
// A refused handshake always closes: what follows it may be frames, and must never be taken for a request.

import HTTPTypes
import Logging
import NIOCore
import NIOHTTP1
import WebSocketCore
import WebSocketDeflate

extension HTTPServerHandler {
    // MARK: The decision

    func decideHandshake(_ request: ServerRequest, _ head: HTTPRequestHead, _ route: Route, _ parameters: [String: String]) {
        let handshake: ServerHandshake
        do throws(HandshakeRefusal) {
            try Self.checkConnection(head.headers["connection"])
            handshake = try ServerHandshake(request: request.head, version: (head.version.major, head.version.minor))
            if handshake.origins.count != 1 || !handshake.origins.allSatisfy({ route.allowsOrigin?($0) == true }) {
                try handshake.checkOrigin(allowed: server.configuration.allowedOrigins, isSecure: server.isSecure)
            }
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
        setDeadline(server.configuration.handshakeTimeout, "the decision took too long (limit handshakeTimeout)")
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
            Self.setReading(true, context.channel)
            send(response, closes: true)
        case .accept(let makeHandler, let usesInbox, let subprotocol, let headerFields, let compression):
            guard !server.isDraining else { return refuseDecided(.serviceUnavailable, .draining, "shutting down") }
            let deflate = DeflateNegotiation.answer(
                handshake.extensions, compression ?? (route.settings ?? server.settings).connection.compression)
            do throws(HandshakeUsageError) {
                let response = try handshake.response(
                    subprotocol: subprotocol, extensions: deflate.map { [$0.parameters.offer] } ?? [], additional: headerFields)
                upgrade(request, response, deflate, makeHandler, usesInbox, route.settings ?? server.settings)
            } catch {
                server.logger.error("this server's answer to a handshake can not be sent: \(error)")
                refuseDecided(.internalServerError, .application, "the server's answer to this handshake can not be sent")
            }
        }
    }

    private func refuseDecided(_ status: HTTPResponse.Status, _ rule: HandshakeRefusal.Rule, _ why: String) {
        guard case .deciding = state, let context else { return }
        Self.setReading(true, context.channel)
        refuse(status, rule, why)
    }

    private static func setReading(_ isReading: Bool, _ channel: any Channel) {
        channel.setOption(.autoRead, value: isReading).assumeIsolated().whenFailure { _ in }
    }

    // MARK: The change

    private func upgrade(
        _ request: ServerRequest, _ response: HTTPResponse, _ deflate: DeflateAgreement?, _ makeHandler: @escaping MakeHandler,
        _ usesInbox: Bool, _ settings: SharedSettings
    ) {
        guard let context else { return }
        state = .upgrading
        cancelDeadline()
        let settled = WebSocket.Handshake(
            request: request.head, parameters: request.parameters, subprotocol: response.headerFields[.secWebSocketProtocol],
            deflate: deflate, remoteAddress: request.remoteAddress)
        let makeSocket = { @Sendable (thread: EventThread) in
            WebSocket(
                settled, role: .server, settings: settings, thread: thread,
                inbox: usesInbox ? Inbox(limit: settings.connection.maxUnreadBytes) : nil)
        }
        leave(context, Accepted(makeSocket: makeSocket, makeHandler: makeHandler, answer: Self.bytes(response)))
    }

    /// The 101 as it is sent; `ServerHandshake` has seen to it that no value holds a line break.
    private static func bytes(_ response: HTTPResponse) -> ByteBuffer {
        var bytes = ByteBuffer(string: "HTTP/1.1 101 Switching Protocols\r\n")
        for field in response.headerFields { bytes.writeString("\(field.name.rawName): \(field.value)\r\n") }
        bytes.writeString("\r\n")
        return bytes
    }

    /// What becomes of the connection.
    struct Accepted: Sendable {
        let makeSocket: @Sendable (EventThread) -> WebSocket
        let makeHandler: MakeHandler
        /// The 101. It is sent once the handler has been told: a client that knows of its connection is on every list that the handler
        /// puts it on.
        let answer: ByteBuffer
    }

    /// Takes the HTTP handlers out of the pipeline.
    private func leave(_ context: ChannelHandlerContext, _ accepted: Accepted) {
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
    private func giveWay(_ context: ChannelHandlerContext, _ accepted: Accepted) {
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
        // Draining has told those who were there before.
        if server.isDraining { socket.beginClose(.goingAway, "the server shuts down") }
    }
}
