// One HTTP/1 connection of a server, until it becomes a WebSocket: RFC 9112, RFC 6455 §4.2.
//
//   awaiting ── head ──► reading ── end ──► deciding ── response sent ──► awaiting, or closed
//                                           deciding ── handshake accepted ──► upgrading ──► gone, a WebSocket is in place
//   any ── an error, a deadline, the peer's end ──► closed; while deciding or upgrading, the end of the peer's side alone is no end
//
// NIO parses and writes HTTP and queues pipelined requests; this decides what is answered. Here are the channel's events and the
// deadlines; requests, responses and the handshake are in files of their own.

import CDuplexLinux
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOSSL
import WebSocketCore

final class HTTPServerHandler: ChannelInboundHandler, RemovableChannelHandler, TimerWheelElement {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = HTTPServerResponsePart

    enum State {
        case awaiting
        case reading(HTTPRequestHead)
        case deciding
        case upgrading
        case closed
    }

    let server: ServerCore
    let thread: EventThread
    /// The reactors that take WebSockets over; nil where NIO keeps them.
    let reactors: Reactors?
    let slot: ConnectionSlot
    /// Holds back the connection's end, while the pipeline is rebuilt.
    let gate = EndGate()
    let meter: WireMeter
    var state = State.awaiting
    /// The method of the request that is answered: to HEAD, no body is sent.
    var method = HTTPMethod.GET
    var isHTTP11 = true
    var body = ByteBuffer()
    /// How many bytes of the body have come, kept or not.
    var bodyBytes = 0
    var context: ChannelHandlerContext?
    var task: Task<Void, Never>?
    /// Whether the client has ended its side while a request of it was answered: nothing can follow the answer.
    private(set) var hasInputEnded = false
    /// Whether the answer is being written piece by piece.
    var isStreaming = false
    /// How many times the program has been asked: what it answers after its time is over concerns nobody.
    var runs = 0
    /// The request that a service answers, and how many there have been.
    var served: ServedRequest?
    var number = 0
    /// What arrives while the pipeline is rebuilt: the WebSocket's first bytes.
    var leftOver = LeftOver()
    var timer = TimerWheelPlace.none
    /// When the connection's time is over; nil while nothing is awaited of the peer.
    private var deadline: RequestDeadline?
    /// How many bytes of a response have not reached the peer's system.
    var unsentBytes: (any Channel) -> Int = { $0.unsentBytes }
    private let acceptedAt: NIODeadline?
    /// Whether a request has begun and its answer has not left; shutting down waits for it.
    var isBusy = false {
        didSet {
            if isBusy && !oldValue { server.requestBegan() }
            if !isBusy && oldValue { server.requestEnded() }
        }
    }

    /// - Parameter acceptedAt: since when the client's time runs, if not from now.
    init(server: ServerCore, thread: EventThread, slot: ConnectionSlot, reactors: Reactors? = nil, acceptedAt: NIODeadline? = nil) {
        self.server = server
        self.thread = thread
        self.slot = slot
        self.reactors = reactors
        self.acceptedAt = acceptedAt
        meter = WireMeter(mayBeTapped: server.hasTaps)
    }

    /// Adds the HTTP handlers and this one.
    func addTo(_ pipeline: ChannelPipeline.SynchronousOperations) throws {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldCount = server.configuration.maxHeaderFields
        limits.maxHeaderListSize = server.configuration.maxHeaderBytes
        limits.maxHeaderFieldSize = server.configuration.maxHeaderBytes
        let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: limits)
        try pipeline.addHandlers(
            meter, gate, HTTPResponseEncoder(), ByteToMessageHandler(decoder), HTTPServerPipelineHandler(), self)
    }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        meter.whenRead = { [unowned self] in readBegan() }
        setDeadline(.head, since: acceptedAt)
    }

    func handlerRemoved(context: ChannelHandlerContext) { end() }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    private func end() {
        if case .upgrading = state {} else { task?.cancel() }
        served.take()?.request.cancel()
        meter.whenRead = nil
        state = .closed
        isBusy = false
        cancelDeadline()
        context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .upgrading: collect(data)
        // A decoder that leaves passes on bytes even then; to take them for a part of HTTP would trap.
        case .closed: break
        case .awaiting, .reading, .deciding:
            if let part = Self.part(of: data) { receive(part) } else { close() }
        }
    }

    private func receive(_ part: HTTPServerRequestPart) {
        switch (part, state) {
        case (.head(let head), .awaiting): begin(head)
        case (.body(let bytes), .reading): collect(bytes)
        case (.end, .reading(let head)):
            state = .deciding
            decide(head)
        default: break
        }
    }

    private func collect(_ data: NIOAny) {
        if leftOver.append(data) { return }
        log("what follows the handshake was read as HTTP", .malformed, nil)
        close()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent { inputEnded() }
        context.fireUserInboundEventTriggered(event)
    }

    /// The client has ended its side, of TCP or of TLS. What it has asked is answered; a poll or a stream would wait for what it may never
    /// read, as a client that has closed looks the same.
    private func inputEnded() {
        if case .deciding = state, served == nil, !isStreaming {
            hasInputEnded = true
            // Whether it has left altogether is not seen before something is written to it.
            if deadline == nil { setDeadline(.answer) }
        } else {
            state = .closed
            // Ends the connection, as its other side has ended; to close all of it would have TLS wait for an answer that can not come.
            context?.close(mode: .output, promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The end of the client's side follows, and may still be answered; a request that was cut short is no whole one to the decoder.
        if case .some(.uncleanShutdown) = error as? NIOSSLError { return }
        guard error is HTTPParserError, isAwaiting else { return failed(error) }
        if case .some(.headerOverflow) = error as? HTTPParserError {
            let limits = "\(server.configuration.maxHeaderFields) fields, \(server.configuration.maxHeaderBytes) bytes"
            refuse(.requestHeaderFieldsTooLarge, .limit, "the header is over the limit (\(limits))")
        } else {
            refuse(.badRequest, .malformed, "this is not HTTP: \(error)")
        }
    }

    /// An error that no status can answer any more.
    private func failed(_ error: any Error) {
        if case .upgrading = state { log("what follows the handshake was read as HTTP, and is not: \(error)", .malformed, nil) }
        close()
    }

    private var isAwaiting: Bool {
        switch state {
        case .awaiting, .reading: true
        default: false
        }
    }

    func close() {
        state = .closed
        context?.channel.closeForGood()
    }

    // MARK: Deadlines

    /// Ends what is under way after its time, unless another deadline is set or this one is cancelled before.
    ///
    /// - Parameter since: from when on the time counts; from now if nil.
    func setDeadline(_ limit: RequestDeadline.Limit, since: NIODeadline? = nil) {
        guard context != nil else { return }
        arm(RequestDeadline(limit, server.configuration, since: since ?? thread.now))
    }

    private func arm(_ deadline: RequestDeadline) {
        self.deadline = deadline
        thread.arm(self, at: deadline.moment)
    }

    func cancelDeadline() {
        deadline = nil
        thread.disarm(self)
    }

    /// Bytes have come, and are not parsed yet.
    private func readBegan() {
        guard case .awaiting = state, case .keepAlive = deadline?.limit else { return }
        setDeadline(.head)
    }

    /// Looks how much of a response waits, once what the system takes at once has left: most responses are over by now.
    func watchResponse() {
        guard case .response = deadline?.limit, let context else { return }
        deadline?.begin(at: -unsentBytes(context.channel))
    }

    func timerFired() {
        guard var deadline, let context else { return }
        let now = thread.now
        if now < deadline.moment { return thread.arm(self, at: deadline.moment) }
        let passed = deadline.limit == .response ? -unsentBytes(context.channel) : bodyBytes
        if deadline.renew(at: now, passed: passed) { arm(deadline) } else { deadlinePassed(deadline.limit) }
    }

    private func deadlinePassed(_ limit: RequestDeadline.Limit) {
        deadline = nil
        let why = limit.text(server.configuration)
        switch limit {
        case .head where meter.received == 0:
            log("no request arrived in time (limit handshakeTimeout)", .deadline, nil)
            close()
        case .head: refuseUnread(.requestTimeout, .deadline, why)
        case .body: refuseSlowBody(why)
        case .decision:
            runs &+= 1
            task?.cancel()
            refuseDecided(.serviceUnavailable, .deadline, why)
        case .response, .answer:
            log(why, .deadline, nil)
            close()
        // It has done nothing wrong.
        case .keepAlive: close()
        }
    }
}

extension Channel {
    /// How many bytes that were written have not reached the peer's system: those that wait here, and those that the own system holds.
    fileprivate var unsentBytes: Int {
        let waiting = (try? syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        #if os(Linux)
        let held = try? pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { duplex_unsent($0) }
        return waiting + max(0, Int(held.flatMap { $0 } ?? 0))
        #else
        return waiting
        #endif
    }
}
