// What a socket sends: events, events that ask for an acknowledgement, and acknowledgements.

import EngineIO
import Logging
import NIOConcurrencyHelpers
import WebSockets

extension SocketIOSocket {
    // MARK: Events

    /// Sends an event to this client; never suspends.
    ///
    /// Nothing is sent to a socket that has left. What can not be encoded is not sent, and logged: that is this program's mistake.
    public func emit<each Argument: Encodable>(_ event: String, _ arguments: repeat each Argument) {
        guard let values = values(event, repeat each arguments) else { return }
        emit(values, SendOptions())
    }

    /// Sends an event with any number of arguments.
    public func emit(_ event: String, arguments: [SocketIOValue]) { emit([.string(event)] + arguments, SendOptions()) }

    /// Sends an event, and waits for the client's acknowledgement.
    ///
    /// - Parameter timeout: how long; `SocketIOConfiguration.ackTimeout` if nil.
    /// - Returns: the acknowledgement's arguments.
    /// - Throws: `SocketIOAckError`; `CancellationError` if the task is cancelled while it waits.
    public func emitWithAck<each Argument: Encodable>(
        _ event: String, _ arguments: repeat each Argument, timeout: Duration? = nil
    ) async throws -> [SocketIOValue] {
        guard let values = values(event, repeat each arguments) else { throw SocketIOAckError(.notSent) }
        return try await emitWithAck(values, timeout)
    }

    /// Sends an event, waits for the client's acknowledgement, and decodes its first argument.
    ///
    /// - Throws: `SocketIOAckError`; `SocketIOArgumentError` if the argument does not fit; `CancellationError`.
    public func emitWithAck<each Argument: Encodable, Answer: Decodable>(
        _ event: String, _ arguments: repeat each Argument, timeout: Duration? = nil, as type: Answer.Type
    ) async throws -> Answer {
        guard let values = values(event, repeat each arguments) else { throw SocketIOAckError(.notSent) }
        let answer = try await emitWithAck(values, timeout)
        return try SocketIOArguments.decode(answer[...], as: type)
    }

    /// How an event is sent.
    struct SendOptions {
        var isVolatile = false
        var compression = MessageCompression.automatic
    }

    func values<each Argument: Encodable>(_ event: String, _ arguments: repeat each Argument) -> [SocketIOValue]? {
        SocketIOArguments.event(event, repeat each arguments, logger: logger)
    }

    func emit(_ values: [SocketIOValue], _ options: SendOptions) {
        let packet = SocketIOPacket(namespace: namespace.name, content: .event(values, id: nil))
        // What recovery may have to send again goes the way of a broadcast, which keeps it.
        if server.configuration.recovery != nil && !options.isVolatile {
            let target = SocketIOBroadcastOptions(rooms: [id], compression: options.compression)
            return namespace.adapter.broadcast(packet, target)
        }
        send(packet, options)
    }

    // MARK: Acknowledgements

    func emitWithAck(
        _ values: [SocketIOValue], _ timeout: Duration?, _ options: SendOptions = SendOptions()
    ) async throws -> [SocketIOValue] {
        let timeout = timeout ?? server.configuration.ackTimeout
        let id = namespace.nextID()
        let timer = OneShot<Timeout>()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                emit(values, id: id, options) { result in
                    timer.take()?.cancel()
                    continuation.resume(with: result.mapError { $0.isCancelled ? CancellationError() as any Error : $0 })
                }
                // A task that was cancelled before has had its `onCancel` called when there was nothing to end yet.
                if Task.isCancelled { return answer(id, .failure(SocketIOAckError(.cancelled))) }
                guard let timeout else { return }
                timer.put(server.timers.call(after: timeout) { self.answer(id, .failure(SocketIOAckError(.timeout))) })
            }
        } onCancel: {
            answer(id, .failure(SocketIOAckError(.cancelled)))
        }
    }

    /// Sends an event with an id, and has a closure told of the answer, once.
    func emit(
        _ values: [SocketIOValue], id: Int, _ options: SendOptions = SendOptions(),
        _ answered: @escaping @Sendable (Result<[SocketIOValue], SocketIOAckError>) -> Void
    ) {
        guard awaitAnswer(id, answered) else { return answered(.failure(SocketIOAckError(.disconnected))) }
        let isSent = send(SocketIOPacket(namespace: namespace.name, content: .event(values, id: id)), options)
        if !isSent { answer(id, .failure(SocketIOAckError(.notSent))) }
    }

    /// Notes who is told of an answer; false if the socket has left.
    func awaitAnswer(_ id: Int, _ answered: @escaping @Sendable (Result<[SocketIOValue], SocketIOAckError>) -> Void) -> Bool {
        state.withLockedValue { state in
            guard state.phase != .disconnected else { return false }
            var rare = state.rare ?? Rare()
            state.rare = nil
            rare.acks[id] = answered
            state.rare = rare
            return true
        }
    }

    /// An acknowledgement has come, or will not.
    func answer(_ id: Int, _ result: Result<[SocketIOValue], SocketIOAckError>) {
        // An answer that nobody waits for is late, or the client's mistake: neither is worth a connection.
        state.withLockedValue { $0.rare?.acks.removeValue(forKey: id) }?(result)
    }

    // MARK: Packets

    /// Sends a packet; false if it can not be encoded or the socket is gone.
    @discardableResult
    func send(_ packet: SocketIOPacket, _ options: SendOptions = SendOptions()) -> Bool {
        if isCatchingUp, hold({ self.sendNow(packet, options) }) { return true }
        return sendNow(packet, options)
    }

    /// Sends a packet without waiting for what the client has missed.
    @discardableResult
    func sendNow(_ packet: SocketIOPacket, _ options: SendOptions = SendOptions()) -> Bool {
        if options.isVolatile && !client.session.isWritable { return false }
        let messages: SocketIOMessages
        do throws(SocketIOUsageError) {
            messages = try server.configuration.parser.encode(packet)
        } catch {
            logger.error("a packet is not sent: \(error)", metadata: ["socket": "\(id)"])
            return false
        }
        if client.anyoneSeesOutgoing { tellOfOutgoing(packet) }
        return client.send(messages, options.compression)
    }

    /// Shows an event to those who asked for it by `onAnyOutgoing`.
    func tellOfOutgoing(_ packet: SocketIOPacket) {
        guard case .event(let values, _) = packet.content else { return }
        let observers = state.withLockedValue { $0.rare?.outgoing ?? [] }
        for observer in observers { observer(SocketIOEvent(values: values, acknowledgement: nil)) }
    }
}

extension SocketIOAckError.Reason {
    /// The task that waited was cancelled; it gets a `CancellationError`.
    static let cancelled = Self(text: "the task was cancelled")
}

extension SocketIOAckError {
    fileprivate var isCancelled: Bool { reason == .cancelled }
}
