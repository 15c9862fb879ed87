// From a request's first byte to what answers it: RFC 9112 §3, RFC 9110 §10.1.1.

import HTTPTypes
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypesHTTP1
import WebSocketCore

extension HTTPServerHandler {
    // MARK: Arriving

    func begin(_ head: HTTPRequestHead) {
        state = .reading(head)
        isBusy = true
        method = head.method
        body.clear()
        setDeadline(server.configuration.handshakeTimeout, "the request did not arrive in time (limit handshakeTimeout)")
        let announced = head.headers.first(name: "content-length").flatMap(Int.init) ?? 0
        if announced > server.configuration.maxBodyBytes { return refuseBody() }
        if head.expectsContinue {
            context?.writeAndFlush(wrapOutboundOut(.head(.init(version: .http1_1, status: .continue))), promise: nil)
        }
    }

    func collect(_ bytes: ByteBuffer) {
        guard body.readableBytes + bytes.readableBytes <= server.configuration.maxBodyBytes else { return refuseBody() }
        body.writeImmutableBuffer(bytes)
    }

    private func refuseBody() {
        refuse(.contentTooLarge, .limit, "the body is over \(server.configuration.maxBodyBytes) bytes (limit maxBodyBytes)")
    }

    // MARK: Deciding

    func decide(_ head: HTTPRequestHead) {
        cancelDeadline()
        guard let request = try? HTTPRequest(head, secure: server.isSecure, splitCookie: false), Self.isValid(head.uri) else {
            return refuse(.badRequest, .malformed, "the method or the path is malformed")
        }
        let whole = ServerRequest(head: request, body: body, remoteAddress: context?.channel.remoteAddress, isSecure: server.isSecure)
        if slot.isOverLimit { return refuse(.serviceUnavailable, .limit, "too many connections (limit maxConnections)") }
        if server.isDraining { return refuse(.serviceUnavailable, .draining, "shutting down") }
        if let (route, parameters) = server.route(whole.path) {
            decideHandshake(whole, head, route, parameters)
        } else {
            answer(whole, head)
        }
    }

    private static func isValid(_ uri: String) -> Bool {
        uri.utf8.first == UInt8(ascii: "/") && uri.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F }
    }

    private func answer(_ request: ServerRequest, _ head: HTTPRequestHead) {
        // > RFC 9112 §3.2: A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a
        // > Host header field and to any request message that contains more than one Host header field line.
        let hosts = head.headers["host"].count
        guard hosts == 1 || hosts == 0 && !head.isHTTP11 else {
            return refuse(.badRequest, .host, "there must be exactly one Host, not \(hosts)")
        }
        // What follows a request to upgrade may be of another protocol.
        let closes = !head.isKeepAlive || head.headers.contains(name: "upgrade")
        let (respond, logger) = (server.responder, server.logger)
        run { handler in
            do {
                let response = try await respond?(request) ?? .text("Not found\n", status: .notFound)
                handler { $0.send(response, closes: closes) }
            } catch {
                logger.error("the answer to a request threw: \(error)", metadata: ["path": "\(request.path)"])
                handler { $0.send(.text("Internal server error\n", status: .internalServerError), closes: closes) }
            }
        }
    }

    /// Runs async code on the connection's thread, and comes back here with what it found.
    func run(
        _ body: @escaping @Sendable (@escaping @Sendable (@escaping @Sendable (HTTPServerHandler) -> Void) -> Void) async -> Void
    ) {
        guard let eventLoop = context?.eventLoop else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let thread = thread
        task = Task(executorPreference: thread) {
            await body { use in thread.perform { use(bound.value) } }
        }
    }
}

extension HTTPRequestHead {
    fileprivate var isHTTP11: Bool { (version.major, version.minor) >= (1, 1) }

    /// > RFC 9110 §10.1.1: A server that receives a 100-continue expectation in an HTTP/1.0 request MUST ignore that expectation.
    ///
    /// A client that expects 100 waits for it before it sends its content. No other expectation is defined.
    fileprivate var expectsContinue: Bool {
        isHTTP11 && headers[canonicalForm: "expect"].contains { $0.lowercased() == "100-continue" }
    }
}
