// A connection on a reactor of its own, whose other end is a socket of the test.

#if os(Linux)

import Glibc
import MetricsTestKit
import NIOCore
import NIOPosix
import Synchronization
import Testing
import WebSocketCore

@testable import WebSockets

/// A reactor that runs, and the test's ends of its connections.
final class ReactorBench: Sendable {
    let loop: ReactorLoop
    let thread: EventThread
    let core = ServerCore(.forTests())
    let metrics = TestMetrics()
    private let pool = NIOThreadPool(numberOfThreads: 1)

    init() throws {
        loop = try #require(ReactorLoop())
        thread = EventThread(loop: loop, statistics: Statistics(role: .server, factory: metrics))
        pool.start()
        pool.submit { [loop] _ in loop.run() }
    }

    /// Connects; the other end of the pair is the peer's.
    ///
    /// - Parameter sendBuffer: how many bytes the system takes that the peer has not read, roughly.
    func connect(
        _ configuration: ConnectionConfiguration = .quiet, answer: String = "", leftOver: [UInt8] = [], usesInbox: Bool = false,
        slot: ConnectionSlot? = nil,
        sendBuffer: Int32? = nil,
        handler: @escaping @Sendable (WebSocket) -> any WebSocketHandler
    ) async throws -> (socket: WebSocket, peer: BlockingPeer) {
        var pair: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
        let (ours, peer) = (pair[0], BlockingPeer(OwnedDescriptor(pair[1])))
        if var sendBuffer { setsockopt(ours, SOL_SOCKET, SO_SNDBUF, &sendBuffer, socklen_t(MemoryLayout<Int32>.size)) }
        let thread = thread
        let slot = slot ?? ConnectionSlot(ConnectionSlots(core))
        let socket = await onLoop { () -> WebSocket? in
            // As a connection that NIO accepted.
            _ = fcntl(ours, F_SETFL, O_NONBLOCK)
            guard let descriptor = OwnedDescriptor(ours) else { return nil }
            let inbox = usesInbox ? Inbox(limit: configuration.maxUnreadBytes) : nil
            let socket = WebSocket(.test, role: .server, configuration: configuration, thread: thread, inbox: inbox)
            let transport = ReactorTransport(socket: socket, descriptor: descriptor, slot: slot.handOver())
            thread.inTurn {
                transport.start(handler(socket), answer: ByteBuffer(string: answer), leftOver: ByteBuffer(bytes: leftOver))
            }
            return socket
        }
        return (try #require(socket), peer)
    }

    /// Does something on the loop's thread.
    func onLoop<R: Sendable>(_ body: @escaping @Sendable () -> R) async -> R {
        await withCheckedContinuation { continuation in loop.execute { continuation.resume(returning: body()) } }
    }

    /// Waits until the loop has done what was asked of it and ended the turn that this was part of.
    func settle() async {
        for _ in 0..<2 { await withCheckedContinuation { continuation in loop.execute { continuation.resume() } } }
    }

    /// Waits until something is so, as the loop's thread sees it.
    func until(_ condition: @escaping @Sendable () -> Bool) async {
        while await !onLoop(condition) {}
    }

    /// Ends the reactor and its thread.
    func stop() async throws {
        loop.stop()
        try await pool.shutdownGracefully()
    }
}

/// The test's end of a connection. Its calls block a thread of a pool, not one of the tests'.
final class BlockingPeer: Sendable {
    private let descriptor: Mutex<OwnedDescriptor?>
    private static let pool = NIOThreadPool.singleton

    init(_ descriptor: consuming OwnedDescriptor?) { self.descriptor = Mutex(consume descriptor) }

    private var number: Int32 { descriptor.withLock { $0?.number ?? -1 } }

    func send(_ bytes: [UInt8]) async throws {
        try await Self.pool.runIfActive { [self] in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { Glibc.send(number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                guard count > 0 else { throw IOError(errnoCode: errno, reason: "send") }
                rest = rest.dropFirst(count)
            }
        }
    }

    /// So many bytes, or fewer if the end comes first.
    func read(_ count: Int) async throws -> [UInt8] {
        try await Self.pool.runIfActive { [self] in
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while bytes.count < count {
                let got = recv(number, &buffer, min(buffer.count, count - bytes.count), 0)
                guard got > 0 else { break }
                bytes += buffer[..<got]
            }
            return bytes
        }
    }

    func readToEnd() async throws -> [UInt8] { try await read(.max) }

    /// Says that no more comes.
    func finish() { _ = shutdown(number, Int32(SHUT_WR)) }

    /// Says that it reads no more; who writes to it is told that it is gone.
    func stopReading() { _ = shutdown(number, Int32(SHUT_RD)) }

    func close() { descriptor.withLock { $0 = nil } }
}

#endif
