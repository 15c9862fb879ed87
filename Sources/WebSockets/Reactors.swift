// The reactors of a server: their threads, which of them accepts, and which of them takes a connection that comes from NIO.

import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Synchronization
import WebSocketCore

#if os(Linux)

/// The reactors of one run of a server; new connections go to them in turn.
final class Reactors: Sendable {
    private let loops: [ReactorLoop]
    /// The owners of connections, one a loop.
    let threads: [EventThread]
    private let pool: NIOThreadPool
    private let turn = Atomic<Int>(0)
    private let core: ServerCore
    private let listener = NIOLockedValueBox<ReactorListener?>(nil)

    /// Makes and starts them; nil if the server is to do without, for TLS or by its configuration, or the system lacks the descriptors.
    init?(_ core: ServerCore) {
        guard core.configuration.transport == .automatic, !core.isSecure else { return nil }
        let count = max(1, core.configuration.threads)
        loops = (0..<count).compactMap { _ in ReactorLoop() }
        guard loops.count == count else {
            core.logger.warning("SwiftNIO serves the WebSockets: there are no descriptors left for epoll")
            return nil
        }
        threads = loops.map { EventThread(loop: $0, statistics: core.statistics, broker: core.broker) }
        pool = NIOThreadPool(numberOfThreads: count)
        self.core = core
        pool.start()
        for loop in loops { pool.submit { _ in loop.run() } }
    }

    // MARK: Listening

    /// Accepts on a listening socket, which does not block.
    ///
    /// - Parameter handToNIO: takes what is no plain handshake.
    /// - Returns: false if the system can not watch the socket.
    func listen(_ descriptor: consuming OwnedDescriptor, _ slots: ConnectionSlots, _ handToNIO: @escaping Reception.HandToNIO) async -> Bool
    {
        let receptions = zip(loops, threads).map { Reception(core, $0, $1, handToNIO) }
        guard let made = ReactorListener(descriptor, receptions, slots, core.logger) else { return false }
        guard await onFirst({ made.start() }) else { return false }
        listener.withLockedValue { $0 = made }
        return true
    }

    /// Accepts no more, and closes the listening socket.
    func stopListening() async {
        guard let listener = listener.withLockedValue({ $0.take() }) else { return }
        await onFirst { listener.stop() }
    }

    /// A connection has ended, and its descriptor is free.
    func connectionClosed() { listener.withLockedValue { $0 }?.connectionClosed() }

    private func onFirst<R: Sendable>(_ body: @escaping @Sendable () -> R) async -> R {
        await withCheckedContinuation { continuation in loops[0].execute { continuation.resume(returning: body()) } }
    }

    // MARK: From NIO

    /// Takes a connection over, whose handshake is done.
    ///
    /// - Parameter leftOver: what was read behind the handshake.
    func adopt(
        _ descriptor: consuming OwnedDescriptor, _ slot: consuming HeldSlot, _ accepted: AcceptedHandshake, leftOver: ByteBuffer
    ) {
        let index = turn.add(1, ordering: .relaxed).newValue % loops.count
        let (loop, thread, core) = (loops[index], threads[index], core)
        // A closure may be copied, and what it holds with it; these may not.
        let box = Mutex<OwnedDescriptor?>(consume descriptor)
        let slotBox = Mutex<HeldSlot?>(consume slot)
        loop.execute {
            guard let descriptor = box.withLock({ $0.take() }), let slot = slotBox.withLock({ $0.take() }) else { return }
            guard !loop.hasEnded else { return core.requestEnded() }
            let socket = accepted.makeSocket(thread)
            let transport = ReactorTransport(socket: socket, descriptor: descriptor, slot: slot)
            thread.inTurn { transport.start(accepted.makeHandler(socket), answer: accepted.answer, leftOver: leftOver) }
            if core.isDraining { socket.beginClose(.goingAway, "the server shuts down") }
            core.requestEnded()
        }
    }

    /// Ends the threads; the connections that are left are cut.
    func stop() async {
        for loop in loops { loop.stop() }
        try? await pool.shutdownGracefully()
    }
}

#else

/// There is no reactor on this system.
final class Reactors: Sendable {
    let threads: [EventThread] = []
    init?(_ core: ServerCore) { return nil }
    func stopListening() async {}
    func connectionClosed() {}
    func stop() async {}
}

#endif
