// A proxy, HTTP CONNECT (RFC 9110 §9.3.6) or SOCKS5 (RFC 1928), that leads to one server, whatever name it is asked for.

import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import TestSupport
import WebSockets

/// Opens tunnels to a port of this machine, and notes what for.
final class TunnelProxy: Sendable {
    enum Kind: String, Sendable, CaseIterable { case http, socks5, refusing }

    let kind: Kind
    /// The targets that it was asked for, with the credentials if there were any.
    let notes = Notes()
    fileprivate let target: Int
    private let channel = NIOLockedValueBox<(any Channel)?>(nil)
    private let tunnels = NIOLockedValueBox(0)

    /// How many connections there are.
    var count: Int { tunnels.withLockedValue { $0 } }
    fileprivate func count(_ change: Int) { tunnels.withLockedValue { $0 += change } }

    private init(_ kind: Kind, _ target: Int) {
        self.kind = kind
        self.target = target
    }

    /// Runs one while the body runs.
    static func run<R>(_ kind: Kind, to target: Int, _ body: (TunnelProxy) async throws -> R) async throws -> R {
        let proxy = TunnelProxy(kind, target)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Tunnel(proxy)) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        proxy.channel.withLockedValue { $0 = channel }
        defer { channel.close(promise: nil) }
        return try await body(proxy)
    }

    /// What a client is told of it.
    var asConfigured: Proxy {
        let port = channel.withLockedValue { $0?.localAddress?.port } ?? 0
        return kind == .socks5
            ? .socks5(host: "127.0.0.1", port: port) : .http(host: "127.0.0.1", port: port, user: "me", password: "secret")
    }
}

/// One connection to the proxy: its greeting, and then whatever passes.
private final class Tunnel: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State { case greeting, request, connecting, open((any Channel)) }

    private let proxy: TunnelProxy
    private var state = State.greeting
    private var bytes = ByteBuffer()

    init(_ proxy: TunnelProxy) { self.proxy = proxy }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var piece = unwrapInboundIn(data)
        if case .open(let server) = state { return server.writeAndFlush(piece, promise: nil) }
        bytes.writeBuffer(&piece)
        switch proxy.kind {
        case .http, .refusing: readConnect(context)
        case .socks5: readSOCKS(context)
        }
    }

    func channelActive(context: ChannelHandlerContext) { proxy.count(1) }

    func channelInactive(context: ChannelHandlerContext) {
        proxy.count(-1)
        if case .open(let server) = state { server.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    // MARK: HTTP

    private func readConnect(_ context: ChannelHandlerContext) {
        guard case .greeting = state else { return }
        let head = String(buffer: bytes)
        guard head.hasSuffix("\r\n\r\n") else { return }
        let lines = head.split(separator: "\r\n")
        let credentials = lines.first { $0.lowercased().hasPrefix("proxy-authorization: ") }?.split(separator: " ").last
        proxy.notes.add("\(lines.first ?? "") \(credentials ?? "")")
        guard proxy.kind == .http else { return answer("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", context) }
        open(context, ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n"))
    }

    private func answer(_ text: String, _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    }

    // MARK: SOCKS5

    private func readSOCKS(_ context: ChannelHandlerContext) {
        if case .greeting = state, bytes.readableBytes >= 3 {
            bytes.moveReaderIndex(forwardBy: 3)
            state = .request
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: [5, 0])), promise: nil)
        }
        // Version, command, nothing, a name: its length, itself, the port.
        guard case .request = state, let length = bytes.getInteger(at: bytes.readerIndex + 4, as: UInt8.self),
            let name = bytes.getString(at: bytes.readerIndex + 5, length: Int(length)),
            let port = bytes.getInteger(at: bytes.readerIndex + 5 + Int(length), as: UInt16.self)
        else { return }
        proxy.notes.add("\(name):\(port)")
        open(context, ByteBuffer(bytes: [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]))
    }

    // MARK: Passing

    private func open(_ context: ChannelHandlerContext, _ answer: ByteBuffer) {
        state = .connecting
        let client = context.channel
        ClientBootstrap(group: client.eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Back(client)) }
            }
            .connect(host: "127.0.0.1", port: proxy.target)
            .assumeIsolated()
            .whenComplete { result in
                guard case .success(let server) = result else { return client.close(promise: nil) }
                self.state = .open(server)
                client.writeAndFlush(answer, promise: nil)
            }
    }
}

/// What comes from the server.
private final class Back: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let client: any Channel
    init(_ client: any Channel) { self.client = client }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) { client.writeAndFlush(unwrapInboundIn(data), promise: nil) }
    func channelInactive(context: ChannelHandlerContext) { client.close(promise: nil) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
