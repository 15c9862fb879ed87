// The client's handshake on the wire: RFC 6455 §4.1. It sends the request, reads the answer, and gives way to the WebSocket.
//
//   sent ── 101 that is right ──► agreed ── its end ──► upgrading ── the HTTP decoder has left ──► done
//   sent ── another status ─────► refused ── body complete, too long, or the connection's end ───► done
//   any  ── a wrong 101, an error, the connection's end, `giveUp` ───────────────────────────────► done
//
// A server may send frames right behind its answer, and end the connection behind those, or break it. The decoder passes on what it has not used
// when it is removed, unless it has seen the end of the connection; so any end is held back (`EndGate`) until the WebSocket is in place, which
// cannot be before the decoder is out of the way of what the WebSocket sends.

package import HTTPTypes
import NIOCore
package import NIOHTTP1
import NIOTLS
import WebSocketCore
import WebSocketDeflate

/// Sends the request of the handshake and reads the answer; the last handler of its pipeline.
final class ClientUpgradeHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = HTTPClientRequestPart

    /// What came of the handshake.
    enum Result {
        /// The server agreed; the HTTP handlers have left, and the channel's next handler is for the caller to add.
        case agreed(ClientHandshake.Agreement, DeflateAgreement?)
        /// The server answered with something other than 101.
        case refused(HTTPResponse, body: ByteBuffer, isTruncated: Bool)
        /// The connection is of no use: `HandshakeFailure`, or what came up the pipeline.
        case failed(any Error)
    }

    private enum State {
        case sent
        case agreed(ClientHandshake.Agreement, DeflateAgreement?)
        case upgrading
        case refused(HTTPResponse)
        case done
    }

    private let handshake: ClientHandshake
    /// What was offered in it.
    private let compression: Compression
    /// Whether the body of an answer with this status is of no interest.
    private let skipsBody: (HTTPResponse) -> Bool
    /// Called when TLS is set up, if there is any.
    private let onSecured: () -> Void
    private let report: (Result) -> Void
    private let gate = EndGate()
    private var state = State.sent
    /// The body of a refusal.
    private var body = ByteBuffer()
    /// What came behind the answer.
    private var leftOver = LeftOver()

    init(
        _ handshake: ClientHandshake, compression: Compression = .off, skipsBody: @escaping (HTTPResponse) -> Bool,
        onSecured: @escaping () -> Void,
        report: @escaping (Result) -> Void
    ) {
        self.handshake = handshake
        self.compression = compression
        self.skipsBody = skipsBody
        self.onSecured = onSecured
        self.report = report
    }

    /// Adds the HTTP handlers and this one.
    func addTo(_ pipeline: ChannelPipeline.SynchronousOperations) throws {
        try pipeline.addHandlers(gate, HTTPRequestEncoder(), ByteToMessageHandler(HTTPResponseDecoder.limited()), self)
    }

    // MARK: The request

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { send(context) } else { giveUp(ChannelError.eof) }
    }

    private func send(_ context: ChannelHandlerContext) {
        let request = handshake.request
        var headers = HTTPHeaders()
        // > RFC 9110 §7.2: A user agent that sends Host SHOULD send it as the first field
        headers.add(name: "Host", value: request.authority ?? "")
        for field in request.headerFields { headers.add(name: field.name.rawName, value: field.value) }
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: request.path ?? "/", headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.handshakeCompleted) = event as? TLSUserEvent { onSecured() }
        if case .some(.inputClosed) = event as? ChannelEvent { giveUp(ChannelError.eof) }
        context.fireUserInboundEventTriggered(event)
    }

    // MARK: The answer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .upgrading:
            if !leftOver.append(data) { finish(.failed(HandshakeFailure.followedByHTTP)) }
        case .done: return
        case .sent, .agreed, .refused:
            if let part = Self.part(of: data) { receive(part, context) } else { giveUp(HTTPParserError.unknown) }
        }
    }

    private func receive(_ part: HTTPClientResponsePart, _ context: ChannelHandlerContext) {
        switch (part, state) {
        case (.head(let head), .sent): receive(head)
        case (.end, .agreed(let agreement, let deflate)): leave(.agreed(agreement, deflate), context)
        case (.body(let bytes), .refused(let response)): collect(bytes, response)
        case (.end, .refused(let response)): finish(.refused(response, body: body, isTruncated: false))
        default: break
        }
    }

    private func receive(_ head: HTTPResponseHead) {
        let response = HTTPResponse(head)
        guard head.status == .switchingProtocols else {
            state = .refused(response)
            if skipsBody(response) { finish(.refused(response, body: body, isTruncated: true)) }
            return
        }
        do throws(HandshakeFailure) {
            let agreement = try validate(response, head.version)
            state = .agreed(agreement, try DeflateNegotiation.check(agreement.extensions, compression))
        } catch {
            finish(.failed(error))
        }
    }

    private func validate(_ response: HTTPResponse, _ version: HTTPVersion) throws(HandshakeFailure) -> ClientHandshake.Agreement {
        // > RFC 9110 §15.2: A server MUST NOT send a 1xx response to an HTTP/1.0 client.
        // Nor can a server of that age mean it: §7.8 gives Upgrade to HTTP/1.1. Stricter than RFC 6455, which does not ask.
        guard (version.major, version.minor) >= (1, 1) else {
            throw HandshakeFailure(.init(rawValue: "http_version"), section: "RFC 9110 §7.8", "the server answered 101 in \(version)")
        }
        return try handshake.validate(response)
    }

    private func collect(_ bytes: ByteBuffer, _ response: HTTPResponse) {
        let room = HandshakeRefused.maxBodySize - body.readableBytes
        guard bytes.readableBytes > room else {
            body.writeImmutableBuffer(bytes)
            return
        }
        body.writeBytes(bytes.readableBytesView.prefix(room))
        finish(.refused(response, body: body, isTruncated: true))
    }

    // MARK: The end

    private func leave(_ result: Result, _ context: ChannelHandlerContext) {
        state = .upgrading
        gate.close()
        let pipeline = context.pipeline.syncOperations
        guard let encoder = try? pipeline.handler(type: HTTPRequestEncoder.self),
            let decoder = try? pipeline.handler(type: ByteToMessageHandler<HTTPResponseDecoder>.self)
        else { return giveUp(ChannelError.ioOnClosedChannel) }
        pipeline.removeHandler(encoder)
            .assumeIsolated().flatMap { pipeline.removeHandler(decoder) }
            .whenComplete { _ in self.giveWay(result, context) }
    }

    private func giveWay(_ result: Result, _ context: ChannelHandlerContext) {
        guard case .upgrading = state else { return }
        finish(result)
        while let bytes = leftOver.next() { context.fireChannelRead(wrapInboundOut(bytes)) }
        context.fireChannelReadComplete()
        let pipeline = context.pipeline.syncOperations
        pipeline.removeHandler(context: context, promise: nil)
        gate.open()
        pipeline.removeHandler(gate, promise: nil)
    }

    private func finish(_ result: Result) {
        state = .done
        report(result)
    }

    /// Gives up, as the time is over or the user has changed their mind; an answer that has come at least in part is reported.
    func giveUp(_ error: any Error) {
        switch state {
        case .refused(let response): finish(.refused(response, body: body, isTruncated: true))
        case .sent, .agreed, .upgrading: finish(.failed(error))
        case .done: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { giveUp(error) }

    func channelInactive(context: ChannelHandlerContext) {
        giveUp(ChannelError.eof)
        context.fireChannelInactive()
    }
}

extension HTTPResponseDecoder {
    /// A decoder with the limits of the design: 100 fields and 16 KiB of head.
    static func limited() -> HTTPResponseDecoder {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldCount = 100
        limits.maxHeaderListSize = 16_384
        limits.maxHeaderFieldSize = 16_384
        return HTTPResponseDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: limits)
    }
}

extension HTTPResponse {
    /// The head in terms of swift-http-types; fields whose names are no tokens are left out.
    package init(_ head: HTTPResponseHead) {
        var fields = HTTPFields()
        for (name, value) in head.headers {
            if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
        }
        // The type traps on a number that does not have three digits; what such a server meant nobody knows.
        let code = (100...999).contains(Int(head.status.code)) ? Int(head.status.code) : 999
        self.init(status: .init(code: code, reasonPhrase: head.status.reasonPhrase), headerFields: fields)
    }
}

extension HandshakeFailure {
    /// A second response stands behind the 101, or what NIO's parser takes for one.
    fileprivate static let followedByHTTP = HandshakeFailure(.upgrade, "what follows the server's 101 was read as HTTP, not as frames")
}
