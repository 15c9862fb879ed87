// What leaves before a connection is a WebSocket: responses and refusals, RFC 9110 §15, RFC 9112 §6 and §9.

import HTTPTypes
import Logging
import NIOCore
import NIOHTTP1
import WebSocketCore

extension HTTPServerHandler {
    // MARK: Responses

    func send(_ response: ServerResponse, closes: Bool) {
        guard case .deciding = state, let context else { return }
        // Only its end says that a stream to HTTP/1.0 is whole.
        let closes = closes || hasInputEnded || server.isDraining || !isHTTP11 && response.stream != nil
        let response = Self.final(response, server.logger)
        let head = responseHead(response, closes: closes)
        setDeadline(.response)
        // The end of the response, which lets the next pipelined request in, waits until the system has taken the rest: a peer that
        // reads no answers is asked no more questions.
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { [weak self] result in
            self?.sent(result, closes: closes)
        }
        if let stream = response.stream, method != .HEAD, head.status.mayHaveResponseBody {
            // Each piece has its own time.
            cancelDeadline()
            isStreaming = true
            context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
            return self.stream(stream, closes: closes)
        }
        let hasBody = method != .HEAD && head.status.mayHaveResponseBody && response.body.readableBytes > 0
        context.writeAndFlush(wrapOutboundOut(.head(head)), promise: hasBody ? nil : promise)
        if hasBody { context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(response.body))), promise: promise) }
        watchResponse()
    }

    /// An interim status (1xx) ends no request, and 101 would have the client speak another protocol: a mistake of the application.
    private static func final(_ response: ServerResponse, _ logger: Logger) -> ServerResponse {
        guard response.head.status.kind == .informational else { return response }
        logger.error("a request was answered with \(response.head.status.code), which is no final status; sending 500")
        return .text("Internal server error\n", status: .internalServerError)
    }

    private func responseHead(_ response: ServerResponse, closes: Bool) -> HTTPResponseHead {
        var headers = HTTPHeaders(response.head.headerFields)
        let status = HTTPResponseStatus(statusCode: response.head.status.code, reasonPhrase: response.head.status.reasonPhrase)
        if status.mayHaveResponseBody && response.stream == nil {
            headers.replaceOrAdd(name: "content-length", value: String(response.body.readableBytes))
        }
        headers.replaceOrAdd(
            name: "connection", value: closes ? (headers.first(name: "upgrade") == nil ? "close" : "close, upgrade") : "keep-alive")
        // In chunks, unless the client does not know them.
        let version = isHTTP11 || response.stream == nil ? HTTPVersion.http1_1 : .http1_0
        return HTTPResponseHead(version: version, status: status, headers: headers)
    }

    func sent(_ result: Result<Void, any Error>, closes: Bool) {
        isBusy = false
        isStreaming = false
        guard case .success = result, let context, case .deciding = state else { return close() }
        guard !closes && !hasInputEnded else {
            end(context)
            return finishSending(context)
        }
        state = .awaiting
        setDeadline(.keepAlive)
        end(context)
    }

    /// Ends this side only, as closing with unread bytes would reset the connection before the answer is read.
    private func finishSending(_ context: ChannelHandlerContext) {
        state = .closed
        cancelDeadline()
        context.close(mode: .output, promise: nil)
        let channel = context.channel
        channel.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
    }

    private func end(_ context: ChannelHandlerContext) {
        let number = meter.number
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        meter.complete(number)
    }

    // MARK: Refusals

    /// Answers with a status and closes; one line in the log.
    func refuse(_ status: HTTPResponse.Status, _ rule: HandshakeRefusal.Rule, _ why: String, headerFields: HTTPFields = [:]) {
        state = .deciding
        log(why, rule, status)
        var response = ServerResponse.text(why + "\n", status: status)
        response.head.headerFields.append(contentsOf: headerFields)
        send(response, closes: true)
    }

    /// Answers a request whose head is not whole and closes; one line in the log. The handlers of HTTP know of no request that this would be
    /// the answer to, so it leaves beside them.
    func refuseUnread(_ status: HTTPResponse.Status, _ rule: HandshakeRefusal.Rule, _ why: String) {
        guard case .awaiting = state, let context,
            let encoder = try? context.pipeline.syncOperations.context(handlerType: HTTPResponseEncoder.self)
        else { return close() }
        log(why, rule, status)
        let body = why + "\n"
        let head = responseHead(.text(body, status: status), closes: true)
        encoder.writeAndFlush(NIOAny(IOData.byteBuffer(Self.bytes(head, body))), promise: nil)
        finishSending(context)
    }

    private static func bytes(_ head: HTTPResponseHead, _ body: String) -> ByteBuffer {
        var bytes = ByteBuffer(string: "HTTP/1.1 \(head.status.code) \(head.status.reasonPhrase)\r\n")
        for (name, value) in head.headers { bytes.writeString("\(name): \(value)\r\n") }
        bytes.writeString("\r\n" + body)
        return bytes
    }

    /// - Parameter status: what was answered; nil if nothing could be.
    func log(_ why: String, _ rule: HandshakeRefusal.Rule, _ status: HTTPResponse.Status?) {
        thread.statistics.refused(rule, status: status?.code)
        let peer = context?.channel.remoteAddress.map(\.description) ?? "unknown"
        server.logger.info(
            "refused: \(why)", metadata: ["peer": "\(peer)", "status": "\(status.map { String($0.code) } ?? "none")"])
    }
}

extension HandshakeRefusal.Rule {
    /// A limit of this server's.
    static let limit = Self(rawValue: "limit")
    /// What came is not HTTP, or not whole.
    static let malformed = Self(rawValue: "malformed")
    /// Nothing, or not all, came in time.
    static let deadline = Self(rawValue: "deadline")
    /// The server shuts down.
    static let draining = Self(rawValue: "draining")
    /// The program that uses this library said no, or failed.
    static let application = Self(rawValue: "application")
}

extension HTTPHeaders {
    init(_ fields: HTTPFields) { self.init(fields.map { ($0.name.rawName, $0.value) }) }
}
