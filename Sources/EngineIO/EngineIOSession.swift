// One client's session: what any thread may ask of it. What it does with the transports is in EngineIOSession+Transports.swift.
//
// The machine is under a lock; what it asks for is done outside of it, by one thread at a time (`isPerforming`), in order. On long-polling that
// is whoever brought the event. Once the transport is a WebSocket it is that connection's thread alone, and a message takes a short way past lock
// and machine: in, as long as these have nothing to do (`isDirect`); out, from when the change to the WebSocket is complete (`isPassing`). What
// another thread sends then goes through its mailbox, as what it says to groups does: so the two keep their order.

import HTTPTypes
import Logging
import NIOCore
import Synchronization
import WebSocketCore
public import WebSockets

/// A client's session, whichever transport carries it (Engine.IO protocol 4).
///
/// It can be used from any thread, task or actor. From one thread, messages leave in the order of the calls.
///
/// `@unchecked Sendable`: `timer` is touched only under the wheel's lock; `handler` is set before anybody else knows of the session, and then
/// used only by the thread that performs (`isPerforming`) or, while `isDirect`, by the WebSocket's; `isDelivering` and `performsLater`
/// only by the WebSocket's; the rest is constant, atomic, or behind the lock.
public final class EngineIOSession: TimerWheelElement, @unchecked Sendable {
    typealias Machine = SessionMachine<EngineIOExchange, WebSocket>

    struct State: ~Copyable {
        var machine: Machine
        /// Whether a thread does what the machine has asked for.
        var isPerforming = false
        /// When the timer is to fire, as the wheel was last told.
        var armed: Timestamp?
    }

    let server: EngineIOServer
    let sid: SessionID
    /// When it was opened, in milliseconds since 1970.
    private let issued: Int64
    /// The first request, of a session that began with long-polling; a WebSocket keeps its own.
    private let packed: PackedHandshake?
    let state: Mutex<State>
    var handler: (any EngineIOHandler)?
    /// The WebSocket, once it is the transport.
    let socket = SetOnce<WebSocket>()
    /// When the last packet came by the short way.
    let heardDirectly = Atomic<UInt64>(0)
    package var timer = TimerWheelPlace.none
    /// Whether messages that arrive take the short way.
    let isDirect = Atomic<Bool>(false)
    /// Whether what is sent takes the short way: from when all that was sent before has gone to the WebSocket until the end. Changed under the lock.
    let isPassing = Atomic<Bool>(false)
    /// False for a client that asked for base64.
    let supportsBinary: Bool
    private let isSecure: Bool
    /// Whether the handler is being given a message by the short way.
    @exclusivity(unchecked) var isDelivering = false
    /// Whether there is something to be done once it has been given.
    @exclusivity(unchecked) var performsLater = false

    init(_ server: EngineIOServer, _ request: ServerRequest, keepsRequest: Bool) {
        self.server = server
        sid = SessionID(node: server.forwarder?.node)
        issued = EngineIOServer.millisecondsSince1970
        packed = keepsRequest ? PackedHandshake(request.head, remoteAddress: request.remoteAddress) : nil
        supportsBinary = request.query("b64") == nil
        isSecure = request.isSecure
        state = Mutex(State(machine: Machine(server.settings)))
    }

    // MARK: What is known

    /// The session's id. It is a secret of the client's: who knows it can speak in its place.
    public var id: String { sid.text }

    /// The request that opened the session.
    ///
    /// It is kept packed and made anew for each call: keep what you need often.
    public var handshake: EngineIOHandshake {
        let socket = socket.load()
        let request = ServerRequest(
            head: packed?.request ?? socket?.request ?? .init(method: .get, scheme: nil, authority: nil, path: nil),
            remoteAddress: packed.map(\.remoteAddress) ?? socket?.remoteAddress, isSecure: isSecure)
        return EngineIOHandshake(request: request, issued: issued)
    }

    /// What carries its packets now.
    public var transport: EngineIOTransport { socket.load() == nil ? .polling : .webSocket }

    /// The WebSocket, if that is the transport.
    package var webSocket: WebSocket? { socket.load() }

    /// What may wait for a WebSocket that still counts as writable: what one turn brings together.
    private static let writableBytes = 16_384

    /// Whether what is sent now leaves soon: a poll waits, or next to nothing waits for the WebSocket to take it. For what is not worth
    /// sending late (`volatile` in Socket.IO).
    public var isWritable: Bool {
        if let socket = socket.load() { return socket.readyState == .open && socket.bufferedAmount < Self.writableBytes }
        return state.withLock { $0.machine.isWritable }
    }

    /// Whether the session is open: messages go both ways.
    public var isOpen: Bool { state.withLock { $0.machine.phase == .open } }

    var logger: Logger { server.logger }

    // MARK: Sending

    /// Sends a message.
    ///
    /// - Returns: whether it was taken: not after a close, nor when over `maxBufferedBytes` wait, which ends the session. What was taken
    ///   and not delivered when the session ends is lost.
    @discardableResult
    public func send(_ message: Message) -> Bool {
        if let socket = directSocket { return Outgoing.send(message, over: socket, supportsBinary: supportsBinary) != .dropped }
        return send([.message(message)])
    }

    /// Sends several messages, with nothing of another thread's in between, such as a Socket.IO packet and its attachments.
    @discardableResult
    public func send(_ messages: [Message]) -> Bool {
        send(messages.map { .message($0) })
    }

    /// Sends a message that was encoded once for many.
    @discardableResult
    public func send(_ prepared: EngineIOPreparedMessage) -> Bool {
        if let socket = directSocket { return Outgoing.prepared(prepared).send(over: socket, supportsBinary: supportsBinary) != .dropped }
        return send([.prepared(prepared)])
    }

    /// Sends several messages that were encoded once for many, with nothing of another thread's in between.
    @discardableResult
    public func send(_ prepared: [EngineIOPreparedMessage]) -> Bool { send(prepared.map { .prepared($0) }) }

    private func send(_ messages: [Outgoing]) -> Bool {
        guard !messages.isEmpty else { return isOpen }
        if let socket = passingSocket { return send(messages, over: socket) }
        var isTaken: Bool?
        run { machine, now in
            // The change to the WebSocket may have been completed since.
            if !isPassing.load(ordering: .relaxed) { isTaken = machine.send(messages, at: now) }
        }
        return isTaken ?? send(messages)
    }

    private func send(_ messages: [Outgoing], over socket: WebSocket) -> Bool {
        let supportsBinary = supportsBinary
        guard socket.isOnThread && socket.catchUp() else {
            return socket.performInOrder(bytes: messages.reduce(0) { $0 + $1.textLength }) {
                for message in messages { message.send(over: socket, supportsBinary: supportsBinary) }
            }
        }
        return messages.reduce(true) { $1.send(over: socket, supportsBinary: supportsBinary) != .dropped && $0 }
    }

    // MARK: Closing

    /// Closes the session; what was sent before leaves first.
    ///
    /// On WebSocket, and when a poll waits, the handler is told at once; else when the client polls, or after 30 s.
    ///
    /// - Parameters:
    ///   - reason: what the handler is told.
    ///   - discardingUnsent: whether what waits for a poll is dropped, and the session ends at once.
    public func close(_ reason: EngineIOClosure.Reason = .forcedClose, discardingUnsent: Bool = false) {
        run { $0.close(reason, discards: discardingUnsent, at: $1) }
    }
}

extension EngineIOSession: CustomStringConvertible {
    /// The transport and the peer; not the id, which is a secret.
    public var description: String {
        "EngineIOSession(\(transport.rawValue), \(handshake.remoteAddress.map(\.description) ?? "unknown"))"
    }
}
