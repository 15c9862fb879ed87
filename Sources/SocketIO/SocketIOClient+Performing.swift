// From an event to what it causes, on a client.

import EngineIO
import Logging
import NIOConcurrencyHelpers
import NIOCore
import WebSockets

extension SocketIOClient {
    /// Changes something under the lock, and does what that causes, unless another thread is at that.
    func run(_ change: (SocketIOClient) -> Void) {
        let performs = lock.withLock {
            change(self)
            takeFromMachine()
            guard !effects.isEmpty, !isPerforming else { return false }
            isPerforming = true
            return true
        }
        if performs { perform() }
    }

    private func perform() {
        while true {
            let effects = lock.withLock {
                defer { self.effects = [] }
                if self.effects.isEmpty { isPerforming = false }
                return self.effects
            }
            if effects.isEmpty { return }
            for effect in effects { perform(effect) }
        }
    }

    // MARK: Under the lock

    /// Takes what a socket's machine asks for.
    func take(from socket: SocketIOClientSocket) {
        for action in socket.machine.takeActions() {
            switch action {
            case .openConnection: machine.open()
            case .inactive:
                effects.append(.socket(socket, action, connection: machine.number))
                // Who has nobody to serve any more closes.
                if !sockets.contains(where: { $0.machine.isActive }) { machine.close() }
            default: effects.append(.socket(socket, action, connection: machine.number))
            }
            takeFromMachine()
        }
    }

    /// Takes what the connection's machine asks for; what the sockets are told, they are told now.
    func takeFromMachine() {
        for action in machine.takeActions() {
            switch action {
            case .opened: for socket in sockets { tell(socket) { $0.opened() } }
            case .closed(let reason, let willReconnect):
                for socket in sockets { tell(socket) { $0.closed(reason, willReconnect: willReconnect) } }
            case .failed(let error, let willReconnect):
                for socket in sockets { tell(socket) { $0.failed(error, willReconnect: willReconnect) } }
            default: effects.append(.connection(action))
            }
        }
    }

    private func tell(_ socket: SocketIOClientSocket, _ event: (inout ClientSocketMachine) -> Void) {
        event(&socket.machine)
        take(from: socket)
    }

    // MARK: Outside of the lock

    private func perform(_ effect: Effect) {
        switch effect {
        case .connection(let action): perform(action)
        case .socket(let socket, .send(let packet, let compression), let connection): send(packet, compression, socket, connection)
        case .socket(let socket, .flooded, _): flooded(socket)
        case .socket(let socket, let action, _): socket.perform(action)
        case .resume(let continuation): continuation.resume()
        }
    }

    private func perform(_ action: ClientMachine.Action) {
        switch action {
        case .openEngine(let number): openEngine(number)
        case .closeEngine(let number): closeEngine(number)
        case .wait(let time, let number): wait(time, number)
        case .event(let event): tell(event)
        case .opened, .closed, .failed: break
        }
    }

    private func openEngine(_ number: Int) {
        do throws(EngineIOClientError) {
            let session = try EngineIOClientSession(url, configuration: configuration.engine, handler: ClientEngine(self, number))
            lock.withLock {
                ending.removeAll { $0.isDone }
                ending.append(session)
                engine = Engine(number: number, session: session)
            }
            session.start()
        } catch {
            ended(number, .transportError, error)
        }
    }

    private func closeEngine(_ number: Int) {
        guard let engine = lock.withLock({ engine }), engine.number == number else { return }
        engine.session.close()
    }

    private func wait(_ time: Duration, _ number: Int) {
        let timeout = Self.timers.call(after: time) { [weak self] in self?.run { $0.machine.waited(number) } }
        let old = lock.withLock {
            let old = delay
            delay = timeout
            return old
        }
        old?.cancel()
        // It may have been closed meanwhile.
        if lock.withLock({ machine.phase != .waiting || machine.number != number }) { timeout.cancel() }
    }

    private func send(_ packet: SocketIOPacket, _ compression: MessageCompression, _ socket: SocketIOClientSocket, _ connection: Int) {
        let messages: SocketIOMessages
        do throws(SocketIOUsageError) {
            messages = try configuration.parser.encode(packet)
        } catch {
            return socket.notSent(packet, error)
        }
        socket.tellOfOutgoing(packet)
        guard let engine = lock.withLock({ engine }), engine.number == connection else { return }
        engine.session.send(messages.map { $0.compressed(compression) })
    }

    /// The server sends more than is kept: whoever goes on would miss something.
    func flooded(_ socket: SocketIOClientSocket) {
        configuration.logger.warning(
            "a server sent more events than the handlers keep up with (limit maxPendingBytes): the connection is closed",
            metadata: ["namespace": "\(socket.namespace)"])
        guard let engine = lock.withLock({ engine }) else { return }
        ended(engine.number, .transportError, nil)
        engine.session.close()
    }

    /// A connection has ended, or could not be made.
    func ended(_ number: Int, _ reason: SocketIODisconnectReason, _ error: EngineIOClientError?) {
        let failure = error.map { SocketIOConnectError(.connection, $0.description, underlying: $0) }
        let random = Double.random(in: 0...1)
        run { $0.machine.ended(number, reason, failure, random: random) }
    }
}

/// Passes on what happens on a connection.
///
/// `@unchecked Sendable`: `decoder` is touched only by the session's callbacks, which come one after another; the rest is constant.
private final class ClientEngine: EngineIOClientHandler, @unchecked Sendable {
    private let client: SocketIOClient
    private let number: Int
    private var decoder: any SocketIOPacketDecoder & ~Copyable

    init(_ client: SocketIOClient, _ number: Int) {
        self.client = client
        self.number = number
        decoder = client.configuration.parser.makeDecoder()
    }

    func opened(_ session: EngineIOClientSession) { client.run { $0.machine.opened(number) } }

    func received(_ message: Message, from session: EngineIOClientSession) {
        do throws(SocketIOParseError) {
            guard let packet = try decoder.add(message) else { return }
            client.received(packet, number, size: message.payload.readableBytes)
        } catch {
            let what = "the server's packet can not be read: the connection is closed"
            client.configuration.logger.info("\(what)", metadata: ["error": "\(error)"])
            client.ended(number, .parseError, nil)
            session.close()
        }
    }

    func closed(_ session: EngineIOClientSession, _ closure: EngineIOClosure, _ error: EngineIOClientError?) {
        client.ended(number, SocketIODisconnectReason(closure.reason), error)
    }
}

extension SocketIOClient {
    fileprivate func received(_ packet: SocketIOPacket, _ number: Int, size: Int) {
        run { client in
            guard number == client.machine.number, client.machine.phase == .open,
                let socket = client.sockets.first(where: { $0.namespace == packet.namespace })
            else { return }
            socket.machine.receive(packet.content, size: size)
            client.take(from: socket)
        }
    }
}
