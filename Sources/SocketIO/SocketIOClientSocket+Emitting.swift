// What a client's socket sends: events, events that ask for an acknowledgement, and acknowledgements.

import EngineIO
import Logging
import NIOConcurrencyHelpers
import WebSockets

extension SocketIOClientSocket {
    // MARK: Events

    /// Sends an event; never suspends.
    ///
    /// While there is no connection, events are kept (`SocketIOClientConfiguration.sendBuffer`) and leave when there is one. What can not be
    /// encoded is not sent, and logged: that is this program's mistake.
    public func emit<each Argument: Encodable>(_ event: String, _ arguments: repeat each Argument) {
        guard let values = values(event, repeat each arguments) else { return }
        emit(values)
    }

    /// Sends an event with any number of arguments.
    public func emit(_ event: String, arguments: [SocketIOValue]) { emit([.string(event)] + arguments) }

    /// Sends an event called `message`.
    public func send<each Argument: Encodable>(_ arguments: repeat each Argument) { emit("message", repeat each arguments) }

    /// Sends an event, and waits for the server's acknowledgement.
    ///
    /// - Parameter timeout: how long; `SocketIOClientConfiguration.ackTimeout` if nil. With `retries`, how long each try waits.
    /// - Returns: the acknowledgement's arguments.
    /// - Throws: `SocketIOAckError`; `CancellationError` if the task is cancelled while it waits, or was before: then nothing is sent.
    public func emitWithAck<each Argument: Encodable>(
        _ event: String, _ arguments: repeat each Argument, timeout: Duration? = nil
    ) async throws -> [SocketIOValue] {
        guard let values = values(event, repeat each arguments) else { throw SocketIOAckError(.notSent) }
        return try await emitWithAck(values, timeout)
    }

    /// Sends an event, waits for the server's acknowledgement, and decodes its first argument.
    ///
    /// - Throws: `SocketIOAckError`; `SocketIOArgumentError` if the argument does not fit; `CancellationError`.
    public func emitWithAck<each Argument: Encodable, Answer: Decodable>(
        _ event: String, _ arguments: repeat each Argument, timeout: Duration? = nil, as type: Answer.Type
    ) async throws -> Answer {
        guard let values = values(event, repeat each arguments) else { throw SocketIOAckError(.notSent) }
        let answer = try await emitWithAck(values, timeout)
        return try SocketIOArguments.decode(answer[...], as: type)
    }

    /// Sends an event with any number of arguments, and waits for the server's acknowledgement.
    public func emitWithAck(_ event: String, arguments: [SocketIOValue], timeout: Duration? = nil) async throws -> [SocketIOValue] {
        try await emitWithAck([.string(event)] + arguments, timeout)
    }

    /// Sends an event with any number of arguments, and has a closure told of the acknowledgement, or why there is none; once, on any thread: it
    /// must not block.
    ///
    /// - Parameter timeout: as for `emitWithAck`.
    public func emit(
        _ event: String, arguments: [SocketIOValue], timeout: Duration? = nil,
        acknowledged: @escaping @Sendable (Result<[SocketIOValue], SocketIOAckError>) -> Void
    ) {
        emit([.string(event)] + arguments, timeout: timeout, answer: acknowledged)
    }

    /// Events that are dropped where they would have to wait: while there is no connection, or the network does not take more.
    public var volatile: SocketIOClientEmitter { SocketIOClientEmitter(socket: self, options: .init(isVolatile: true)) }

    /// Whether what is sent may be compressed, where the connection is.
    public func compress(_ isOn: Bool) -> SocketIOClientEmitter {
        SocketIOClientEmitter(socket: self, options: .init(compression: isOn ? .automatic : .never))
    }

    /// Events whose acknowledgement is waited for so long.
    public func timeout(_ timeout: Duration) -> SocketIOClientEmitter {
        SocketIOClientEmitter(socket: self, options: .init(), timeout: timeout)
    }

    func values<each Argument: Encodable>(_ event: String, _ arguments: repeat each Argument) -> [SocketIOValue]? {
        SocketIOArguments.event(event, repeat each arguments, logger: logger, failed: failed)
    }

    // MARK: The machine

    @discardableResult
    func emit(
        _ values: [SocketIOValue], _ options: SocketIOSocket.SendOptions = .init(), timeout: Duration? = nil,
        answer: ClientSocketMachine.AckHandler? = nil
    ) -> Int {
        // Checked here: one that is found when it is sent would be taken for sent until then.
        if case .string(let name)? = values.first, SocketIOPacket.isReserved(name) {
            notSent(SocketIOPacket(namespace: namespace, content: .event(values, id: nil)), SocketIOUsageError(.reservedEventName, name))
            answer?(.failure(SocketIOAckError(.notSent)))
            return -1
        }
        let session = client.connection
        // A device that has slept learns here that its connection is gone, and keeps the event for the next one.
        let isAlive = session?.checkIsAlive() ?? false
        let isWritable = options.isVolatile && isAlive && session?.isWritable == true
        var emission = ClientSocketMachine.Emission(number: 0, values: values, options: options, answer: answer, timeout: timeout)
        emit(&emission, asked: session, isAlive: isAlive, isWritable: isWritable)
        return emission.number
    }

    /// - Parameter session: who was asked whether it is alive and writable; it may have been followed by another since, which is alive.
    func emit(_ emission: inout ClientSocketMachine.Emission, asked session: EngineIOClientSession?, isAlive: Bool, isWritable: Bool) {
        client.run { client in
            client.lastEmission += 1
            emission.number = client.lastEmission
            machine.emit(emission, isAlive: isAlive || client.engine?.session !== session, isWritable: isWritable)
            client.take(from: self)
        }
    }

    func emitWithAck(
        _ values: [SocketIOValue], _ timeout: Duration?, _ options: SocketIOSocket.SendOptions = .init()
    ) async throws -> [SocketIOValue] {
        let pending = PendingAnswer()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                guard pending.put(continuation) else { return }
                let number = emit(values, options, timeout: timeout) { pending.resume($0.mapError { $0 as any Error }) }
                if !pending.note(number) { forget(number) }
            }
        } onCancel: {
            if let number = pending.cancel() { forget(number) }
        }
    }

    private func forget(_ number: Int) {
        client.run { client in
            machine.forget(number)
            client.take(from: self)
        }
    }

    /// Answers an event, unless the connection on which it came is gone.
    func acknowledge(_ arguments: [SocketIOValue], id: Int, epoch: Int) {
        client.run { client in
            machine.acknowledge(arguments, id: id, epoch: epoch)
            client.take(from: self)
        }
    }

    func notSent(_ packet: SocketIOPacket, _ error: SocketIOUsageError) {
        logger.error("a packet is not sent: \(error)", metadata: ["namespace": "\(namespace)"])
        failed(error)
        guard case .event(_, let id?) = packet.content else { return }
        client.run { client in
            machine.answered(id, .failure(SocketIOAckError(.notSent)))
            client.take(from: self)
        }
    }

    /// Shows an event to those who asked for it by `onAnyOutgoing`.
    func tellOfOutgoing(_ packet: SocketIOPacket) {
        guard case .event(let values, _) = packet.content else { return }
        let observers = state.withLockedValue { $0.outgoing }
        for observer in observers { observer(SocketIOEvent(values: values, acknowledgement: nil)) }
    }
}

extension ClientSocketMachine {
    mutating func acknowledge(_ arguments: [SocketIOValue], id: Int, epoch: Int) {
        guard isConnected, epoch == self.epoch else { return }
        actions.append(.send(packet(.ack(arguments, id: id)), .automatic))
    }
}

/// Sends events of a client's socket in a way of their own; see `SocketIOClientSocket.volatile`, `compress` and `timeout`. They can be given in
/// any order.
public struct SocketIOClientEmitter: Sendable {
    let socket: SocketIOClientSocket
    var options: SocketIOSocket.SendOptions
    var timeout: Duration?

    /// Events that are dropped where they would have to wait.
    public var volatile: Self {
        var other = self
        other.options.isVolatile = true
        return other
    }

    /// Whether what is sent may be compressed, where the connection is.
    public func compress(_ isOn: Bool) -> Self {
        var other = self
        other.options.compression = isOn ? .automatic : .never
        return other
    }

    /// Events whose acknowledgement is waited for so long.
    public func timeout(_ timeout: Duration) -> Self {
        var other = self
        other.timeout = timeout
        return other
    }

    /// Sends an event; see `SocketIOClientSocket.emit`.
    public func emit<each Argument: Encodable>(_ event: String, _ arguments: repeat each Argument) {
        guard let values = socket.values(event, repeat each arguments) else { return }
        socket.emit(values, options)
    }

    /// Sends an event with any number of arguments.
    public func emit(_ event: String, arguments: [SocketIOValue]) { socket.emit([.string(event)] + arguments, options) }

    /// Sends an event, and waits for the server's acknowledgement; see `SocketIOClientSocket.emitWithAck`.
    ///
    /// - Returns: the acknowledgement's arguments.
    /// - Throws: `SocketIOAckError`; `CancellationError`.
    public func emitWithAck<each Argument: Encodable>(
        _ event: String, _ arguments: repeat each Argument
    ) async throws -> [SocketIOValue] {
        guard let values = socket.values(event, repeat each arguments) else { throw SocketIOAckError(.notSent) }
        return try await socket.emitWithAck(values, timeout, options)
    }

    /// Sends an event, waits for the server's acknowledgement, and decodes its first argument.
    ///
    /// - Throws: `SocketIOAckError`; `SocketIOArgumentError` if the argument does not fit; `CancellationError`.
    public func emitWithAck<each Argument: Encodable, Answer: Decodable>(
        _ event: String, _ arguments: repeat each Argument, as type: Answer.Type
    ) async throws -> Answer {
        guard let values = socket.values(event, repeat each arguments) else { throw SocketIOAckError(.notSent) }
        return try SocketIOArguments.decode(try await socket.emitWithAck(values, timeout, options)[...], as: type)
    }
}

/// A task that waits for an acknowledgement: it goes on once, by the answer or its cancellation.
private final class PendingAnswer: Sendable {
    private struct State {
        var continuation: CheckedContinuation<[SocketIOValue], any Error>?
        var number: Int?
        var isCancelled = false
    }

    private let state = NIOLockedValueBox(State())

    /// Waits; false if the task was cancelled before.
    func put(_ continuation: CheckedContinuation<[SocketIOValue], any Error>) -> Bool {
        let isCancelled = state.withLockedValue { state in
            if !state.isCancelled { state.continuation = continuation }
            return state.isCancelled
        }
        if isCancelled { continuation.resume(throwing: CancellationError()) }
        return !isCancelled
    }

    /// Notes which event it is about; false if nobody waits any more.
    func note(_ number: Int) -> Bool {
        state.withLockedValue { state in
            state.number = number
            return !state.isCancelled
        }
    }

    func resume(_ result: Result<[SocketIOValue], any Error>) {
        state.withLockedValue { $0.continuation.take() }?.resume(with: result)
    }

    /// - Returns: which event need not be answered any more; nil if that is not known yet.
    func cancel() -> Int? {
        let (continuation, number) = state.withLockedValue { state in
            state.isCancelled = true
            return (state.continuation.take(), state.number)
        }
        continuation?.resume(throwing: CancellationError())
        return number
    }
}
