// A client's session: what any thread may ask of it. What it does for its machine is in EngineIOClientSession+Performing.swift.
//
// The machine is under a lock; what it asks for is done outside of it, by one thread at a time (`isPerforming`), in order. A client has one
// session where a server has thousands: there is no shorter way.

import Logging
import NIOConcurrencyHelpers
import NIOCore
package import WebSocketCore
public import WebSockets

/// A session with an Engine.IO 4 server, whichever transport carries it.
///
/// It can be used from any thread, task or actor. From one thread, messages leave in the order of the calls. It lasts until it is closed, by
/// whichever side; there is no second one: make another.
///
/// `@unchecked Sendable`: all variables are touched only under `lock`, but for `handler`, which is constant until the thread that performs
/// has told it of the end, and `timer`, which is touched only under the wheel's lock.
public final class EngineIOClientSession: TimerWheelElement, @unchecked Sendable {
    typealias Link = EngineIOClientMachine.Link

    /// Something under way.
    struct Job {
        let task: Task<Void, Never>
        let link: Link
        let isPost: Bool
    }

    /// The settings.
    public let configuration: EngineIOClientConfiguration
    /// What WebSocket's success is remembered under: the address that was asked for.
    let key: String
    private let origin: WebSocketURL
    var handler: (any EngineIOClientHandler)?
    static let timers = WheelTimers<EngineIOClientSession>()
    package var timer = TimerWheelPlace.none

    let lock = NIOLock()
    var machine: EngineIOClientMachine
    /// Whether a thread does what the machine has asked for.
    var isPerforming = false
    /// When the timer is to fire, as the wheel was last told.
    var armed: Timestamp?
    var sockets: [Link: WebSocket] = [:]
    /// Links that came to an end before their WebSocket was there.
    var dropped: Set<Link> = []
    var jobs: [Int: Job] = [:]
    private var lastJob = 0
    var poller: LongPoller?
    /// Where the requests go: elsewhere than was asked for if the first one was redirected.
    var currentAddress: EngineIOClientAddress
    private var hasEnded = false
    private var waiters: [CheckedContinuation<Void, Never>] = []

    /// Prepares a session; `start` opens it.
    ///
    /// - Parameters:
    ///   - url: the server: `http://`, `https://`, `ws://` or `wss://`. Its path is not looked at (see `EngineIOClientConfiguration.path`), its
    ///     query is added to that of every request.
    ///   - handler: is told what happens; it is kept until the end.
    /// - Throws: `EngineIOClientError` of the kind `usage` for an address that can not be one.
    public init(
        _ url: String, configuration: EngineIOClientConfiguration = EngineIOClientConfiguration(), handler: any EngineIOClientHandler
    ) throws(EngineIOClientError) {
        self.configuration = configuration
        self.handler = handler
        currentAddress = try EngineIOClientAddress(url, configuration)
        key = currentAddress.key
        origin = currentAddress.server
        machine = EngineIOClientMachine(configuration)
    }

    /// The time that also passes while the device sleeps: a heartbeat that was missed then is a heartbeat missed.
    package static var now: Timestamp {
        let time = epoch.duration(to: .now).components
        return Timestamp(nanoseconds: UInt64(max(0, time.seconds)) * 1_000_000_000 + UInt64(max(0, time.attoseconds) / 1_000_000_000))
    }

    private static let epoch = ContinuousClock.now - .seconds(1)

    /// Opens the session.
    public func start() {
        let prefers = configuration.remembersUpgrade && UpgradeMemory.contains(key)
        run { $0.start(at: $1, prefersWebSocket: prefers) }
    }

    // MARK: What is known

    /// The session's id; nil before it is open. It is a secret: who knows it can speak in this client's place.
    public var id: String? { lock.withLock { machine.opening?.sid } }

    /// What the server said when the session opened; nil before.
    public var opening: EngineIOOpening? { lock.withLock { machine.opening } }

    /// What carries the packets now, or is tried.
    public var transport: EngineIOTransport { lock.withLock { machine.transport } }

    var address: EngineIOClientAddress { lock.withLock { currentAddress } }

    /// The server to which a redirect has led, if it is of another origin than the one that was asked for: credentials are not for it.
    package var otherOrigin: String? {
        let server = address.server
        return server.isSameOrigin(as: origin) ? nil : "\(server.isSecure ? "https" : "http")://\(server.authority)"
    }

    /// Whether what is sent now leaves soon. For what is not worth sending late (`volatile` in Socket.IO).
    public var isWritable: Bool {
        let (isWritable, socket) = lock.withLock { (machine.isWritable, sockets[machine.link]) }
        // What one turn brings together may wait.
        return isWritable && (socket?.bufferedAmount ?? 0) < 16_384
    }

    /// Whether the session is open and the server has been heard in time; if not, the session ends. Ask when a device has woken or changed its
    /// network, instead of waiting for the heartbeat.
    @discardableResult
    public func checkIsAlive() -> Bool {
        var isAlive = false
        run { isAlive = $0.isAlive(at: $1) && $0.phase == .open }
        return isAlive
    }

    // MARK: Sending

    /// Sends a message.
    ///
    /// - Returns: whether it was taken: not after a close, nor when over `maxBufferedBytes` wait, which ends the session. What was taken
    ///   and not delivered when the session ends is lost.
    @discardableResult
    public func send(_ message: Message) -> Bool { send([message]) }

    /// Sends several messages, with nothing of another thread's in between, such as a Socket.IO packet and its attachments.
    @discardableResult
    public func send(_ messages: [Message]) -> Bool {
        var isTaken = false
        run { isTaken = $0.send(messages.map { .message($0) }, at: $1) }
        return isTaken
    }

    // MARK: Closing

    /// Closes the session; what was sent before leaves first, within `closeTimeout`.
    public func close() { run { $0.close(at: $1) } }

    /// Waits until nothing of the session is left: no task, timer or connection; at once if it was never started.
    public func waitUntilClosed() async {
        await withCheckedContinuation { continuation in
            let isDone = lock.withLock {
                let isDone = hasEnded || machine.phase == .idle
                if !isDone { waiters.append(continuation) }
                return isDone
            }
            if isDone { continuation.resume() }
        }
    }

    /// Whether nothing of the session is left.
    package var isDone: Bool { lock.withLock { hasEnded } }

    /// The path in an address: what is a namespace for Socket.IO.
    package static func path(of url: String) throws(EngineIOClientError) -> String {
        let path = try EngineIOClientAddress(url, EngineIOClientConfiguration()).server.path
        return String(path.prefix { $0 != "?" })
    }

    /// Nothing is left.
    func done() {
        let waiters = lock.withLock {
            hasEnded = true
            defer { self.waiters = [] }
            return self.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    // MARK: Tasks

    /// Runs a task that belongs to a link.
    func spawn(_ link: Link, isPost: Bool = false, _ body: @escaping @Sendable () async -> Void) {
        lock.withLock {
            lastJob += 1
            let id = lastJob
            let task = Task {
                await body()
                self.lock.withLock { _ = self.jobs.removeValue(forKey: id) }
            }
            jobs[id] = Job(task: task, link: link, isPost: isPost)
        }
    }
}

extension EngineIOClientSession: CustomStringConvertible {
    /// The transport and the server; not the id, which is a secret.
    public var description: String { "EngineIOClientSession(\(transport.rawValue), \(address.server.authority))" }
}
