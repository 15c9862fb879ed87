// A TCP proxy between a client and a server that loses connections as a seed says: it closes, resets, falls silent and delays, in the middle of
// whatever is on its way.

import NIOConcurrencyHelpers
package import NIOCore
import NIOPosix

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#elseif canImport(Glibc)
import Glibc
#endif

/// What becomes of one connection.
package struct Fate: Sendable {
    package enum End: CaseIterable, Sendable { case close, reset, silence }

    /// How many bytes pass before the end, from the client and to it; whichever comes first.
    package var up: Int
    package var down: Int
    package var end: End
    /// How long each piece takes.
    package var delay: TimeAmount

    package init(up: Int = .max, down: Int = .max, end: End = .close, delay: TimeAmount = .zero) {
        (self.up, self.down, self.end, self.delay) = (up, down, end, delay)
    }

    package static let none = Fate()
}

/// Carries connections to a server, and cuts them.
package final class CuttingProxy: Sendable {
    private struct State {
        var fate: @Sendable () -> Fate
        var cuts = 0
        var links: [ObjectIdentifier: Link] = [:]
    }

    private let state: NIOLockedValueBox<State>
    private let channel: NIOLockedValueBox<(any Channel)?> = NIOLockedValueBox(nil)
    private let target: @Sendable () -> Int

    private init(_ target: @escaping @Sendable () -> Int, _ fate: @escaping @Sendable () -> Fate) {
        self.target = target
        state = NIOLockedValueBox(State(fate: fate))
    }

    /// Starts a proxy on a port of its own.
    ///
    /// - Parameter target: the server's port; asked for each connection.
    package static func start(
        to target: @escaping @Sendable @autoclosure () -> Int, fate: @escaping @Sendable () -> Fate = { .none }
    ) async throws -> CuttingProxy {
        let proxy = CuttingProxy(target, fate)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { proxy.accept($0) }
            .bind(host: "127.0.0.1", port: 0).get()
        proxy.channel.withLockedValue { $0 = channel }
        return proxy
    }

    package var port: Int { channel.withLockedValue { $0?.localAddress?.port } ?? 0 }
    /// How many connections were cut.
    package var cuts: Int { state.withLockedValue { $0.cuts } }
    /// How many connections there are.
    package var count: Int { state.withLockedValue { $0.links.count } }

    /// What becomes of connections from now on.
    package func set(_ fate: @escaping @Sendable () -> Fate) { state.withLockedValue { $0.fate = fate } }

    /// Cuts all connections.
    package func cut(_ end: Fate.End) { for link in state.withLockedValue({ Array($0.links.values) }) { link.cutSoon(end) } }

    package func stop() async {
        try? await channel.withLockedValue({ $0 })?.close()
        cut(.close)
    }

    /// A channel reads nothing before what this returns is done.
    private func accept(_ client: any Channel) -> EventLoopFuture<Void> {
        let fate = state.withLockedValue { $0.fate }()
        let link = Link(fate, self, client)
        state.withLockedValue { $0.links[ObjectIdentifier(link)] = link }
        return ClientBootstrap(group: client.eventLoop)
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .connect(host: "127.0.0.1", port: target())
            .flatMapThrowing { server in
                link.server = server
                try client.pipeline.syncOperations.addHandler(Half(link, isUp: true))
                try server.pipeline.syncOperations.addHandler(Half(link, isUp: false))
            }
            .flatMapErrorThrowing { error in
                link.ended()
                throw error
            }
    }

    fileprivate func noteCut() { state.withLockedValue { $0.cuts += 1 } }
    fileprivate func remove(_ link: Link) { state.withLockedValue { _ = $0.links.removeValue(forKey: ObjectIdentifier(link)) } }
}

/// One connection.
///
/// `@unchecked Sendable`: its variables are touched only on the event loop that both of its channels are on.
private final class Link: @unchecked Sendable {
    private let proxy: CuttingProxy
    private let client: any Channel
    var server: (any Channel)?
    private var fate: Fate
    private var isCut = false

    init(_ fate: Fate, _ proxy: CuttingProxy, _ client: any Channel) {
        self.fate = fate
        self.proxy = proxy
        self.client = client
    }

    func pass(_ bytes: ByteBuffer, isUp: Bool) {
        guard !isCut else { return }
        let room = isUp ? fate.up : fate.down
        guard bytes.readableBytes >= room else {
            if isUp { fate.up -= bytes.readableBytes } else { fate.down -= bytes.readableBytes }
            return write(bytes, isUp: isUp)
        }
        // What was on its way is cut in two.
        write(bytes.getSlice(at: bytes.readerIndex, length: room) ?? ByteBuffer(), isUp: isUp)
        cut(fate.end)
    }

    private func write(_ bytes: ByteBuffer, isUp: Bool) {
        guard let channel = isUp ? server : client else { return }
        guard fate.delay > .zero else { return channel.writeAndFlush(bytes, promise: nil) }
        client.eventLoop.assumeIsolated().scheduleTask(in: fate.delay) { channel.writeAndFlush(bytes, promise: nil) }
    }

    func cutSoon(_ end: Fate.End) { client.eventLoop.execute { self.cut(end) } }

    private func cut(_ end: Fate.End) {
        guard !isCut else { return }
        isCut = true
        proxy.noteCut()
        switch end {
        case .close: close()
        case .reset:
            for channel in [client, server].compactMap(\.self) {
                guard let options = channel as? any SocketOptionProvider else { continue }
                options.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in channel.close(promise: nil) }
            }
        // Nothing passes any more; it is closed only when nobody can have been waiting for that.
        case .silence: client.eventLoop.assumeIsolated().scheduleTask(in: .seconds(3)) { self.close() }
        }
    }

    func close() {
        isCut = true
        client.close(promise: nil)
        server?.close(promise: nil)
    }

    func ended() { proxy.remove(self) }
}

/// One direction.
private final class Half: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let link: Link
    private let isUp: Bool

    init(_ link: Link, isUp: Bool) { (self.link, self.isUp) = (link, isUp) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { link.pass(unwrapInboundIn(data), isUp: isUp) }

    func channelInactive(context: ChannelHandlerContext) {
        link.close()
        link.ended()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { link.close() }
}
