// What is said to many, and asked of many: Socket.IO documentation, "Rooms" and "Broadcasting events".

import EngineIO
import Logging
import NIOConcurrencyHelpers
import WebSockets

/// Something that broadcasts can start from: a server's main namespace, a namespace.
public protocol SocketIOTarget {
    /// All of its sockets.
    var broadcast: SocketIOBroadcast { get }
}

extension SocketIOTarget {
    /// The sockets in any of some rooms.
    public func to(_ rooms: String...) -> SocketIOBroadcast { broadcast.adding(rooms) }
    /// The sockets in any of some rooms.
    public func to(_ rooms: some Sequence<String>) -> SocketIOBroadcast { broadcast.adding(rooms) }
    /// The sockets in any of some rooms; another name of `to`.
    public func `in`(_ rooms: String...) -> SocketIOBroadcast { broadcast.adding(rooms) }
    /// All sockets but those in some rooms.
    public func except(_ rooms: String...) -> SocketIOBroadcast { broadcast.excepting(rooms) }
    /// Those that can take it now: the rest miss it.
    public var volatile: SocketIOBroadcast { broadcast.with { $0.isVolatile = true } }
    /// Those of this node.
    public var local: SocketIOBroadcast { broadcast.with { $0.isLocal = true } }
    /// Sent compressed or not, where the connection has compression.
    public func compress(_ isOn: Bool) -> SocketIOBroadcast { broadcast.with { $0.compression = isOn ? .automatic : .never } }
    /// With an end to the waiting for acknowledgements.
    public func timeout(_ timeout: Duration) -> SocketIOBroadcast { broadcast.with { $0.timeout = timeout } }

    /// Sends an event to all of them; never suspends. It is encoded once.
    public func emit<each Argument: Encodable>(_ event: String, _ arguments: repeat each Argument) {
        broadcast.emitEvent(event, repeat each arguments)
    }

    /// Sends an event with any number of arguments to all of them.
    public func emit(_ event: String, arguments: [SocketIOValue]) { broadcast.emitEvent([.string(event)] + arguments) }

    /// Sends an event to all of them, and waits for all their acknowledgements.
    ///
    /// A socket that leaves before it has answered is not waited for any longer. (Node waits for it until the timeout.)
    ///
    /// - Returns: the arguments of each that answered, in the order in which they came.
    /// - Throws: `SocketIOAckError` with the answers that came, if some did not come in time, or if the other nodes of a cluster could not be asked;
    ///   `CancellationError`.
    public func emitWithAck<each Argument: Encodable>(
        _ event: String, _ arguments: repeat each Argument
    ) async throws -> [[SocketIOValue]] {
        try await broadcast.emitEventWithAck(event, repeat each arguments)
    }

    /// The sockets, of all nodes.
    public func fetchSockets() async throws -> [SocketIORemoteSocket] { try await broadcast.fetchAll() }
    /// Puts them into rooms.
    public func socketsJoin(_ rooms: [String]) { broadcast.adapter.joinSockets(broadcast.options, rooms: Set(rooms)) }
    /// Takes them out of rooms.
    public func socketsLeave(_ rooms: [String]) { broadcast.adapter.leaveSockets(broadcast.options, rooms: Set(rooms)) }
    /// Disconnects them from the namespace.
    ///
    /// - Parameter closingConnection: whether the connection of each is closed, too.
    public func disconnectSockets(closingConnection: Bool = false) {
        broadcast.adapter.disconnectSockets(broadcast.options, closingConnections: closingConnection)
    }

    /// Disconnects them from the namespace.
    @available(*, deprecated, renamed: "disconnectSockets(closingConnection:)")
    public func disconnectSockets(closingConnections: Bool) { disconnectSockets(closingConnection: closingConnections) }
}

/// Some sockets of a namespace, of all nodes: a value, which each step narrows or widens.
public struct SocketIOBroadcast: SocketIOTarget, Sendable {
    let namespace: SocketIONamespace
    var options: SocketIOBroadcastOptions

    init(_ namespace: SocketIONamespace, _ options: SocketIOBroadcastOptions = SocketIOBroadcastOptions()) {
        self.namespace = namespace
        self.options = options
        if self.options.timeout == nil { self.options.timeout = namespace.server.configuration.ackTimeout }
    }

    /// Itself.
    public var broadcast: SocketIOBroadcast { self }

    var adapter: any SocketIOAdapter { namespace.adapter }

    func with(_ change: (inout SocketIOBroadcastOptions) -> Void) -> Self {
        var changed = self
        change(&changed.options)
        return changed
    }

    func adding(_ rooms: some Sequence<String>) -> Self { with { $0.rooms.formUnion(rooms) } }
    func excepting(_ rooms: some Sequence<String>) -> Self { with { $0.except.formUnion(rooms) } }

    func emitEvent<each Argument: Encodable>(_ event: String, _ arguments: repeat each Argument) {
        guard let values = values(event, repeat each arguments) else { return }
        emitEvent(values)
    }

    func emitEvent(_ values: [SocketIOValue]) {
        adapter.broadcast(SocketIOPacket(namespace: namespace.name, content: .event(values, id: nil)), options)
    }

    private func values<each Argument: Encodable>(_ event: String, _ arguments: repeat each Argument) -> [SocketIOValue]? {
        SocketIOArguments.event(event, repeat each arguments, what: "a broadcast", logger: namespace.server.configuration.logger)
    }

    func fetchAll() async throws -> [SocketIORemoteSocket] { try await adapter.fetchSockets(options) }

    func emitEventWithAck<each Argument: Encodable>(
        _ event: String, _ arguments: repeat each Argument
    ) async throws -> [[SocketIOValue]] {
        guard let values = values(event, repeat each arguments) else { throw SocketIOAckError(.notSent) }
        guard !options.isLocal else { return try await collect(values, nodes: 1) }
        let nodes: Int
        do {
            nodes = try await adapter.serverCount()
        } catch let error where !(error is CancellationError) {
            namespace.server.configuration.logger.debug("a broadcast is asked of this node's sockets only: \(error)")
            throw SocketIOAckError(.otherNodesUnreachable, responses: try await with { $0.isLocal = true }.partial(values))
        }
        return try await collect(values, nodes: nodes)
    }

    /// Sends an event, and collects the answers that come in time.
    private func partial(_ values: [SocketIOValue]) async throws -> [[SocketIOValue]] {
        do {
            return try await collect(values, nodes: 1)
        } catch let error as SocketIOAckError where error.reason == .timeout {
            return error.responses
        }
    }

    /// Sends an event, and collects the answers of the sockets of so many nodes.
    private func collect(_ values: [SocketIOValue], nodes: Int) async throws -> [[SocketIOValue]] {
        let collector = AnswerCollector(nodes: nodes)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                guard collector.begin(continuation) else { return }
                do throws(SocketIOUsageError) {
                    collector.whenEnded(
                        try adapter.broadcast(values, options, counted: { collector.counted($0) }, answered: { collector.answered($0) }))
                } catch {
                    namespace.server.configuration.logger.error(
                        "a broadcast is not sent: \(error)", metadata: ["namespace": "\(namespace.name)"])
                    return collector.end(.notSent)
                }
                guard let timeout = options.timeout else { return }
                let timer = namespace.server.timers.call(after: timeout) { collector.end(.timeout) }
                collector.whenEnded { timer.cancel() }
            }
        } onCancel: {
            collector.end(.cancelled)
        }
    }
}

/// Collects the answers to one broadcast.
private final class AnswerCollector: Sendable {
    private struct State {
        var continuation: CheckedContinuation<[[SocketIOValue]], any Error>?
        var hasEnded = false
        var nodesLeft: Int
        /// How many answers are still to come.
        var expected = 0
        var answers: [[SocketIOValue]] = []
        var ending: [@Sendable () -> Void] = []
    }

    private let state: NIOLockedValueBox<State>

    init(nodes: Int) { state = NIOLockedValueBox(State(nodesLeft: nodes)) }

    /// False for a task that was cancelled before.
    func begin(_ continuation: CheckedContinuation<[[SocketIOValue]], any Error>) -> Bool {
        let hasEnded = state.withLockedValue { state in
            if !state.hasEnded { state.continuation = continuation }
            return state.hasEnded
        }
        if hasEnded { continuation.resume(throwing: CancellationError()) }
        return !hasEnded
    }

    /// Has something done at the end; at once if it has come.
    func whenEnded(_ body: @escaping @Sendable () -> Void) {
        let hasEnded = state.withLockedValue { state in
            if !state.hasEnded { state.ending.append(body) }
            return state.hasEnded
        }
        if hasEnded { body() }
    }

    func counted(_ sockets: Int) {
        settle { state in
            state.nodesLeft -= 1
            state.expected += sockets
        }
    }

    /// - Parameter answer: nil for a socket that has left.
    func answered(_ answer: [SocketIOValue]?) {
        settle { state in
            state.expected -= 1
            if let answer { state.answers.append(answer) }
        }
    }

    private func settle(_ change: (inout State) -> Void) {
        let isComplete = state.withLockedValue { state in
            change(&state)
            return state.nodesLeft <= 0 && state.expected <= 0
        }
        if isComplete { end { .success($0) } }
    }

    func end(_ reason: SocketIOAckError.Reason) {
        end { .failure(reason == .cancelled ? CancellationError() : SocketIOAckError(reason, responses: $0)) }
    }

    /// Ends the waiting, the first time.
    private func end(_ result: ([[SocketIOValue]]) -> Result<[[SocketIOValue]], any Error>) {
        let ended = state.withLockedValue { state -> State? in
            guard !state.hasEnded else { return nil }
            defer {
                state.hasEnded = true
                state.continuation = nil
                state.ending = []
            }
            return state
        }
        guard let ended else { return }
        for body in ended.ending { body() }
        ended.continuation?.resume(with: result(ended.answers))
    }
}

// MARK: From a socket

extension SocketIOSocket {
    /// All sockets of its namespace but itself.
    public var broadcast: SocketIOBroadcast { SocketIOEmitter(socket: self).broadcast }
    /// The sockets in any of some rooms, but itself.
    public func to(_ rooms: String...) -> SocketIOBroadcast { broadcast.adding(rooms) }
    /// The sockets in any of some rooms, but itself.
    public func to(_ rooms: some Sequence<String>) -> SocketIOBroadcast { broadcast.adding(rooms) }
    /// The sockets in any of some rooms, but itself; another name of `to`.
    public func `in`(_ rooms: String...) -> SocketIOBroadcast { broadcast.adding(rooms) }
    /// All sockets but itself and those in some rooms.
    public func except(_ rooms: String...) -> SocketIOBroadcast { broadcast.excepting(rooms) }
    /// All sockets of this node but itself.
    public var local: SocketIOBroadcast { broadcast.local }
    /// This client, with events that are dropped if it can not take them now.
    public var volatile: SocketIOEmitter { SocketIOEmitter(socket: self).volatile }
    /// This client, with events that are compressed or not, where its connection has compression.
    public func compress(_ isOn: Bool) -> SocketIOEmitter { SocketIOEmitter(socket: self).compress(isOn) }
    /// This client, with an end to the waiting for its acknowledgement.
    public func timeout(_ timeout: Duration) -> SocketIOEmitter { SocketIOEmitter(socket: self).timeout(timeout) }
}

/// One client, and how events are sent to it; or, once rooms are named, how they are sent to others.
///
/// Settings and rooms can be given in any order, as in Node: `socket.volatile.to("a")` is `socket.to("a").volatile`. What is sent to this
/// client has one acknowledgement, what is sent to others has many; so naming rooms leads on to a ``SocketIOBroadcast``.
public struct SocketIOEmitter: Sendable {
    private let socket: SocketIOSocket
    private var options = SocketIOSocket.SendOptions()
    private var timeout: Duration?

    init(socket: SocketIOSocket) { self.socket = socket }

    private func with(_ change: (inout Self) -> Void) -> Self {
        var changed = self
        change(&changed)
        return changed
    }

    // MARK: How

    /// Drops events that the client can not take now.
    public var volatile: Self { with { $0.options.isVolatile = true } }
    /// Sends events compressed or not, where the connection has compression.
    public func compress(_ isOn: Bool) -> Self { with { $0.options.compression = isOn ? .automatic : .never } }
    /// Ends the waiting for acknowledgements after a time.
    public func timeout(_ timeout: Duration) -> Self { with { $0.timeout = timeout } }

    // MARK: To others

    /// All other sockets of the namespace, sent to in the same way.
    public var broadcast: SocketIOBroadcast {
        SocketIOBroadcast(
            socket.namespace,
            SocketIOBroadcastOptions(
                except: [socket.id], isVolatile: options.isVolatile, compression: options.compression, timeout: timeout))
    }
    /// The other sockets in any of some rooms.
    public func to(_ rooms: String...) -> SocketIOBroadcast { broadcast.adding(rooms) }
    /// The other sockets in any of some rooms.
    public func to(_ rooms: some Sequence<String>) -> SocketIOBroadcast { broadcast.adding(rooms) }
    /// The other sockets in any of some rooms; another name of `to`.
    public func `in`(_ rooms: String...) -> SocketIOBroadcast { broadcast.adding(rooms) }
    /// All other sockets but those in some rooms.
    public func except(_ rooms: String...) -> SocketIOBroadcast { broadcast.excepting(rooms) }
    /// All other sockets of this node.
    public var local: SocketIOBroadcast { broadcast.local }

    // MARK: To this client

    /// Sends an event to this client; see `SocketIOSocket.emit`.
    public func emit<each Argument: Encodable>(_ event: String, _ arguments: repeat each Argument) {
        guard let values = socket.values(event, repeat each arguments) else { return }
        socket.emit(values, options)
    }

    /// Sends an event with any number of arguments to this client.
    public func emit(_ event: String, arguments: [SocketIOValue]) { socket.emit([.string(event)] + arguments, options) }

    /// Sends an event to this client, and waits for its acknowledgement; see `SocketIOSocket.emitWithAck`.
    ///
    /// - Returns: the acknowledgement's arguments.
    /// - Throws: `SocketIOAckError`; `CancellationError`.
    public func emitWithAck<each Argument: Encodable>(
        _ event: String, _ arguments: repeat each Argument
    ) async throws -> [SocketIOValue] {
        guard let values = socket.values(event, repeat each arguments) else { throw SocketIOAckError(.notSent) }
        return try await socket.emitWithAck(values, timeout, options)
    }

    /// Sends an event to this client, waits for its acknowledgement, and decodes the first argument.
    ///
    /// - Throws: `SocketIOAckError`; `SocketIOArgumentError` if the argument does not fit; `CancellationError`.
    public func emitWithAck<each Argument: Encodable, Answer: Decodable>(
        _ event: String, _ arguments: repeat each Argument, as type: Answer.Type
    ) async throws -> Answer {
        guard let values = socket.values(event, repeat each arguments) else { throw SocketIOAckError(.notSent) }
        return try SocketIOArguments.decode(try await socket.emitWithAck(values, timeout, options)[...], as: type)
    }
}
