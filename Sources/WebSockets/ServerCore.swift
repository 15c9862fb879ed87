// What all connections of one server share.

import Logging
import NIOCore
import Synchronization
import WebSocketCore

/// What all connections of one server share: routes, the responder, counts and the state of draining.
final class ServerCore: Sendable {
    typealias Responder = @Sendable (ServerRequest) async throws -> ServerResponse

    let configuration: WebSocketServer.Configuration
    let statistics = Statistics(role: .server)
    /// Tasks of handlers that have begun and not ended.
    let tasks = TaskRegistry()
    /// Tasks that write responses piece by piece.
    let streams = TaskRegistry()
    private let routes = Mutex<[Route]>([])
    private let services = Mutex<[MountedService]>([])
    private let fallback = Mutex<Fallback?>(nil)
    private let pages = Mutex<[(route: Route, respond: Responder)]>([])
    private let taps = Mutex<[(route: Route, make: @Sendable (ServerRequest) -> WireTap)]>([])
    private let draining = Atomic<Bool>(false)

    /// Who answers what no page takes. A closure that a lock holds by itself is wrapped once more by each look at it (Swift 6.3), until a
    /// call goes through as many wrappers as there were requests; the field of a struct is not.
    private struct Fallback {
        let respond: Responder
    }

    private let connections = Atomic<Int>(0)
    private let requests = Atomic<Int>(0)

    let broker: TopicBroker
    /// What its connections have in common.
    let settings: SharedSettings

    init(_ configuration: WebSocketServer.Configuration) {
        self.configuration = configuration
        settings = SharedSettings(configuration.connection, logger: configuration.logger)
        broker = TopicBroker(
            backplane: configuration.backplane, heartbeat: configuration.backplaneHeartbeat,
            maxBacklog: configuration.maxPublicationBacklog)
    }

    var logger: Logger { configuration.logger }
    var isSecure: Bool { configuration.tls != nil }
    var isDraining: Bool { draining.load(ordering: .acquiring) }
    func beginDraining() { draining.store(true, ordering: .releasing) }

    // MARK: Routes

    func add(_ route: Route) { routes.withLock { $0.append(route) } }

    func mount(_ mounted: MountedService) {
        services.withLock { $0.append(mounted) }
        add(mounted.route)
    }

    /// The service that a path leads to.
    func service(_ path: Substring) -> (any HTTPService)? {
        var path = RoutePath(path)
        return services.withLock { $0 }.first { $0.route.match(&path) != nil }?.service
    }

    /// Has the services answer what waits.
    func drainServices() {
        for mounted in services.withLock({ $0 }) { mounted.service.drain() }
    }

    /// The first route that fits, and its parameters.
    func route(_ path: String) -> (Route, [String: String])? {
        var path = RoutePath(path)
        for route in routes.withLock({ $0 }) {
            if let parameters = route.match(&path) { return (route, parameters) }
        }
        return nil
    }

    var responder: Responder? {
        get { fallback.withLock { $0 }?.respond }
        set { fallback.withLock { $0 = newValue.map(Fallback.init) } }
    }

    func add(_ route: Route, _ respond: @escaping Responder) { pages.withLock { $0.append((route, respond)) } }

    /// Who answers a plain request, and the parameters of the path.
    func responder(_ path: String) -> (Responder?, [String: String]) {
        var path = RoutePath(path)
        for page in pages.withLock({ $0 }) {
            if let parameters = page.route.match(&path) { return (page.respond, parameters) }
        }
        return (responder, [:])
    }

    // MARK: Taps

    func addTap(_ route: Route, _ make: @escaping @Sendable (ServerRequest) -> WireTap) { taps.withLock { $0.append((route, make)) } }

    var hasTaps: Bool { taps.withLock { !$0.isEmpty } }

    /// Makes who sees the bytes of the connections at a path, and the parameters of the path; nil if nobody does.
    func tap(_ path: some StringProtocol) -> (make: @Sendable (ServerRequest) -> WireTap, parameters: [String: String])? {
        var path = RoutePath(path)
        for tap in taps.withLock({ $0 }) {
            if let parameters = tap.route.match(&path) { return (tap.make, parameters) }
        }
        return nil
    }

    // MARK: Connections

    /// Counts a TCP connection in, and says whether it is over the limit.
    fileprivate func connectionOpened() -> Bool {
        let count = connections.add(1, ordering: .relaxed).newValue
        return configuration.maxConnections.map { count > $0 } ?? false
    }

    /// Whether there is no TCP connection.
    var isIdle: Bool { connections.load(ordering: .relaxed) == 0 }

    fileprivate func connectionClosed() { connections.subtract(1, ordering: .relaxed) }

    func requestBegan() { requests.add(1, ordering: .relaxed) }
    func requestEnded() { requests.subtract(1, ordering: .relaxed) }

    /// Whether there is something that draining waits for: an open WebSocket, or a request without its answer.
    var isBusy: Bool { statistics.snapshot.open > 0 || requests.load(ordering: .relaxed) > 0 }
}

/// The places of a server's TCP connections.
final class ConnectionSlots: Sendable {
    private let core: ServerCore
    private let onFree: @Sendable () -> Void

    /// - Parameter onFree: a connection has ended, and its descriptor is closed.
    init(_ core: ServerCore, onFree: @escaping @Sendable () -> Void = {}) {
        self.core = core
        self.onFree = onFree
    }

    /// Whether none is taken.
    var areFree: Bool { core.isIdle }

    /// Counts a connection in, and says whether it is over the limit.
    fileprivate func take() -> Bool { core.connectionOpened() }

    fileprivate func free() {
        core.connectionClosed()
        onFree()
    }
}

/// One TCP connection's place among those that are counted: it is taken for as long as somebody holds this, or what it was handed over to.
final class ConnectionSlot: Sendable {
    /// Whether the server had too many connections already.
    let isOverLimit: Bool
    private let slots: ConnectionSlots?
    private let isHandedOver = Atomic<Bool>(false)

    init(_ slots: ConnectionSlots) {
        self.slots = slots
        isOverLimit = slots.take()
    }

    /// Takes the place over from who held it.
    init(_ held: consuming HeldSlot, isOverLimit: Bool) {
        slots = held.release()
        self.isOverLimit = isOverLimit
    }

    /// Gives the place to whoever takes the connection over; once.
    func handOver() -> HeldSlot {
        isHandedOver.store(true, ordering: .relaxed)
        return HeldSlot(slots: slots)
    }

    deinit {
        if !isHandedOver.load(ordering: .relaxed) { slots?.free() }
    }
}

/// A place that was handed over: the reactor's connections hold it without an object for it.
struct HeldSlot: ~Copyable, Sendable {
    /// Nil once the place is somebody else's.
    private var slots: ConnectionSlots?

    fileprivate init(slots: ConnectionSlots?) { self.slots = slots }

    /// Counts a connection in.
    ///
    /// - Parameter isOverLimit: turns to whether the server had too many connections already.
    init(_ slots: ConnectionSlots, isOverLimit: inout Bool) {
        self.slots = slots
        isOverLimit = slots.take()
    }

    deinit { slots?.free() }

    fileprivate consuming func release() -> ConnectionSlots? { slots.take() }
}

/// The tasks of handlers, so that shutting down can cancel them and wait for them.
final class TaskRegistry: Sendable {
    private struct Contents {
        var tasks: [Int: Task<Void, Never>] = [:]
        var next = 0
    }

    private let contents = Mutex(Contents())

    /// Begins a task and remembers it until it has ended.
    @discardableResult
    func begin(on executor: any TaskExecutor, _ body: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
        contents.withLock { contents in
            let id = contents.next
            contents.next += 1
            // The task's end waits for this lock, and so comes after its entry.
            let task = Task(executorPreference: executor) {
                await body()
                self.contents.withLock { $0.tasks[id] = nil }
            }
            contents.tasks[id] = task
            return task
        }
    }

    func cancelAll() {
        for task in contents.withLock({ Array($0.tasks.values) }) { task.cancel() }
    }

    func waitForAll() async {
        for task in contents.withLock({ Array($0.tasks.values) }) { await task.value }
    }
}
