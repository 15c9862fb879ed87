import NIOCore

/// Passes on what arrives.
final class Feeder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let feed: AsyncStream<ByteBuffer>.Continuation
    init(_ feed: AsyncStream<ByteBuffer>.Continuation) { self.feed = feed }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) { feed.yield(unwrapInboundIn(data)) }
    func channelInactive(context: ChannelHandlerContext) { feed.finish() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
