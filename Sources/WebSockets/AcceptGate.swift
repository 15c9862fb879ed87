// What a listening socket does while the process has few file descriptors left, or none.
//
// Without any, accept(2) fails with EMFILE, and the connection stays in the system's queue: the socket stays readable, and whoever just tries
// again does so at the full speed of a core. So the socket is no longer watched until a connection of this server has ended, or for a
// second, as files and other sockets of the process take descriptors too. Who connects meanwhile waits in the system's queue. The same is
// done some descriptors before (see `DescriptorReserve`).

import Logging
import NIOCore
import Synchronization

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#elseif canImport(Glibc)
import Glibc
#endif

/// Pauses accepting while the system has few descriptors, or no memory, for more connections; a handler of the listening channel.
///
/// `@unchecked Sendable`: the variables are touched only on the listening channel's event loop; the rest is constant or atomic.
final class AcceptGate: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = any Channel

    private let retryInterval: TimeAmount
    /// The listening channel while it is paused.
    private let paused = Mutex<(any Channel)?>(nil)
    private let isPaused = Atomic<Bool>(false)
    private var retry: Scheduled<Void>?
    private var shortage: AcceptShortage
    /// Nil before the channel is active, and for a channel that is none of the system's.
    private var reserve: DescriptorReserve?
    private let isIdle: @Sendable () -> Bool

    /// - Parameters:
    ///   - retryInterval: how long a pause lasts if no connection ends.
    ///   - reserve: what is left to others; nil for what the system has when the channel becomes active.
    ///   - isIdle: whether the server has no connections. It then takes one all the same: nobody could end, and it would be deaf for ever.
    init(
        logger: Logger, retryInterval: TimeAmount = .seconds(1), reserve: DescriptorReserve? = nil,
        isIdle: @escaping @Sendable () -> Bool = { false }
    ) {
        self.isIdle = isIdle
        self.reserve = reserve
        shortage = AcceptShortage(logger)
        self.retryInterval = retryInterval
    }

    /// A connection has ended, and its descriptor is free; called on any thread.
    func connectionClosed() {
        guard isPaused.load(ordering: .acquiring) else { return }
        paused.withLock { $0 }?.eventLoop.execute { self.resume() }
    }

    func channelActive(context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        reserve = try? reserve ?? pipeline.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { DescriptorReserve(probing: $0) }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // NIO does not say which number the connection has, so this asks each time; beside a NIO channel that is little.
        if let reserve, reserve.isReached {
            pause(context.channel)
            // One that has ended meanwhile has not been heard of.
            if reserve.isReached { shortage.warn(at: context.eventLoop.now, cause: reserve.cause) } else { resume() }
        }
        context.fireChannelRead(data)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // NIO goes on after these errors of accept(2), and after ECONNABORTED, which is of one connection alone.
        guard let error = error as? IOError, AcceptShortage.codes.contains(error.errnoCode) else { return context.fireErrorCaught(error) }
        pause(context.channel)
        shortage.warn(at: context.eventLoop.now, cause: "\(error)")
    }

    func channelInactive(context: ChannelHandlerContext) {
        retry?.cancel()
        // There is nothing left to resume, and the channel's loop may end before this gate does.
        isPaused.store(false, ordering: .releasing)
        paused.withLock { $0 = nil }
        context.fireChannelInactive()
    }

    private func pause(_ channel: any Channel) {
        // Not to answer `read` would not do: after an error NIO watches the socket on, whether a read was asked for or not.
        try? channel.syncOptions?.setOption(.autoRead, value: false)
        paused.withLock { $0 = channel }
        isPaused.store(true, ordering: .releasing)
        wait(on: channel)
    }

    private func wait(on channel: any Channel) {
        retry?.cancel()
        retry = channel.eventLoop.assumeIsolated().scheduleTask(in: retryInterval) { [weak self] in self?.resume() }
    }

    private func resume() {
        guard let channel = paused.withLock({ $0 }) else { return }
        if reserve?.isReached == true, !isIdle() { return wait(on: channel) }
        retry?.cancel()
        isPaused.store(false, ordering: .releasing)
        paused.withLock { $0 = nil }
        try? channel.syncOptions?.setOption(.autoRead, value: true)
    }
}

/// Tells of errors of accept(2) that do not pass by themselves.
struct AcceptShortage {
    /// The system has no descriptors or memory for more connections.
    static let codes: Set<CInt> = [EMFILE, ENFILE, ENOBUFS, ENOMEM]
    /// Under a flood, each connection that ends lets one in and has the next one wait; that is not worth a line each.
    private static let warningInterval = TimeAmount.minutes(1)

    private let logger: Logger
    private var warnedAt: NIODeadline?

    init(_ logger: Logger) { self.logger = logger }

    /// - Parameter isLasting: whether it does not pass before a connection ends.
    mutating func warn(at now: NIODeadline, cause: String, isLasting: Bool = true) {
        if let warnedAt, now < warnedAt + Self.warningInterval { return }
        warnedAt = now
        let advice =
            isLasting ? "until one ends: raise the limit of open files (ulimit -n), or set maxConnections below it" : "for now"
        logger.warning("no connection can be accepted \(advice)", metadata: ["cause": "\(cause)"])
    }
}
