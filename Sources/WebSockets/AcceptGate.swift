// What a listening socket does while the process has no file descriptors left.
//
// accept(2) then fails with EMFILE, and the connection stays in the system's queue: the socket stays readable, and whoever just tries again
// does so at the full speed of a core. So trying stops until a connection of this server has ended, or for a second, as files and
// other sockets of the process take descriptors too. Those who wait stay in the system's queue meanwhile.

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

/// Pauses accepting while the system has no more descriptors or memory for connections; a handler of the listening channel.
///
/// `@unchecked Sendable`: the variables are touched only on the listening channel's event loop; the rest is constant or atomic.
final class AcceptGate: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = any Channel
    typealias OutboundIn = any Channel

    private static let retryInterval = TimeAmount.seconds(1)
    /// Under a flood, each connection that ends lets one in and the next one wait; that is not worth a line each.
    private static let warningInterval = TimeAmount.minutes(1)

    private let logger: Logger
    private let isPausedAnywhere = Atomic<Bool>(false)
    private let eventLoop = Mutex<(any EventLoop)?>(nil)
    private var context: ChannelHandlerContext?
    private var isReadHeld = false
    private var retry: Scheduled<Void>?
    private var warnedAt: NIODeadline?

    init(logger: Logger) { self.logger = logger }

    // MARK: From any thread

    /// A connection has ended, and its descriptor is free.
    func connectionClosed() {
        guard isPausedAnywhere.load(ordering: .acquiring) else { return }
        eventLoop.withLock { $0 }?.execute { self.resume() }
    }

    // MARK: The listening channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        eventLoop.withLock { $0 = context.eventLoop }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        resume()
        self.context = nil
    }

    func read(context: ChannelHandlerContext) {
        if isPausedAnywhere.load(ordering: .relaxed) { isReadHeld = true } else { context.read() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Of the errors of accept(2), NIO goes on after these and ECONNABORTED, which is of one connection alone.
        guard let code = (error as? IOError)?.errnoCode, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(code) else {
            return context.fireErrorCaught(error)
        }
        pause(context, error)
    }

    private func pause(_ context: ChannelHandlerContext, _ error: any Error) {
        isPausedAnywhere.store(true, ordering: .releasing)
        retry?.cancel()
        retry = context.eventLoop.assumeIsolated().scheduleTask(in: Self.retryInterval) { [weak self] in self?.resume() }
        let now = context.eventLoop.now
        if let warnedAt, now < warnedAt + Self.warningInterval { return }
        warnedAt = now
        logger.warning(
            "no more connections can be accepted until one ends: raise the limit of open files (ulimit -n), or set maxConnections below it",
            metadata: ["cause": "\(error)"])
    }

    private func resume() {
        retry?.cancel()
        retry = nil
        isPausedAnywhere.store(false, ordering: .releasing)
        guard isReadHeld else { return }
        isReadHeld = false
        context?.read()
    }
}
