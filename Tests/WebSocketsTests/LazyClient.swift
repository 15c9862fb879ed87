// A client on a real socket that says and reads exactly what a test has it, and nothing before it is asked to.

import NIOCore
import NIOPosix

@testable import WebSockets

/// One TCP connection that reads only when asked.
struct LazyClient: Sendable {
    let channel: any Channel
    private let collector: Collector

    static func connect(_ address: SocketAddress) async throws -> LazyClient {
        let collector = Collector()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: false)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(collector) }
            }
            .connect(to: address).get()
        return LazyClient(channel: channel, collector: collector)
    }

    func write(_ bytes: [UInt8]) async throws { try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get() }

    /// Opens a WebSocket, with the key of RFC 6455 §1.3.
    func upgrade(_ path: String) async throws {
        try await write(Self.request(path))
        var head: [UInt8] = []
        while !head.suffix(4).elementsEqual("\r\n\r\n".utf8) { head += try await read(1) }
    }

    static func request(_ path: String) -> [UInt8] {
        let request =
            "GET \(path) HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        return Array(request.utf8)
    }

    /// Reads what there is, a byte at least.
    func readSome() async throws -> [UInt8] {
        let (channel, collector) = (channel, collector)
        return try await channel.eventLoop.flatSubmit { collector.collect(nil, from: channel) }.get()
    }

    /// Reads so many bytes, and stops reading then.
    func read(_ count: Int) async throws -> [UInt8] {
        let (channel, collector) = (channel, collector)
        return try await channel.eventLoop.flatSubmit { collector.collect(count, from: channel) }.get()
    }
}

/// `@unchecked Sendable`: touched on the channel's thread only.
private final class Collector: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    private var bytes = ByteBuffer()
    private var waiting: (count: Int?, promise: EventLoopPromise<[UInt8]>)?

    func collect(_ count: Int?, from channel: any Channel) -> EventLoopFuture<[UInt8]> {
        let promise = channel.eventLoop.makePromise(of: [UInt8].self)
        waiting = (count, promise)
        settle(channel)
        return promise.futureResult
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { bytes.writeImmutableBuffer(unwrapInboundIn(data)) }
    func channelReadComplete(context: ChannelHandlerContext) { settle(context.channel) }

    func channelInactive(context: ChannelHandlerContext) {
        waiting.take()?.promise.fail(ChannelError.eof)
    }

    private func settle(_ channel: any Channel) {
        guard let (count, promise) = waiting else { return }
        guard let read = bytes.readBytes(length: count ?? max(1, bytes.readableBytes)) else { return channel.read() }
        waiting = nil
        bytes.discardReadBytes()
        promise.succeed(read)
    }
}

/// Asks something of the first of these sockets on its thread, once it is there.
func onThread<R: Sendable>(of sockets: Box<[WebSocket]>, _ body: @escaping @Sendable (WebSocket) -> R) async -> R {
    while true {
        if let socket = sockets.value.first {
            return await withCheckedContinuation { continuation in
                socket.thread.performLater { continuation.resume(returning: body(socket)) }
            }
        }
        await pause()
    }
}

/// Looks again and again until something holds of the first of these sockets, however long it takes.
func waitUntil(_ sockets: Box<[WebSocket]>, _ holds: @escaping @Sendable (WebSocket) -> Bool) async {
    while await !onThread(of: sockets, holds) { await pause() }
}

/// Leaves the processor to the others between two looks; nothing depends on how long.
private func pause() async { try? await Task.sleep(for: .milliseconds(1)) }
