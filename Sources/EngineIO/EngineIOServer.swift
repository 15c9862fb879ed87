// The server: which request leads to which session; Engine.IO protocol 4, "Transports" and "Handshake". The judgement of requests is in
// EngineIOServer+Requests.swift, what ties it to a WebSocketServer in WebSocketServer+EngineIO.swift.

import Logging
import NIOConcurrencyHelpers
import NIOCore
import Synchronization
import WebSocketCore
public import WebSockets

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#elseif canImport(Glibc)
import Glibc
#endif

/// Serves Engine.IO 4: sessions over HTTP long-polling and WebSocket, and the change from the one to the other.
///
/// Mount it on a `WebSocketServer`, which carries both. Long-polling alone can be carried by any HTTP server: see `handle`.
public final class EngineIOServer: Sendable {
    /// The limits, times and habits.
    public let configuration: EngineIOConfiguration
    let settings: SessionSettings
    let timers = WheelTimers<EngineIOSession>()
    private let makeHandler: @Sendable (EngineIOSession) -> any EngineIOHandler
    private let sessions = NIOLockedValueBox<[SessionID: EngineIOSession]>([:])
    private let closing = Atomic<Bool>(false)
    /// What reaches the other nodes' sessions. Nobody else knows of the server while it is set, in `init`, and it never changes again.
    nonisolated(unsafe) private(set) var forwarder: (any EngineIOForwarder)?

    /// Makes a server.
    ///
    /// - Parameter handler: makes a session's handler, on the thread that the first request came on.
    public init(
        configuration: EngineIOConfiguration = EngineIOConfiguration(),
        handler: @escaping @Sendable (EngineIOSession) -> any EngineIOHandler
    ) {
        self.configuration = configuration
        settings = SessionSettings(configuration)
        makeHandler = handler
        forwarder = configuration.forwarder?(self)
    }

    var logger: Logger { configuration.logger }

    static var now: Timestamp { Timestamp(nanoseconds: NIODeadline.now().uptimeNanoseconds) }

    static var millisecondsSince1970: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    // MARK: Sessions

    /// How many sessions there are.
    public var sessionCount: Int { sessions.withLockedValue { $0.count } }

    /// All sessions, in no order.
    public var allSessions: [EngineIOSession] { sessions.withLockedValue { Array($0.values) } }

    /// The session with an id; nil if there is none.
    public func session(_ id: some StringProtocol) -> EngineIOSession? {
        SessionID(id).flatMap { sid in sessions.withLockedValue { $0[sid] } }
    }

    /// Makes a session, known by its id from now on.
    func makeSession(_ request: ServerRequest, keepsRequest: Bool) -> EngineIOSession {
        let session = EngineIOSession(self, request, keepsRequest: keepsRequest)
        session.handler = makeHandler(session)
        sessions.withLockedValue { $0[session.sid] = session }
        return session
    }

    func ended(_ session: EngineIOSession) { sessions.withLockedValue { _ = $0.removeValue(forKey: session.sid) } }

    /// Sends a message to many sessions: it is encoded once.
    public func send(_ prepared: EngineIOPreparedMessage, to sessions: some Sequence<EngineIOSession>) {
        for session in sessions { session.send(prepared) }
    }

    // MARK: The end

    /// Whether the server shuts down: no more sessions open.
    var isClosing: Bool { closing.load(ordering: .acquiring) }

    /// Ends all sessions, whatever waits to be sent, and lets no more open.
    public func close() {
        closing.store(true, ordering: .releasing)
        for session in allSessions { session.close(.serverShuttingDown, discardingUnsent: true) }
        forwarder?.drain()
    }

    /// Ends the sessions on long-polling; those on WebSocket end with their connections, which the `WebSocketServer` spreads over its
    /// `drainTimeout`.
    func drain() {
        closing.store(true, ordering: .releasing)
        for session in allSessions where session.transport == .polling { session.close(.serverShuttingDown, discardingUnsent: true) }
        forwarder?.drain()
    }

    // MARK: Long-polling

    /// Handles a request of long-polling, whole, and answers it now or when there is something to say.
    ///
    /// For HTTP servers other than this library's, which call it for each request to the path. A server that can tell of a request before
    /// its body has come calls `begin` instead: only then are two POSTs at a time noticed.
    ///
    /// - Parameters:
    ///   - respond: takes the answer, once, on any thread.
    /// - Returns: the request; `cancel` it if the client goes before the answer.
    @discardableResult
    public func handle(_ request: ServerRequest, respond: @escaping EngineIOExchange.Respond) -> EngineIOExchange {
        let exchange = begin(request, respond: respond)
        if request.body.readableBytes > exchange.maxBodyBytes { exchange.bodyOverLimit() } else { exchange.received(request.body) }
        return exchange
    }
}
