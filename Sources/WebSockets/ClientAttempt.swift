// One try to open a WebSocket at one address: resolve, connect, proxy, TLS, handshake.
//
// A try is settled once: it succeeds, fails, runs out of time, or is cancelled. Whatever settles it other than success closes every
// channel that it made; a channel that comes later is closed as it comes.

import HTTPTypes
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import WebSocketCore
import WebSocketDeflate

/// One try to open a WebSocket at one address.
///
/// `@unchecked Sendable`: every stored variable is touched only on `eventLoop`'s thread; the bootstrap and the futures are all of this
/// loop, and `run` and `cancel` reach it by `execute`.
final class ClientAttempt: @unchecked Sendable {
    /// What came of it, if it did not fail.
    enum Outcome {
        case opened(WebSocket)
        /// An answer that may be followed elsewhere.
        case redirected(HTTPResponse)
    }

    /// What the try is at, to be named when the time is over.
    private enum Stage: String {
        case resolving = "while the host was resolved"
        case connecting = "while the TCP connection was made"
        case proxy = "while the proxy opened the tunnel"
        case tls = "during the TLS handshake"
        case handshake = "while the server's answer was awaited"
    }

    /// What is to be done.
    struct Plan: Sendable {
        let url: WebSocketURL
        let handshake: ClientHandshake
        /// TLS and the name to check; nil for `ws`.
        let tls: (context: NIOSSLContext, name: String?)?
        /// Whether a redirect is followed rather than reported as a refusal.
        let followsRedirects: Bool
        let deadline: NIODeadline
    }

    typealias MakeHandler = @Sendable (WebSocket) -> any WebSocketHandler

    private let plan: Plan
    private let configuration: WebSocketClient.Configuration
    private let eventLoop: any EventLoop
    /// Nil for `for try await`.
    private let makeHandler: MakeHandler?

    private var stage = Stage.resolving
    private var channels: [any Channel] = []
    private var upgrade: ClientUpgradeHandler?
    private var timer: Scheduled<Void>?
    private let outcome: EventLoopPromise<Outcome>
    private var isSettled = false
    /// Whether a plaintext request was answered with TLS.
    private var hasSeenTLS = false

    init(_ plan: Plan, _ configuration: WebSocketClient.Configuration, makeHandler: MakeHandler?) {
        self.plan = plan
        self.configuration = configuration
        self.makeHandler = makeHandler
        eventLoop = configuration.eventLoopGroup.next()
        outcome = eventLoop.makePromise()
    }

    /// Tries; the time and the task's cancellation end it at once.
    func run() async throws -> Outcome {
        try await withTaskCancellationHandler {
            eventLoop.execute { self.start() }
            return try await outcome.futureResult.get()
        } onCancel: {
            eventLoop.execute { self.settle(.failure(CancellationError())) }
        }
    }

    // MARK: Settling

    private func settle(_ result: Result<Outcome, any Error>) {
        eventLoop.assertInEventLoop()
        guard !isSettled else { return }
        isSettled = true
        timer?.cancel()
        upgrade = nil
        if case .success(.opened) = result {} else { closeAll() }
        channels = []
        outcome.completeWith(result)
    }

    private func closeAll() {
        for channel in channels { channel.closeForGood() }
    }

    private func timeOut() {
        let time = configuration.timeout
        let error = ConnectError(.timeout, plan.url, "it took longer than \(time) (timeout) and ended \(stage.rawValue)")
        // An answer that came in part tells more than that the time is over.
        upgrade?.giveUp(error)
        settle(.failure(error))
    }

    // MARK: The way there

    private func start() {
        guard !isSettled else { return }
        timer = eventLoop.assumeIsolated().scheduleTask(deadline: plan.deadline) { self.timeOut() }
        let peer = configuration.proxy.map { ($0.host, $0.port) } ?? (plan.url.host, plan.url.port)
        ClientBootstrap(group: eventLoop)
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            // One read at a time, so that a connection that reading was stopped for takes no second one.
            .channelOption(.maxMessagesPerRead, value: 1)
            // The deadline closes what is connecting; this only ends a resolver that outlasts it.
            .connectTimeout(max(plan.deadline - .now(), .zero) + .seconds(1))
            .channelInitializer { self.admit($0) }
            .connect(host: peer.0, port: peer.1)
            .assumeIsolated()
            .flatMapErrorThrowing { throw ConnectError.unreachable($0, self.plan.url, self.peerName) }
            .flatMap { self.openTunnel($0) }
            .flatMapThrowing { try self.beginHandshake($0) }
            .whenFailure { self.settle(.failure($0)) }
    }

    private var peerName: String { configuration.proxy?.description ?? plan.url.host }

    /// Notes a channel that starts to connect; Happy Eyeballs (RFC 8305) makes one for each address that it tries.
    private func admit(_ channel: any Channel) -> EventLoopFuture<Void> {
        guard !isSettled else { return channel.eventLoop.makeFailedFuture(ChannelError.ioOnClosedChannel) }
        stage = .connecting
        channels.append(channel)
        return channel.eventLoop.makeSucceededVoidFuture()
    }

    private func openTunnel(_ channel: any Channel) -> EventLoopFuture<any Channel> {
        guard let proxy = configuration.proxy, !isSettled else { return channel.eventLoop.makeSucceededFuture(channel) }
        stage = .proxy
        return proxy.openTunnel(channel, to: plan.url, deadline: plan.deadline + .seconds(1)).map { channel }
    }

    private func beginHandshake(_ channel: any Channel) throws {
        guard !isSettled else { return channel.close(promise: nil) }
        // A server that has ended its side may still await the answer to what it said before. Not earlier: the proxies' handlers would not
        // notice that a proxy has ended its side.
        try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
        let pipeline = channel.pipeline.syncOperations
        stage = plan.tls == nil ? .handshake : .tls
        if let tls = plan.tls {
            try pipeline.addHandler(NIOSSLClientHandler(context: tls.context, serverHostname: tls.name))
        } else {
            try pipeline.addHandler(TLSDetector { self.hasSeenTLS = true })
        }
        let upgrade = ClientUpgradeHandler(
            plan.handshake, compression: configuration.connection.compression,
            skipsBody: { [plan] in plan.followsRedirects && Redirect.isRedirect($0.status) },
            onSecured: { self.stage = .handshake }, report: { self.finish($0, channel) })
        self.upgrade = upgrade
        try upgrade.addTo(pipeline)
    }

    // MARK: The answer

    private func finish(_ result: ClientUpgradeHandler.Result, _ channel: any Channel) {
        switch result {
        case .agreed(let agreement, let deflate):
            settle(Swift.Result { try .opened(open(agreement, deflate, channel)) })
        case .refused(let response, _, _) where plan.followsRedirects && Redirect.isRedirect(response.status):
            settle(.success(.redirected(response)))
        case .refused(let response, let body, let isTruncated):
            settle(
                .failure(
                    HandshakeRefused(url: plan.url.description, response: response, body: body, isBodyTruncated: isTruncated)))
        case .failed(let error): settle(.failure(explain(error, channel)))
        }
    }

    private func open(_ agreement: ClientHandshake.Agreement, _ deflate: DeflateAgreement?, _ channel: any Channel) throws -> WebSocket {
        guard !isSettled else { throw CancellationError() }
        let settled = WebSocket.Handshake(
            request: plan.handshake.request, subprotocol: agreement.subprotocol, deflate: deflate,
            remoteAddress: channel.remoteAddress)
        let socket = WebSocket(
            settled, role: .client, settings: SharedSettings(configuration.connection, logger: configuration.logger),
            thread: WebSocketClient.threads.thread(of: channel.eventLoop),
            inbox: makeHandler == nil ? Inbox(limit: configuration.connection.maxUnreadBytes) : nil)
        let handler = makeHandler?(socket) ?? AsyncHandler { _ in }
        // Who awaits messages is not there yet: what a server sends at once, and breaks off, must still find its reader.
        let transport = NIOTransport(socket: socket, handler: handler, holdsReading: makeHandler == nil)
        try channel.pipeline.syncOperations.addHandler(transport)
        return socket
    }

    /// Puts into words what came up the pipeline.
    private func explain(_ error: any Error, _ channel: any Channel) -> any Error {
        if hasSeenTLS { return ConnectError.answeredWithTLS(plan.url, underlying: error) }
        let certificate = try? channel.pipeline.syncOperations.handler(type: NIOSSLClientHandler.self).peerCertificate
        if let failure = TLSFailure.connectError(error, plan.url, certificate: certificate) { return failure }
        switch error {
        case is ConnectError, is HandshakeFailure, is CancellationError: return error
        case is HTTPParserError:
            let text = "what the server answered is not HTTP/1.1, or its head is over 100 fields or 16 KiB (\(error))"
            return ConnectError(.invalidResponse, plan.url, text, underlying: error)
        default:
            let reason = (error as? ChannelError) == .eof ? "the server closed it" : ConnectError.reason(error)
            // A server of TLS answers a plaintext request with an alert, as OpenSSL's do, or with nothing, as NIO's do.
            let hint = stage == .tls || plan.tls == nil && stage == .handshake ? "; \(ConnectError.tlsHint(plan.url))" : ""
            return ConnectError(.connectionLost, plan.url, "the connection ended \(stage.rawValue): \(reason)\(hint)", underlying: error)
        }
    }
}
