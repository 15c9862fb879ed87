// A server: RFC 6455 §4.2. Routes first, then `run`.

import HTTPTypes
import Logging
public import NIOCore
import NIOPosix
public import ServiceLifecycle
import Synchronization
import WebSocketCore

/// Serves WebSockets, and plain HTTP on the same port.
public final class WebSocketServer: Service, Sendable {
    /// As many threads as the machine has cores.
    public static let defaultThreads = System.coreCount

    let core: ServerCore
    private let host: String
    private let port: Int
    private let bound: EventLoopPromiseBox

    /// Makes a server; `run` starts it.
    ///
    /// - Parameter port: 0 for any free one; `waitUntilListening` says which.
    public init(host: String = "127.0.0.1", port: Int = 8080, configuration: Configuration = Configuration()) {
        self.host = host
        self.port = port
        core = ServerCore(configuration)
        bound = EventLoopPromiseBox()
    }

    // MARK: Routes

    /// Serves WebSockets at a path with a closure that awaits messages; returning closes with 1000, throwing with 1011.
    ///
    /// The closure runs on the connection's own thread: it must not block. The first subprotocol of these that the client offers
    /// too is chosen. When the client learns that it is connected, the closure has begun and come to its first wait.
    ///
    /// - Parameter path: segments, where `{name}` stands for any one: `/chat/{room}`; see `WebSocket.parameters`.
    public func webSocket(
        _ path: String, subprotocols: [String] = [], _ body: nonisolated(nonsending) @escaping @Sendable (WebSocket) async throws -> Void
    ) {
        add(path, .immediate(Self.accept(subprotocols)), usesInbox: true, asyncHandler { socket, _ in try await body(socket) })
    }

    /// Serves WebSockets at a path after a decision of your own.
    ///
    /// - Parameter upgrade: decides before the handshake is answered; what it throws is logged and answered with 500.
    public func webSocket<State: Sendable>(
        _ path: String, upgrade: @escaping @concurrent @Sendable (ServerRequest) async throws -> Upgrade<State>,
        _ body: nonisolated(nonsending) @escaping @Sendable (WebSocket, State) async throws -> Void
    ) {
        add(path, .awaited(upgrade), usesInbox: true, asyncHandler(body))
    }

    /// Begins the closure's task with the connection.
    private func asyncHandler<State: Sendable>(
        _ body: nonisolated(nonsending) @escaping @Sendable (WebSocket, State) async throws -> Void
    ) -> @Sendable (WebSocket, State) -> any WebSocketHandler {
        let core = core
        return { _, state in
            AsyncHandler { socket in
                core.tasks.begin(on: socket.thread) {
                    await Self.serve(socket) { try await socket.inbox?.own(socket) { try await body(socket, state) } }
                }
            }
        }
    }

    /// Serves WebSockets at a path with callbacks.
    ///
    /// - Parameter handler: makes the handler of a connection, on its thread.
    public func webSocket(
        _ path: String, subprotocols: [String] = [], handler: @escaping @Sendable (WebSocket) -> any WebSocketHandler
    ) {
        add(path, .immediate(Self.accept(subprotocols)), usesInbox: false) { (socket, _) in handler(socket) }
    }

    /// Serves WebSockets at a path with callbacks, after a decision of your own.
    public func webSocket<State: Sendable>(
        _ path: String, upgrade: @escaping @concurrent @Sendable (ServerRequest) async throws -> Upgrade<State>,
        handler: @escaping @Sendable (WebSocket, State) -> any WebSocketHandler
    ) {
        add(path, .awaited(upgrade), usesInbox: false, handler)
    }

    /// Answers everything that no WebSocket path takes; without it, that gets 404.
    ///
    /// - Parameter respond: what it throws is logged and answered with 500.
    public func http(_ respond: @escaping @concurrent @Sendable (ServerRequest) async throws -> ServerResponse) { core.responder = respond }

    /// Answers plain requests at a path that no WebSocket path takes; the first path that fits is asked, and none of them before those.
    ///
    /// - Parameters:
    ///   - path: segments, where `{name}` stands for any one; see `ServerRequest.parameters`.
    ///   - respond: what it throws is logged and answered with 500. It is cancelled when the connection ends.
    public func http(_ path: String, _ respond: @escaping @concurrent @Sendable (ServerRequest) async throws -> ServerResponse) {
        core.add(Route(path) { _ in .reject(.text("No WebSocket here\n", status: .badRequest)) }, respond)
    }

    /// Shows all bytes of the WebSocket connections at a path as they pass, handshake included and TLS not: to learn, and to find faults.
    ///
    /// SwiftNIO moves the bytes of such connections even where others are the reactor's.
    ///
    /// - Parameter makeTap: called with each handshake, before it is answered, on the connection's thread.
    public func tap(_ path: String, _ makeTap: @escaping @Sendable (ServerRequest) -> WireTap) {
        core.addTap(Route(path) { _ in .reject(.text("")) }, makeTap)
    }

    private static func accept(_ supported: [String]) -> @Sendable (ServerRequest) -> Upgrade<Void> {
        { .accept((), subprotocol: Subprotocols.select(offered: $0.subprotocols, supported: supported)) }
    }

    private enum Decider<State: Sendable>: Sendable {
        case awaited(@concurrent @Sendable (ServerRequest) async throws -> Upgrade<State>)
        case immediate(@Sendable (ServerRequest) -> Upgrade<State>)
    }

    private func add<State: Sendable>(
        _ path: String, _ decider: Decider<State>, usesInbox: Bool,
        _ makeHandler: @escaping @Sendable (WebSocket, State) -> any WebSocketHandler
    ) {
        let settle: @Sendable (Upgrade<State>) -> RouteDecision = { upgrade in
            switch upgrade.decision {
            case .reject(let response): return .reject(response)
            case .accept(let state, let subprotocol, let fields, let compression):
                return .accept(
                    { makeHandler($0, state) }, usesInbox: usesInbox, subprotocol: subprotocol, headerFields: fields,
                    compression: compression)
            }
        }
        switch decider {
        case .awaited(let decide): core.add(Route(path, .awaited { settle(try await decide($0)) }))
        case .immediate(let decide): core.add(Route(path, .immediate { settle(decide($0)) }))
        }
    }

    private static func serve(_ socket: WebSocket, _ body: () async throws -> Void) async {
        do {
            try await body()
            socket.close()
        } catch is CancellationError {
            socket.thread.perform { socket.beginClose(.goingAway, "") }
        } catch is ConnectionClosed {
            socket.close()
        } catch {
            socket.logger.error("a handler threw: \(error)", metadata: ["path": "\(socket.path)"])
            socket.thread.perform { socket.beginClose(.internalServerError, "") }
        }
    }

    // MARK: Running

    /// Waits until the server listens, and says where.
    ///
    /// - Throws: `ServerError` if it can not.
    public func waitUntilListening() async throws -> SocketAddress { try await bound.value() }

    /// The connections that are open, all that have been, and the messages received and sent.
    public var statistics: (open: Int, total: Int, received: Int, sent: Int) { core.statistics.snapshot }

    /// Listens and serves until a graceful shutdown begins; then drains: no more connections, 503 for handshakes, 1001 for the open
    /// ones spread over `drainTimeout`, and an end to what remains.
    ///
    /// Cancelling the task leaves no time for that: every connection gets its 1001 and is cut.
    ///
    /// - Throws: `ServerError` when it can not start.
    public func run() async throws {
        let runner = ServerRunner(core: core, host: host, port: port)
        do {
            bound.succeed(try await runner.start())
        } catch {
            bound.fail(error)
            await runner.stop()
            throw error
        }
        await runner.serveUntilShutdown()
        await runner.drain()
        await runner.stop()
    }
}

/// A value that comes once and can be awaited by many.
final class EventLoopPromiseBox: Sendable {
    private struct Contents {
        var result: Result<SocketAddress, any Error>?
        var waiters: [CheckedContinuation<SocketAddress, any Error>] = []
    }

    private let contents = Mutex(Contents())

    func value() async throws -> SocketAddress {
        try await withCheckedThrowingContinuation { continuation in
            let result = contents.withLock { contents in
                if contents.result == nil { contents.waiters.append(continuation) }
                return contents.result
            }
            if let result { continuation.resume(with: result) }
        }
    }

    func succeed(_ address: SocketAddress) { settle(.success(address)) }
    func fail(_ error: any Error) { settle(.failure(error)) }

    private func settle(_ result: Result<SocketAddress, any Error>) {
        let waiters = contents.withLock { contents in
            contents.result = contents.result ?? result
            defer { contents.waiters = [] }
            return contents.waiters
        }
        for waiter in waiters { waiter.resume(with: result) }
    }
}
