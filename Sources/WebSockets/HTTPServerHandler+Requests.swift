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
        isHTTP11 = head.isHTTP11
        meter.headCame()
        tap(head)
        body.clear()
        bodyBytes = 0
        setDeadline(.body)
        // It may have been refused by now.
        if beginService(head), !isReading { return }
        let announced = head.headers.first(name: "content-length").flatMap(Int.init) ?? 0
        if announced > maxBodyBytes { return refuseBody() }
        if head.expectsContinue {
            context?.writeAndFlush(wrapOutboundOut(.head(.init(version: .http1_1, status: .continue))), promise: nil)
        }
    }

    /// Shows the handshake to whoever sees the connections at its path.
    private func tap(_ head: HTTPRequestHead) {
        guard meter.mayBeTapped else { return }
        let path = head.uri.prefix { $0 != "?" }
        guard HeaderTokens.contains("websocket", in: head.headers["upgrade"]), let (makeTap, parameters) = server.tap(path),
            let request = try? HTTPRequest(head, secure: server.isSecure, splitCookie: false)
        else { return meter.decide(nil) }
        var asked = ServerRequest(head: request, remoteAddress: context?.channel.remoteAddress, isSecure: server.isSecure)
        asked.parameters = parameters
        meter.decide(makeTap(asked))
    }

    func collect(_ bytes: ByteBuffer) {
        bodyBytes += bytes.readableBytes
        guard body.readableBytes + bytes.readableBytes <= maxBodyBytes else { return refuseBody() }
        // What has its answer already is read to its end all the same.
        if served?.early == nil { body.writeImmutableBuffer(bytes) }
    }

    private var isReading: Bool { if case .reading = state { true } else { false } }

    private var maxBodyBytes: Int { served?.request.maxBodyBytes ?? server.configuration.maxBodyBytes }

    private func refuseBody() {
        if let served { return refuseServiceBody(served) }
        refuse(.contentTooLarge, .limit, "the body is over \(server.configuration.maxBodyBytes) bytes (limit maxBodyBytes)")
    }

    /// The body does not come at the least rate: the request is over for whoever serves it.
    func refuseSlowBody(_ why: String) {
        if case .some = served?.early, let served { return refuseServiceBody(served) }
        served.take()?.request.cancel()
        number &+= 1
        refuse(.requestTimeout, .deadline, why)
    }

    // MARK: Deciding

    func decide(_ head: HTTPRequestHead) {
        cancelDeadline()
        if finishService() { return }
        guard let whole = acceptable(head) else { return }
        if let (route, parameters) = server.route(whole.path) {
            decideHandshake(whole, head, route, parameters)
        } else if hasOneHost(head) {
            answer(whole, head)
        }
    }

    /// The request that a service is to answer, if the server takes it; else it has been refused.
    func request(_ head: HTTPRequestHead) -> ServerRequest? { acceptable(head).flatMap { hasOneHost(head) ? $0 : nil } }

    /// The request, with as much of its body as has come, if the server takes any now; else it has been refused.
    private func acceptable(_ head: HTTPRequestHead) -> ServerRequest? {
        guard let request = try? HTTPRequest(head, secure: server.isSecure, splitCookie: false), Self.isValid(head.uri) else {
            refuse(.badRequest, .malformed, "the method or the path is malformed")
            return nil
        }
        if slot.isOverLimit {
            refuse(.serviceUnavailable, .limit, "too many connections (limit maxConnections)")
            return nil
        }
        if server.isDraining {
            refuse(.serviceUnavailable, .draining, "shutting down")
            return nil
        }
        return ServerRequest(head: request, body: body, remoteAddress: context?.channel.remoteAddress, isSecure: server.isSecure)
    }

    private static func isValid(_ uri: String) -> Bool {
        uri.utf8.first == UInt8(ascii: "/") && uri.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F }
    }

    // > RFC 9112 §3.2: A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a
    // > Host header field and to any request message that contains more than one Host header field line.
    private func hasOneHost(_ head: HTTPRequestHead) -> Bool {
        let hosts = head.headers["host"].count
        if hosts == 1 || hosts == 0 && !head.isHTTP11 { return true }
        refuse(.badRequest, .host, "there must be exactly one Host, not \(hosts)")
        return false
    }

    /// What follows a request to upgrade may be of another protocol.
    func closes(after head: HTTPRequestHead) -> Bool { !head.isKeepAlive || head.headers.contains(name: "upgrade") }

    private func answer(_ request: ServerRequest, _ head: HTTPRequestHead) {
        let closes = closes(after: head)
        let logger = server.logger
        let (respond, parameters) = server.responder(request.path)
        let traffic = RequestTraffic()
        meter.begin(traffic)
        var asked = request
        asked.parameters = parameters
        asked.traffic = traffic
        let request = asked
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
        guard context != nil else { return }
        let bound = ThreadBound(self, to: thread)
        let thread = thread
        runs &+= 1
        let run = runs
        task = Task(executorPreference: thread) {
            await body { use in thread.perform { if bound.value.runs == run { use(bound.value) } } }
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
