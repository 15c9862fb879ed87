// A running server: listening, accepting, draining.

import Logging
import NIOCertificateReloading
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NIOSSL
import ServiceLifecycle
import Synchronization
import WebSocketCore

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#elseif canImport(Glibc)
import Glibc
#endif

/// One run of a server, from listening to the end.
final class ServerRunner: Sendable {
    private let core: ServerCore
    private let host: String
    private let port: Int
    private let group: MultiThreadedEventLoopGroup
    private let loops: [NIOLoop]
    private let threads: [ObjectIdentifier: EventThread]
    /// NIO's threads and the reactors': the owners of connections.
    private var owners: [EventThread] { Array(threads.values) + (reactors?.threads ?? []) }
    private let reactors: Reactors?
    private let acceptGate: AcceptGate
    private let slots: ConnectionSlots
    private let quiescing = NIOLockedValueBox<(any Channel)?>(nil)
    private let reloader = NIOLockedValueBox<TimedCertificateReloader?>(nil)

    init(core: ServerCore, host: String, port: Int) {
        self.core = core
        self.host = host
        self.port = port
        let gate = AcceptGate(logger: core.logger, isIdle: { [core] in core.isIdle })
        acceptGate = gate
        let reactors = Reactors(core)
        self.reactors = reactors
        slots = ConnectionSlots(core) {
            gate.connectionClosed()
            reactors?.connectionClosed()
        }
        group = MultiThreadedEventLoopGroup(numberOfThreads: max(1, core.configuration.threads))
        let eventLoops = Array(group.makeIterator())
        loops = eventLoops.map { NIOLoop($0) }
        threads = Dictionary(
            uniqueKeysWithValues: zip(eventLoops, loops).map {
                (ObjectIdentifier($0), EventThread(loop: $1, statistics: core.statistics, broker: core.broker))
            })
    }

    // MARK: Start

    /// Listens, and says where.
    func start() async throws -> SocketAddress {
        core.broker.attach(owners)
        try await core.broker.start()
        let tls = try core.configuration.tls.map { try $0.load(logger: core.logger) }
        reloader.withLockedValue { $0 = tls?.reloader }
        let context = tls?.context
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            // Accepted sockets have it from the listening one, on Linux and macOS alike: that saves a call each.
            .serverChannelOption(.socketOption(.tcp_nodelay), value: 1)
            // Each is looked at before the next one is accepted: `AcceptGate`.
            .serverChannelOption(.maxMessagesPerRead, value: 1)
            // Where there are reactors, they accept.
            .serverChannelOption(.autoRead, value: reactors == nil)
            .serverChannelInitializer { channel in channel.pipeline.addHandler(self.acceptGate) }
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try self.setUp(channel, context, ConnectionSlot(self.slots)) }
            }
        do {
            let channel = try await bootstrap.bind(host: host, port: port).get()
            quiescing.withLockedValue { $0 = channel }
            if let reactors { try await accept(channel, reactors) }
            guard let address = channel.localAddress else { throw ServerError("the listening socket has no address") }
            return address
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw ServerError("port \(port) on \(host) is in use: stop the other server, or choose another port")
        } catch let error as IOError {
            throw ServerError("can not listen on \(host), port \(port): \(String(cString: strerror(error.errnoCode)))")
        } catch is SocketAddressError.UnknownHost {
            throw ServerError("can not listen on \(host): no such host is known")
        } catch {
            throw ServerError("can not listen on \(host), port \(port): \(error)")
        }
    }

    private func setUp(
        _ channel: any Channel, _ context: NIOSSLContext?, _ slot: ConnectionSlot, acceptedAt: NIODeadline? = nil
    ) throws {
        guard let thread = threads[ObjectIdentifier(channel.eventLoop)] else { return }
        try channel.syncOptions?.setOption(.maxMessagesPerRead, value: 1)
        // A client that has ended its side may still await the answer to what it said before.
        try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
        channel.closeFuture.whenComplete { _ in withExtendedLifetime(slot) {} }
        let pipeline = channel.pipeline.syncOperations
        if let context { try pipeline.addHandler(NIOSSLServerHandler(context: context)) }
        try HTTPServerHandler(server: core, thread: thread, slot: slot, reactors: reactors, acceptedAt: acceptedAt).addTo(pipeline)
    }

    // MARK: Accepting on the reactors

    /// Has the reactors accept on NIO's listening socket; NIO itself where they can not.
    private func accept(_ channel: any Channel, _ reactors: Reactors) async throws {
        #if os(Linux)
        if let descriptor = OwnedDescriptor(try await Self.duplicate(channel)),
            await reactors.listen(descriptor, slots, { [weak self] in self?.adopt($0, $1, acceptedAt: $2) })
        {
            return
        }
        core.logger.warning("SwiftNIO accepts the connections: the reactor can not watch the listening socket")
        try await channel.setOption(.autoRead, value: true).get()
        #endif
    }

    #if os(Linux)
    /// A second descriptor of the listening socket; -1 if there is none left.
    private static func duplicate(_ channel: any Channel) async throws -> Int32 {
        try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
                OwnedDescriptor(duplicating: $0)?.release() ?? -1
            } ?? -1
        }.get()
    }

    /// Makes a NIO channel of a connection that the reactor has accepted.
    private func adopt(_ descriptor: consuming OwnedDescriptor, _ slot: ConnectionSlot, acceptedAt: NIODeadline) {
        let eventLoop = group.next()
        // A closure may be copied, and what it holds with it; this may not. It is closed if the event loop has ended and drops the closure.
        let box = Mutex<OwnedDescriptor?>(consume descriptor)
        eventLoop.execute {
            guard let descriptor = box.withLock({ $0.take() }) else { return }
            ClientBootstrap(group: eventLoop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try self.setUp(channel, nil, slot, acceptedAt: acceptedAt) }
                }
                .withConnectedSocket(descriptor.release())
                .whenFailure { self.core.logger.debug("a connection was gone before NIO had it: \($0)") }
        }
    }
    #endif

    // MARK: Serve

    /// Returns when a graceful shutdown begins or the task is cancelled.
    func serveUntilShutdown() async {
        let reloader = reloader.withLockedValue { $0 }
        await withTaskGroup(of: Void.self) { group in
            if let reloader { group.addTask { try? await reloader.run() } }
            group.addTask { try? await gracefulShutdown() }
            // The reloader, too, returns when shutdown begins.
            await group.next()
            group.cancelAll()
        }
    }

    // MARK: Drain

    /// Stops accepting, closes every WebSocket with 1001, spread over the time, and cuts what remains.
    func drain() async {
        core.beginDraining()
        core.drainServices()
        core.streams.cancelAll()
        await reactors?.stopListening()
        try? await quiescing.withLockedValue { $0 }?.close()
        let open = core.statistics.snapshot.open
        core.logger.info("draining", metadata: ["connections": "\(open)"])
        let spread = Task.isCancelled ? .zero : Self.spread(of: open, within: core.configuration.drainTimeout)
        for thread in owners {
            thread.perform { self.closeAll(on: thread, within: spread) }
        }
        await waitForConnections()
        core.tasks.cancelAll()
        for thread in owners {
            thread.perform { self.cutAll(on: thread) }
        }
    }

    /// The time to spread closes over: so many clients that all connect anew at once would be a flood. A hundred a second are not, so few
    /// connections do not use the whole time; and a third of it is left for the last ones to answer.
    static func spread(of connections: Int, within time: Duration) -> Duration { min(time * 2 / 3, .milliseconds(10) * connections) }

    private func closeAll(on thread: EventThread, within spread: Duration) {
        let sockets = thread.openSockets
        for (index, socket) in sockets.enumerated() {
            let close = { socket.beginClose(.goingAway, "the server shuts down") }
            // What has no time to spread over leaves now, before what remains is cut.
            if spread == .zero {
                close()
            } else {
                _ = thread.schedule(at: thread.now + TimeAmount(spread * index / sockets.count), close)
            }
        }
    }

    private func cutAll(on thread: EventThread) {
        for socket in thread.openSockets {
            // The turn that began the close may not have ended, and its close frame not have left.
            socket.flush()
            socket.cut(NetworkError("the server shut down"))
        }
    }

    /// Waits until nothing is open or answered, or the time is over. Looks again at intervals: closing is driven by the peers.
    private func waitForConnections() async {
        let clock = ContinuousClock()
        let deadline = clock.now + core.configuration.drainTimeout
        while core.isBusy && clock.now < deadline && !Task.isCancelled {
            try? await clock.sleep(for: .milliseconds(20))
        }
    }

    /// Waits for the handlers' tasks, then ends the threads.
    func stop() async {
        await core.tasks.waitForAll()
        core.streams.cancelAll()
        await core.streams.waitForAll()
        core.broker.detach()
        // A server that could not start drains nothing.
        await reactors?.stopListening()
        // They first: they give connections to NIO.
        await reactors?.stop()
        for loop in loops { loop.willEnd() }
        try? await group.shutdownGracefully()
        for loop in loops { loop.didEnd() }
        await core.broker.stop()
    }
}
