// A client: one connection to a server, and the sockets that share it. What happens is in SocketIOClient+Performing.swift.
//
// The machines of the connection and of its sockets are under one lock, so that all calls have one order; what they ask for is done outside of
// it, by one thread at a time, in that order.

public import EngineIO
import Logging
import NIOConcurrencyHelpers

/// A client of a Socket.IO 4 server: what the official client calls a Manager.
///
/// ```swift
/// let client = try SocketIOClient("https://example.com")
/// let socket = client.socket()
/// socket.on("chat message") { (text: String) in print(text) }
/// socket.connect()
/// socket.emit("chat message", "hello")
/// let sum: Int = try await socket.emitWithAck("add", 1, 2, timeout: .seconds(5), as: Int.self)
/// await client.close()
/// ```
///
/// It can be used from any thread, task or actor. Another client is another connection (`forceNew`).
///
/// `@unchecked Sendable`: all variables are touched only under `lock`.
public final class SocketIOClient: @unchecked Sendable {
    /// What is to be done, outside of the lock.
    enum Effect {
        case connection(ClientMachine.Action)
        case socket(SocketIOClientSocket, ClientSocketMachine.Action, connection: Int)
        /// All before is done.
        case resume(CheckedContinuation<Void, Never>)
    }

    /// The connection beneath.
    struct Engine {
        let number: Int
        let session: EngineIOClientSession
    }

    private struct Former { weak var socket: SocketIOClientSocket? }

    /// Acknowledgements and delays of all clients.
    static let timers = WheelTimers<Timeout>()

    /// The settings.
    public let configuration: SocketIOClientConfiguration
    /// Where it connects to.
    public let url: String
    private let defaultNamespace: String

    let lock = NIOLock()
    var machine: ClientMachine
    var sockets: [SocketIOClientSocket] = []
    /// Those that were there when the client was closed: whoever still has one can connect it again.
    private var former: [Former] = []
    var effects: [Effect] = []
    /// Whether a thread does what is to be done.
    var isPerforming = false
    var engine: Engine?
    /// Sessions that have something left.
    var ending: [EngineIOClientSession] = []
    var delay: Timeout?
    /// The number of the last event that was emitted.
    var lastEmission = 0
    private var observers: [@Sendable (SocketIOClientEvent) -> Void] = []
    private var feeds: [Int: AsyncStream<SocketIOClientEvent>.Continuation] = [:]
    private var lastFeed = 0

    /// Makes a client; nothing is connected yet.
    ///
    /// - Parameter url: the server: `http://`, `https://`, `ws://` or `wss://`. A path in it is the namespace of `socket()`, as in the official
    ///   client; where the server listens is `configuration.engine.path`. A query is added to that of every request.
    /// - Throws: `EngineIOClientError` of the kind `usage` for an address that can not be one.
    public init(_ url: String, configuration: SocketIOClientConfiguration = SocketIOClientConfiguration()) throws(EngineIOClientError) {
        self.url = url
        self.configuration = configuration
        machine = ClientMachine(configuration.reconnection)
        let path = try EngineIOClientSession.path(of: url)
        defaultNamespace = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    }

    /// Lets go of the sockets, which hold the client.
    private func release() {
        let released = lock.withLock {
            former = former.filter { $0.socket != nil } + sockets.map { Former(socket: $0) }
            let released = sockets.filter { !$0.machine.isActive }
            sockets.removeAll { !$0.machine.isActive }
            return released
        }
        withExtendedLifetime(released) {}
    }

    /// The socket of a namespace; the same one whenever it is asked for.
    ///
    /// - Parameters:
    ///   - namespace: its name; that of the address if nil, which is `/` as a rule.
    ///   - auth: what the server is told when the socket connects, if it is another than the client's.
    public func socket(_ namespace: String? = nil, auth: SocketIOAuth? = nil) -> SocketIOClientSocket {
        var name = namespace ?? defaultNamespace
        if !name.hasPrefix("/") { name = "/" + name }
        let socket = lock.withLock {
            if let known = sockets.first(where: { $0.namespace == name }) { return known }
            let socket = former.lazy.compactMap(\.socket).first { $0.namespace == name } ?? SocketIOClientSocket(self, name)
            sockets.append(socket)
            return socket
        }
        if let auth { socket.setAuth(auth) }
        if configuration.connectsAutomatically { socket.connect() }
        return socket
    }

    // MARK: What is known

    /// Whether there is a connection; a socket is connected a little later.
    public var isOpen: Bool { lock.withLock { machine.phase == .open } }

    /// The connection beneath; nil if there is none.
    public var connection: EngineIOClientSession? { lock.withLock { machine.phase == .open ? engine?.session : nil } }

    /// What carries the packets now; nil without a connection.
    public var transport: EngineIOTransport? { connection?.transport }

    // MARK: Events

    /// Is told what happens to the connection, under the names of the official client's Manager; on whichever thread causes it: it must not block.
    public func onEvent(_ body: @escaping @Sendable (SocketIOClientEvent) -> Void) { lock.withLock { observers.append(body) } }

    /// What happens to the connection, from now on; up to 1,000 events are kept for who is slow, then the oldest are dropped. It ends when the
    /// client is closed.
    public var events: AsyncStream<SocketIOClientEvent> {
        let (stream, feed) = AsyncStream<SocketIOClientEvent>.makeStream(bufferingPolicy: .bufferingNewest(1000))
        let number = lock.withLock {
            lastFeed += 1
            feeds[lastFeed] = feed
            return lastFeed
        }
        feed.onTermination = { [weak self] _ in self?.lock.withLock { _ = self?.feeds.removeValue(forKey: number) } }
        return stream
    }

    func tell(_ event: SocketIOClientEvent) {
        let (observers, feeds) = lock.withLock { (self.observers, Array(self.feeds.values)) }
        for feed in feeds { feed.yield(event) }
        for observer in observers { observer(event) }
    }

    // MARK: Connecting

    /// Connects without a socket, as the official client's `manager.connect` does.
    public func connect() { run { client in client.machine.open() } }

    /// Ends the connection that there is, or that is being made, and makes another one at once; a delay before an attempt ends, too. For when the device has changed its
    /// network: the connection is then of no use, and nobody would notice before the heartbeat fails.
    public func reconnectNow() { run { client in client.machine.restart() } }

    /// Looks whether the server has been heard in time, and connects anew if not. For when a device has woken; without it that is noticed
    /// within 10 s.
    public func checkConnection() {
        connection?.checkIsAlive()
    }

    /// Disconnects all sockets, closes the connection, and waits until nothing is left of it: no task, no timer, no connection.
    ///
    /// What was emitted before leaves first; what waits for a connection is dropped. Whoever has a socket can connect it again afterwards.
    /// A client that is not closed lives on; so does a socket whose handlers hold it, until `SocketIOClientSocket.off()`. Handlers that run
    /// are not waited for.
    public func close() async {
        await withCheckedContinuation { continuation in
            run { client in
                for socket in client.sockets {
                    socket.machine.disconnect()
                    socket.machine.abandon()
                    client.take(from: socket)
                }
                client.machine.close()
                client.takeFromMachine()
                client.effects.append(.resume(continuation))
            }
        }
        lock.withLock { delay.take() }?.cancel()
        for session in lock.withLock({ ending }) { await session.waitUntilClosed() }
        lock.withLock { ending.removeAll { $0.isDone } }
        let (sockets, feeds) = lock.withLock { (self.sockets, Array(self.feeds.values)) }
        for feed in feeds { feed.finish() }
        for socket in sockets { socket.endSequences() }
        release()
    }
}
