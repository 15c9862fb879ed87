// One namespace on a client: what any thread may ask of it. Its events are in SocketIOClientSocket+Events.swift, what it sends in
// SocketIOClientSocket+Emitting.swift.

import Logging
import NIOConcurrencyHelpers
import WebSockets

/// A client's socket: one namespace of the server.
///
/// It can be used from any thread, task or actor. From one thread, events leave in the order of the calls. Handlers are added before `connect`
/// is called: events that come before are not kept for them.
///
/// `@unchecked Sendable`: `machine` is touched only under the client's lock; the rest is constant or behind a lock of its own.
public final class SocketIOClientSocket: @unchecked Sendable {
    struct State {
        var handlers = EventHandlers<SocketIOClientSocket>()
        /// What waits for the handlers, and whether a task is at it.
        var queue = EventQueue()
        var auth: SocketIOAuth?
        /// Who asks for it, or the wait before it is asked for again.
        var authTask: Task<Void, Never>?
        var authDelay: Timeout?
        var onConnect: [@Sendable () -> Void] = []
        var onConnectError: [@Sendable (SocketIOConnectError) -> Void] = []
        var onDisconnect: [@Sendable (SocketIODisconnectReason) -> Void] = []
        var onError: [@Sendable (any Error) -> Void] = []
        var outgoing: [@Sendable (SocketIOEvent) -> Void] = []
        /// Why it is not connected, for those who wait for that.
        var lastError: SocketIOConnectError?
        var timeouts: [Int: Timeout] = [:]
        var lastFeed = 0
        var eventFeeds: [Int: EventFeed] = [:]
        var stateFeeds: [Int: AsyncStream<SocketIOConnectionState>.Continuation] = [:]
        /// Who waits until it is connected.
        var waiters: [Int: CheckedContinuation<Void, any Error>] = [:]
    }

    /// The client that it is a part of: what the official client calls `socket.io`.
    public let client: SocketIOClient
    /// The namespace's name.
    public let namespace: String
    @exclusivity(unchecked) var machine: ClientSocketMachine
    let state = NIOLockedValueBox(State())

    init(_ client: SocketIOClient, _ namespace: String) {
        self.client = client
        self.namespace = namespace
        machine = ClientSocketMachine(namespace, client.configuration)
    }

    var logger: Logger { client.configuration.logger }

    // MARK: What is known

    /// The socket's id, by which the server knows it; nil while it is not connected.
    public var id: String? { client.lock.withLock { machine.id } }
    /// Whether events go both ways.
    public var isConnected: Bool { id != nil }
    /// Whether it is connected, or will be by itself as soon as there is a connection.
    public var isActive: Bool { client.lock.withLock { machine.isActive } }
    /// Whether the socket goes on where it was before the connection was lost: it missed nothing, and is in its rooms.
    public var isRecovered: Bool { client.lock.withLock { machine.isRecovered } }
    /// Where the socket is on its way.
    public var connectionState: SocketIOConnectionState { client.lock.withLock { machine.connectionState } }

    // MARK: Connecting

    /// Sets what the server is told at the next connect, instead of `SocketIOClientConfiguration.auth`.
    public func setAuth(_ auth: SocketIOAuth) {
        let old = state.withLockedValue { state in
            let old = state.auth
            state.auth = auth
            return old
        }
        // Freed here, and not under the lock: what a closure holds may ask this socket something when it goes.
        withExtendedLifetime(old) {}
    }

    /// Connects, and again whenever the connection is lost; returns at once. See `onConnect`, `connectionState` and `waitUntilConnected`.
    public func connect() {
        client.run { client in
            if !client.sockets.contains(where: { $0 === self }) { client.sockets.append(self) }
            machine.connect(isOpen: client.machine.phase == .open)
            client.take(from: self)
        }
    }

    /// Waits until the socket is connected; at once if it is.
    ///
    /// - Throws: `SocketIOConnectError` when the server refuses, nothing more is tried, or the socket is disconnected; `CancellationError`.
    public func waitUntilConnected() async throws {
        let number = state.withLockedValue { state in
            state.lastFeed += 1
            return state.lastFeed
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                state.withLockedValue { $0.waiters[number] = continuation }
                if Task.isCancelled { return resumeWaiter(number, .failure(CancellationError())) }
                switch connectionState {
                case .connected: resumeWaiter(number, .success(()))
                case .disconnected: resumeWaiter(number, .failure(SocketIOConnectError(.disconnected, "the socket is not connecting")))
                case .connecting: break
                }
            }
        } onCancel: {
            resumeWaiter(number, .failure(CancellationError()))
        }
    }

    private func resumeWaiter(_ number: Int, _ result: Result<Void, any Error>) {
        state.withLockedValue { $0.waiters.removeValue(forKey: number) }?.resume(with: result)
    }

    /// Has those go on who wait, unless the state is another by now: whoever has connected since waits for that.
    func resumeWaiters(_ expected: SocketIOConnectionState, _ result: Result<Void, any Error>) {
        let waiters = client.lock.withLock {
            state.withLockedValue { state -> [CheckedContinuation<Void, any Error>] in
                guard machine.connectionState == expected else { return [] }
                defer { state.waiters = [:] }
                return Array(state.waiters.values)
            }
        }
        for waiter in waiters { waiter.resume(with: result) }
    }

    /// Leaves the namespace ("io client disconnect"), and does not reconnect by itself; the last socket of a client to do so closes the
    /// connection. What waits to be sent is kept for the next `connect`.
    public func disconnect() {
        client.run { client in
            machine.disconnect()
            client.take(from: self)
        }
    }
}

extension SocketIOClientSocket: CustomStringConvertible {
    /// The namespace and where it is on its way.
    public var description: String { "SocketIOClientSocket(\(namespace), \(connectionState))" }
}
