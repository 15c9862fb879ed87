// One session's way, without I/O, locks or clocks: Engine.IO protocol 4, "Protocol"; what the protocol leaves open is as Node's server does it.
//
//   opening ── open packet ──► open ── close by us, nothing left to say, or on WebSocket ──► closed
//                              open ── close by us on long-polling, something left ──► closing ── a poll takes it, or 30 s ──► closed
//                              open, closing ── an error, a timeout, the client's end ──► closed
//
//   upgrading, while open or closing on long-polling: a second transport is being tried
//     attach ──► probing ── "2probe": answer "3probe" ──► probed ── "5" ──► the WebSocket is the transport
//     any other packet, the WebSocket's end, or upgradeTimeout ──► long-polling goes on as if nothing had been
//
//   heartbeat: idle ── pingInterval: ping ──► awaiting a pong ── pong ──► idle, or pingTimeout after the last packet ──► closed
//
// Every event appends to `actions` what is to be done; whoever owns the machine does it, in that order. The exchanges (requests that await
// their answer) and sockets are only told apart here, so that tests can have others.

import DequeModule
import NIOCore
import WebSocketCore
import WebSockets

/// One session's state.
struct SessionMachine<Exchange: AnyObject & Sendable, Socket: AnyObject & Sendable>: ~Copyable {
    enum Phase: UInt8 {
        case opening
        case open
        case closing
        case closed
    }

    /// What is to be done.
    enum Action {
        case opened
        case received(Message)
        case upgraded
        case closed(EngineIOClosure)
        case respond(Exchange, Reply)
        case send(Socket, [Outgoing])
        case closeSocket(Socket)
    }

    /// What a request is answered with.
    enum Reply {
        case packets([Outgoing])
        case ok
        /// 400 without a body, as Node answers what overlaps.
        case badRequest
    }

    /// A WebSocket that is to become the transport.
    final class Probe {
        let socket: Socket
        let deadline: Timestamp
        /// When the poll that waits is ended next; nil before "2probe".
        var nextNoop: Timestamp?

        init(_ socket: Socket, deadline: Timestamp) {
            self.socket = socket
            self.deadline = deadline
        }
    }

    let settings: SessionSettings
    /// The poll that waits.
    var poll: Exchange?
    /// The POST that is being received.
    var post: Exchange?
    /// The WebSocket, once it is the transport.
    var socket: Socket?
    var probe: Probe?
    var queue = Deque<Outgoing>()
    var queuedBytes = 0
    /// When the next ping is due, or its answer; while closing, when that is over.
    var deadline = Timestamp(nanoseconds: 0)
    /// When the last packet came.
    var lastHeard = Timestamp(nanoseconds: 0)
    var actions: [Action] = []
    var phase = Phase.opening
    var isPongAwaited = false

    /// What a queued packet costs beside its bytes, roughly.
    static var queueOverhead: Int { 64 }

    init(_ settings: SessionSettings) { self.settings = settings }

    /// Takes what is to be done.
    mutating func takeActions() -> [Action] {
        guard !actions.isEmpty else { return [] }
        defer { actions = [] }
        return actions
    }

    var hasActions: Bool { !actions.isEmpty }

    // MARK: What can be asked

    /// Whether a probe is under way.
    var isUpgrading: Bool { probe != nil }

    /// Whether what is sent now leaves at once.
    var isWritable: Bool { phase == .open && (socket != nil || poll != nil) }

    /// The WebSocket, if all that a session does is to pass messages to it and from it.
    var directSocket: Socket? { phase == .open && queue.isEmpty && actions.isEmpty ? socket : nil }

    /// When `timerFired` is to be called; nil for not any more.
    var nextDeadline: Timestamp? {
        guard phase == .open || phase == .closing else { return nil }
        guard let probe else { return deadline }
        return min(deadline, probe.deadline, probe.nextNoop ?? probe.deadline)
    }

    // MARK: Opening

    /// > If the server accepts the connection, then it MUST respond with an `open` packet
    ///
    /// The handler is told first: a client that knows of its session is on every list that the handler puts it on.
    mutating func open(polling exchange: Exchange, _ packet: EngineIOPacket, at now: Timestamp) {
        begin(at: now)
        actions.append(.respond(exchange, .packets([.control(packet)])))
    }

    mutating func open(webSocket socket: Socket, _ packet: EngineIOPacket, at now: Timestamp) {
        self.socket = socket
        begin(at: now)
        actions.append(.send(socket, [.control(packet)]))
    }

    mutating func begin(at now: Timestamp) {
        phase = .open
        lastHeard = now
        deadline = now.advanced(by: settings.pingInterval)
        actions.append(.opened)
    }

    // MARK: Sending

    /// Sends messages, together; false if they were not taken.
    mutating func send(_ messages: [Outgoing], at now: Timestamp) -> Bool {
        guard phase == .open else { return false }
        if let socket {
            actions.append(.send(socket, messages))
            return true
        }
        for message in messages { enqueue(message) }
        guard queuedBytes <= settings.maxBufferedBytes || poll != nil else {
            let limit = settings.maxBufferedBytes
            end(.transportError, "over \(limit) bytes waited for the client to poll them (limit maxBufferedBytes)")
            return false
        }
        flush()
        return true
    }

    mutating func enqueue(_ packet: Outgoing) {
        queue.append(packet)
        queuedBytes += packet.textLength + Self.queueOverhead
    }

    mutating func sendControl(_ packet: EngineIOPacket) {
        if let socket { return actions.append(.send(socket, [.control(packet)])) }
        enqueue(.control(packet))
        flush()
    }

    /// Gives what waits to the poll that waits.
    mutating func flush() {
        guard !queue.isEmpty, let poll = poll.take() else { return }
        actions.append(.respond(poll, .packets(takeForPoll())))
    }

    /// As many packets as one answer may hold, and at least one.
    mutating func takeForPoll() -> [Outgoing] {
        var taken: [Outgoing] = []
        var length = 0
        while let next = queue.first, taken.count < settings.maxPacketsPerPoll {
            let added = next.textLength + (taken.isEmpty ? 0 : 1)
            guard taken.isEmpty || length + added <= settings.maxPayload else { break }
            length += added
            queuedBytes -= next.textLength + Self.queueOverhead
            taken.append(queue.removeFirst())
        }
        return taken
    }

    // MARK: Receiving

    /// A packet came in a way that this machine does not see.
    mutating func heard(at moment: Timestamp) { lastHeard = max(lastHeard, moment) }

    mutating func take(_ packet: EngineIOPacket, at now: Timestamp) {
        guard phase == .open else { return }
        lastHeard = now
        switch packet.type {
        case .message: actions.append(.received(Message(packet)))
        case .pong:
            isPongAwaited = false
            deadline = now.advanced(by: settings.pingInterval)
        // The server pings; only protocol 3's clients did.
        case .ping: end(.transportError, "the client sent a ping, which is the server's to send")
        case .close: closedByClient()
        // Of no use here, and Node ignores them.
        case .open, .upgrade, .noop: break
        }
    }

    mutating func closedByClient() {
        // The client still waits for its poll, and for nothing more.
        if let poll = poll.take() { actions.append(.respond(poll, .packets([.control(EngineIOPacket(.noop))]))) }
        end(.transportClose)
    }

    // MARK: Time

    mutating func timerFired(at now: Timestamp) {
        guard phase == .open || phase == .closing else { return }
        checkProbe(at: now)
        guard now >= deadline else { return }
        if phase == .closing { return end(.forcedClose) }
        isPongAwaited ? checkPong(at: now) : ping(at: now)
    }

    mutating func ping(at now: Timestamp) {
        isPongAwaited = true
        deadline = now.advanced(by: settings.pingTimeout)
        sendControl(EngineIOPacket(.ping))
    }

    /// A client that goes on talking is there, though its pong may be late behind the rest.
    mutating func checkPong(at now: Timestamp) {
        let latest = lastHeard.advanced(by: settings.pingTimeout)
        if now >= latest { end(.pingTimeout, "nothing came within \(settings.pingTimeout)") } else { deadline = latest }
    }

    // MARK: Closing

    /// Closes the session.
    ///
    /// - Parameter discards: whether what waits to be polled is dropped.
    mutating func close(_ reason: EngineIOClosure.Reason, discards: Bool, at now: Timestamp) {
        guard phase == .open || phase == .closing && discards else { return }
        if socket != nil || poll != nil || discards { return end(reason) }
        phase = .closing
        deadline = now.advanced(by: settings.closeTimeout)
    }

    mutating func end(_ reason: EngineIOClosure.Reason, _ detail: String? = nil) {
        guard phase == .open || phase == .closing else { return }
        phase = .closed
        if let poll = poll.take() { actions.append(.respond(poll, .packets([.control(EngineIOPacket(.close))]))) }
        abandonProbe()
        // Still known, for those who ask on whose thread the rest is to happen.
        if let socket { actions.append(.closeSocket(socket)) }
        queue = Deque()
        queuedBytes = 0
        actions.append(.closed(EngineIOClosure(reason, detail)))
    }
}

extension Message {
    fileprivate init(_ packet: EngineIOPacket) { self.init(kind: packet.kind, payload: packet.payload, compression: .automatic) }
}
