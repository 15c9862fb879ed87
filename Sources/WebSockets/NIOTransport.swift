// A connection's bytes on a NIO channel: every platform, TLS, clients.

import NIOCore
import NIOSSL
import WebSocketCore

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Moves the bytes of one connection over a NIO channel; the last handler of its pipeline.
///
/// `@exclusivity(unchecked)`: accesses to these variables do not span calls.
final class NIOTransport: ChannelInboundHandler, Transport {
    private enum Ending { case none, sending, all }

    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let socket: WebSocket
    private let thread: EventThread
    private let handler: any WebSocketHandler
    @exclusivity(unchecked) private var context: ChannelHandlerContext?
    /// Whether what is read lies in the thread's shared buffer.
    @exclusivity(unchecked) private var sharesReadBuffer = false
    @exclusivity(unchecked) private(set) var isWritable = true
    private var ending = Ending.none
    private var hasInputEnded = false
    /// What arrived before anybody was there to take it; nil once reading has begun.
    @exclusivity(unchecked) private var held: [ByteBuffer]?

    /// - Parameter holdsReading: whether to read nothing until `resumeReading`.
    init(socket: WebSocket, handler: any WebSocketHandler, holdsReading: Bool = false) {
        self.socket = socket
        self.thread = socket.thread
        self.handler = handler
        held = holdsReading ? [] : nil
    }

    // MARK: From the channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        isWritable = context.channel.isWritable
        setWaterMarks(context.channel)
        if held == nil { shareReadBuffer(context) } else { setAutoRead(false) }
        socket.start(transport: self, handler: handler)
    }

    /// Has the channel tell of room before those who wait for it would wait for ever: by default it says nothing until more than 64 KiB
    /// wait in it, which is more than a small `sendHighWaterMark` lets in.
    private func setWaterMarks(_ channel: any Channel) {
        let usual = ChannelOptions.Types.WriteBufferWaterMark(low: 32_768, high: 65_536)
        let high = socket.configuration.sendHighWaterMark
        guard high < usual.high else { return }
        let marks = ChannelOptions.Types.WriteBufferWaterMark(low: max(1, high / 2), high: max(1, high))
        try? channel.syncOptions?.setOption(.writeBufferWaterMark, value: marks)
    }

    /// Reads into the thread's buffer, unless TLS stands between: it makes buffers of its own.
    private func shareReadBuffer(_ context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        guard (try? pipeline.handler(type: NIOSSLHandler.self)) == nil, let options = context.channel.syncOptions else { return }
        sharesReadBuffer = (try? options.setOption(.recvAllocator, value: SharedReadAllocator(thread: thread))) != nil
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        socket.transportClosed()
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        if held != nil { held?.append(buffer) } else { receive(buffer) }
    }

    @inline(__always)
    private func receive(_ buffer: ByteBuffer) {
        thread.beginTurn()
        socket.receive(buffer)
        if sharesReadBuffer { thread.giveBackReadBuffer(buffer) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        thread.readCompleted()
        socket.readCompleted()
    }

    /// Hands on what was held back.
    private func release() {
        guard let buffers = held.take() else { return }
        if let context { shareReadBuffer(context) }
        for buffer in buffers { receive(buffer) }
        thread.readCompleted()
        socket.readCompleted()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        isWritable = context.channel.isWritable
        if isWritable { socket.transportBecameWritable() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent {
            release()
            hasInputEnded = true
            socket.inputEnded()
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        release()
        socket.transportClosed()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        socket.transportFailed(error)
        // The end of the peer's side follows, and what it said before may still be answered.
        if case .some(.uncleanShutdown) = error as? NIOSSLError { return }
        context.channel.closeForGood()
    }

    // MARK: Transport

    /// NIO counts them; asking costs more than a small message does, and while the channel is writable they are few.
    var bufferedBytes: Int {
        isWritable ? 0 : (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    func write(_ piece: Outbox.Piece) {
        guard let context else { return }
        switch piece {
        case .shared(let bytes): context.write(wrapOutboundOut(bytes), promise: nil)
        case .frames(let frames):
            var buffer = thread.takeWriteBuffer(capacity: frames.count)
            buffer.writeBytes(frames.bytes)
            context.write(wrapOutboundOut(buffer), promise: nil)
            thread.giveBackWriteBuffer(buffer)
            thread.giveBack(frames)
        }
    }

    func flush() { context?.flush() }

    func limitUnsent() {
        let option = ChannelOptions.Types.SocketOption(level: .tcp, name: NIOBSDSocket.Option(rawValue: TCP_NOTSENT_LOWAT))
        // Where it can not be had, more waits, and nothing is lost.
        try? context?.channel.syncOptions?.setOption(option, value: maxUnsentBytes)
    }

    func pauseReading() { setAutoRead(false) }

    func resumeReading() {
        setAutoRead(true)
        // Last, as it may be so much that reading pauses again.
        release()
    }

    private func setAutoRead(_ isOn: Bool) { try? context?.channel.syncOptions?.setOption(.autoRead, value: isOn) }

    func finishSending() {
        guard ending == .none, let context else { return }
        ending = .sending
        afterFlush(context) { $0.close(mode: .output, promise: nil) }
    }

    func closeAfterFlush() {
        guard ending != .all, let context else { return }
        ending = .all
        // Where the peer's side has ended, to end this one closes the connection; TLS would wait for an answer that may never come.
        afterFlush(context) { [self] in
            if hasInputEnded { $0.close(mode: .output, promise: nil) } else { $0.channel.closeForGood() }
        }
    }

    /// Does something once all that was written has reached the system; closing right away would drop it.
    private func afterFlush(_ context: ChannelHandlerContext, _ body: @escaping (ChannelHandlerContext) -> Void) {
        let promise = context.eventLoop.makePromise(of: Void.self)
        // Nothing can be written any more where this side has ended before.
        promise.futureResult.assumeIsolated().whenComplete { [weak self] _ in
            if let context = self?.context { body(context) }
        }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: promise)
    }

    func terminate() {
        // A handler may be running, and closing tells of the end at once; it is told afterwards.
        context?.eventLoop.assumeIsolated().execute { [self] in context?.channel.closeForGood() }
    }
}
