// One HTTP/1 connection of a server, until it becomes a WebSocket: RFC 9112, RFC 6455 §4.2.
//
//   awaiting ── head ──► reading ── end ──► deciding ── response sent ──► awaiting, or closed
//                                           deciding ── handshake accepted ──► upgrading ──► gone, a WebSocket is in place
//   any ── an error, a deadline, the peer's end ──► closed
//
// NIO parses and writes HTTP and queues pipelined requests; this decides what is answered. A refused handshake always closes: what
// follows it may be frames, and must never be taken for a request.

import HTTPTypes
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypesHTTP1
import WebSocketCore

final class HTTPServerHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        case awaiting
        case reading(HTTPRequestHead)
        case deciding
        case upgrading
        case closed
    }

    private let server: ServerCore
    private let thread: EventThread
    /// Whether the server has too many connections already.
    private let isOverLimit: Bool
    private let gate = EndGate()
    private var state = State.awaiting
    private var body = ByteBuffer()
    private var context: ChannelHandlerContext?
    private var deadline: Scheduled<Void>?
    private var task: Task<Void, Never>?
    private var leftOver = CircularBuffer<NIOAny>(initialCapacity: 0)

    init(server: ServerCore, thread: EventThread, isOverLimit: Bool) {
        self.server = server
        self.thread = thread
        self.isOverLimit = isOverLimit
    }

    /// Adds the HTTP handlers and this one.
    func addTo(_ pipeline: ChannelPipeline.SynchronousOperations) throws {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldCount = server.configuration.maxHeaderFields
        limits.maxHeaderListSize = server.configuration.maxHeaderBytes
        limits.maxHeaderFieldSize = server.configuration.maxHeaderBytes
        let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: limits)
        try pipeline.addHandlers(
            gate, HTTPResponseEncoder(), ByteToMessageHandler(decoder), HTTPServerPipelineHandler(), self)
    }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        setDeadline(server.configuration.handshakeTimeout)
    }

    func handlerRemoved(context: ChannelHandlerContext) { end() }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    private func end() {
        if case .upgrading = state {} else { task?.cancel() }
        state = .closed
        deadline?.cancel()
        context = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard error is HTTPParserError, isAwaiting else { return close() }
        if case .some(.headerOverflow) = error as? HTTPParserError {
            let limits = "\(server.configuration.maxHeaderFields) fields, \(server.configuration.maxHeaderBytes) bytes"
            refuse(.requestHeaderFieldsTooLarge, "the header is over the limit (\(limits))")
        } else {
            refuse(.badRequest, "this is not HTTP: \(error)")
        }
    }

    private var isAwaiting: Bool {
        switch state {
        case .awaiting, .reading: true
        default: false
        }
    }

    private func close() {
        state = .closed
        context?.close(promise: nil)
    }

    // MARK: Deadlines

    private func setDeadline(_ duration: Duration) {
        deadline?.cancel()
        deadline = thread.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(duration)) { [weak self] in
            self?.deadlinePassed()
        }
    }

    private func deadlinePassed() {
        if case .reading = state { log("the request did not arrive in time", nil) }
        close()
    }

    // MARK: The request

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .upgrading = state { return leftOver.append(data) }
        switch (unwrapInboundIn(data), state) {
        case (.head(let head), .awaiting): begin(head)
        case (.body(let bytes), .reading): collect(bytes)
        case (.end, .reading(let head)):
            state = .deciding
            decide(head)
        default: break
        }
    }

    private func begin(_ head: HTTPRequestHead) {
        state = .reading(head)
        body.clear()
        let announced = head.headers.first(name: "content-length").flatMap(Int.init) ?? 0
        if announced > server.configuration.maxBodyBytes { return refuseBody() }
        if head.headers.contains(name: "expect") {
            // RFC 9110 §10.1.1: a client that expects 100 waits for it before it sends its content.
            context?.writeAndFlush(wrapOutboundOut(.head(.init(version: .http1_1, status: .continue))), promise: nil)
        }
    }

    private func collect(_ bytes: ByteBuffer) {
        guard body.readableBytes + bytes.readableBytes <= server.configuration.maxBodyBytes else { return refuseBody() }
        body.writeImmutableBuffer(bytes)
    }

    private func refuseBody() {
        refuse(.contentTooLarge, "the body is over \(server.configuration.maxBodyBytes) bytes (limit maxBodyBytes)")
    }

    private func decide(_ head: HTTPRequestHead) {
        deadline?.cancel()
        let isUpgrade = head.headers.contains(name: "upgrade")
        // A client of HTTP/1.0 knows no Upgrade, and one of its handshakes is refused below.
        guard let request = try? HTTPRequest(head, secure: server.isSecure, splitCookie: false), isValid(head.uri) else {
            return refuse(.badRequest, "the method or the path is malformed")
        }
        let whole = ServerRequest(head: request, body: body, remoteAddress: context?.channel.remoteAddress, isSecure: server.isSecure)
        if isOverLimit || server.isDraining {
            return refuse(.serviceUnavailable, isOverLimit ? "too many connections (limit maxConnections)" : "shutting down")
        }
        if let (route, parameters) = server.route(whole.path) {
            decideHandshake(whole, head, route, parameters)
        } else {
            answer(whole, head, closes: isUpgrade || !head.isKeepAlive)
        }
    }

    private func isValid(_ uri: String) -> Bool {
        uri.utf8.first == UInt8(ascii: "/") && uri.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F }
    }

    // MARK: Plain HTTP

    private func answer(_ request: ServerRequest, _ head: HTTPRequestHead, closes: Bool) {
        let respond = server.responder
        run { handler in
            let response = await respond?(request) ?? .text("Not found\n", status: .notFound)
            handler { $0.send(response, to: head.method, closes: closes) }
        }
    }

    /// Runs async code on the connection's thread, and comes back here with what it found.
    private func run(
        _ body: @escaping @Sendable (@escaping @Sendable (@escaping @Sendable (HTTPServerHandler) -> Void) -> Void) async -> Void
    ) {
        let bound = NIOLoopBound(self, eventLoop: thread.eventLoop)
        let thread = thread
        task = Task(executorPreference: thread) {
            await body { use in thread.perform { use(bound.value) } }
        }
    }

    private func send(_ response: ServerResponse, to method: HTTPMethod, closes: Bool) {
        guard case .deciding = state, let context else { return }
        let closes = closes || server.isDraining
        var headers = HTTPHeaders(response.head.headerFields)
        let status = HTTPResponseStatus(statusCode: response.head.status.code, reasonPhrase: response.head.status.reasonPhrase)
        if status.mayHaveResponseBody {
            headers.replaceOrAdd(name: "content-length", value: String(response.body.readableBytes))
        }
        headers.replaceOrAdd(
            name: "connection", value: closes ? (headers.first(name: "upgrade") == nil ? "close" : "close, upgrade") : "keep-alive")
        setDeadline(server.configuration.responseTimeout)
        // The end of the response, which lets the next pipelined request in, waits until the system has taken the rest: a peer that
        // reads no answers is asked no more questions.
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { [weak self] result in
            self?.sent(result, closes: closes)
        }
        let hasBody = method != .HEAD && status.mayHaveResponseBody && response.body.readableBytes > 0
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        context.writeAndFlush(wrapOutboundOut(.head(head)), promise: hasBody ? nil : promise)
        if hasBody { context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(response.body))), promise: promise) }
    }

    private func sent(_ result: Result<Void, any Error>, closes: Bool) {
        guard case .success = result, let context, case .deciding = state else { return close() }
        guard !closes else { return finishSending(context) }
        state = .awaiting
        setDeadline(server.configuration.handshakeTimeout)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    /// Ends this side only, as closing with unread bytes would reset the connection before the answer is read.
    private func finishSending(_ context: ChannelHandlerContext) {
        state = .closed
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        context.close(mode: .output, promise: nil)
        let channel = context.channel
        thread.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
    }

    // MARK: Refusals

    /// Answers with a status and closes; one line in the log.
    private func refuse(_ status: HTTPResponse.Status, _ why: String, headerFields: HTTPFields = [:], method: HTTPMethod = .GET) {
        state = .deciding
        log(why, status)
        var response = ServerResponse.text(why + "\n", status: status)
        response.head.headerFields.append(contentsOf: headerFields)
        send(response, to: method, closes: true)
    }

    private func log(_ why: String, _ status: HTTPResponse.Status?) {
        if let status { thread.statistics.refused(status: status.code) }
        let peer = context?.channel.remoteAddress.map(\.description) ?? "unknown"
        server.logger.info(
            "refused: \(why)", metadata: ["peer": "\(peer)", "status": "\(status.map { String($0.code) } ?? "none")"])
    }

    // MARK: The handshake

    private func decideHandshake(_ request: ServerRequest, _ head: HTTPRequestHead, _ route: Route, _ parameters: [String: String]) {
        let handshake: ServerHandshake
        do throws(HandshakeRefusal) {
            handshake = try ServerHandshake(request: request.head, version: (head.version.major, head.version.minor))
            try handshake.checkOrigin(allowed: server.configuration.allowedOrigins, isSecure: server.isSecure)
        } catch {
            return refuse(error.status, error.description, headerFields: error.headerFields, method: head.method)
        }
        var request = request
        request.parameters = parameters
        request.subprotocols = handshake.subprotocols
        decide(request, handshake, route)
    }

    private func decide(_ request: ServerRequest, _ handshake: ServerHandshake, _ route: Route) {
        let (decide, logger, timeout) = (route.decide, server.logger, server.configuration.handshakeTimeout)
        // Nothing is read while the decision is taken, so that a peer cannot fill memory with frames; nor does it wait for ever.
        context?.channel.setOption(.autoRead, value: false).assumeIsolated().whenFailure { _ in }
        setDeadline(timeout)
        run { handler in
            do {
                let decision = try await decide(request)
                handler { $0.apply(decision, request, handshake) }
            } catch {
                logger.error("the decision about a handshake threw: \(error)", metadata: ["path": "\(request.path)"])
                handler { $0.refuse(.internalServerError, "the server failed to decide about this handshake") }
            }
        }
    }

    private func apply(_ decision: RouteDecision, _ request: ServerRequest, _ handshake: ServerHandshake) {
        guard case .deciding = state, context != nil else { return }
        switch decision {
        case .reject(let response):
            log("the application refused the handshake", response.head.status)
            send(response, to: .GET, closes: true)
        case .accept(let makeHandler, let usesInbox, let subprotocol, let headerFields):
            guard !server.isDraining else { return refuse(.serviceUnavailable, "shutting down") }
            do throws(HandshakeUsageError) {
                let response = try handshake.response(subprotocol: subprotocol, additional: headerFields)
                upgrade(request, response, makeHandler, usesInbox)
            } catch {
                server.logger.error("this server's answer to a handshake can not be sent: \(error)")
                refuse(.internalServerError, "the server's answer to this handshake can not be sent")
            }
        }
    }

    private func upgrade(_ request: ServerRequest, _ response: HTTPResponse, _ makeHandler: @escaping MakeHandler, _ usesInbox: Bool) {
        guard let context else { return }
        state = .upgrading
        deadline?.cancel()
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
        while let data = leftOver.popFirst() { context.fireChannelRead(data) }
        context.fireChannelReadComplete()
        pipeline.removeHandler(context: context, promise: nil)
        gate.open()
        pipeline.removeHandler(gate, promise: nil)
        context.channel.setOption(.autoRead, value: true).assumeIsolated().whenFailure { _ in }
    }
}

extension HTTPHeaders {
    fileprivate init(_ fields: HTTPFields) { self.init(fields.map { ($0.name.rawName, $0.value) }) }
}
