// The reactors of a server: their threads, and which of them takes a connection.

import Logging
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

    /// Takes a connection over, whose handshake is done.
    ///
    /// - Parameter leftOver: what was read behind the handshake.
    func adopt(
        _ descriptor: consuming OwnedDescriptor, _ slot: consuming HeldSlot, _ accepted: HTTPServerHandler.Accepted, leftOver: ByteBuffer
    ) {
        let index = turn.add(1, ordering: .relaxed).newValue % loops.count
        let (loop, thread, core) = (loops[index], threads[index], core)
        // A closure may be copied, and what it holds with it; these may not.
        let box = Mutex<OwnedDescriptor?>(consume descriptor)
        let slotBox = Mutex<HeldSlot?>(consume slot)
        loop.execute {
            guard let descriptor = box.withLock({ $0.take() }), let slot = slotBox.withLock({ $0.take() }) else { return }
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
    func stop() async {}
}

#endif
