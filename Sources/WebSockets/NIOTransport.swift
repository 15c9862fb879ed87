// A connection's bytes on a NIO channel: every platform, TLS, clients.

import NIOCore
import WebSocketCore

/// Moves the bytes of one connection over a NIO channel; the last handler of its pipeline.
final class NIOTransport: ChannelDuplexHandler, Transport {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    private let socket: WebSocket
    private let thread: EventThread
    private let handler: any WebSocketHandler
    private var context: ChannelHandlerContext?
    private var isReadingPaused = false
    private var isReadHeld = false
    private var isFinishing = false

    init(socket: WebSocket, handler: any WebSocketHandler) {
        self.socket = socket
        self.thread = socket.thread
        self.handler = handler
    }

    // MARK: From the channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        socket.start(transport: self, handler: handler)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end()
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        thread.beginTurn()
        socket.receive(unwrapInboundIn(data))
    }

    func channelReadComplete(context: ChannelHandlerContext) { thread.endTurn() }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { socket.transportBecameWritable() }
    }

    func channelInactive(context: ChannelHandlerContext) { end() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        socket.transportFailed(error)
        context.close(promise: nil)
        thread.endTurn()
    }

    private func end() {
        socket.transportClosed()
        thread.endTurn()
    }

    func read(context: ChannelHandlerContext) {
        if isReadingPaused { isReadHeld = true } else { context.read() }
    }

    // MARK: Transport

    var isWritable: Bool { context?.channel.isWritable ?? false }

    var bufferedBytes: Int { (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0 }

    func write(_ bytes: ByteBuffer) { context?.write(wrapOutboundOut(bytes), promise: nil) }

    func flush() { context?.flush() }

    func pauseReading() { isReadingPaused = true }

    func resumeReading() {
        isReadingPaused = false
        guard isReadHeld else { return }
        isReadHeld = false
        context?.read()
    }

    func finishSending() {
        guard !isFinishing, let context else { return }
        isFinishing = true
        afterFlush(context) { $0.close(mode: .output, promise: nil) }
    }

    func closeAfterFlush() {
        guard !isFinishing, let context else { return }
        isFinishing = true
        afterFlush(context) { $0.close(promise: nil) }
    }

    /// Does something once all that was written has reached the system; closing right away would drop it.
    private func afterFlush(_ context: ChannelHandlerContext, _ body: @escaping (ChannelHandlerContext) -> Void) {
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenSuccess { [weak self] in
            if let context = self?.context { body(context) }
        }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: promise)
    }

    func terminate() { context?.close(promise: nil) }
}
