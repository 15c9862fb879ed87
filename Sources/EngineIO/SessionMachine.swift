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

/// What all sessions of a server have in common.
final class SessionSettings: Sendable {
    let pingInterval: Duration
    let pingTimeout: Duration
    let upgradeTimeout: Duration
    let maxPayload: Int
    let maxPacketsPerPoll: Int
    let maxBufferedBytes: Int
    /// How often a poll that waits is ended while the client prepares to upgrade, as it waits for that: as often as Node does it.
    let noopInterval = Duration.milliseconds(100)
    /// How long a close waits for the client to poll what is left: as long as Node's.
    let closeTimeout = Duration.seconds(30)

    init(_ configuration: EngineIOConfiguration) {
        pingInterval = configuration.pingInterval
        pingTimeout = configuration.pingTimeout
        upgradeTimeout = configuration.upgradeTimeout
        maxPayload = configuration.maxPayload
        maxPacketsPerPoll = max(2, configuration.maxPacketsPerPoll)
        maxBufferedBytes = configuration.maxBufferedBytes
    }
}

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
    private final class Probe {
        let socket: Socket
        let deadline: Timestamp
        /// When the poll that waits is ended next; nil before "2probe".
        var nextNoop: Timestamp?

        init(_ socket: Socket, deadline: Timestamp) {
            self.socket = socket
            self.deadline = deadline
        }
    }

    private let settings: SessionSettings
    /// The poll that waits.
    private var poll: Exchange?
    /// The POST that is being received.
    private var post: Exchange?
    /// The WebSocket, once it is the transport.
    private(set) var socket: Socket?
    private var probe: Probe?
    private var queue = Deque<Outgoing>()
    private var queuedBytes = 0
    /// When the next ping is due, or its answer; while closing, when that is over.
    private var deadline = Timestamp(nanoseconds: 0)
    /// When the last packet came.
    private var lastHeard = Timestamp(nanoseconds: 0)
    private var actions: [Action] = []
    private(set) var phase = Phase.opening
    private var isPongAwaited = false

    /// What a queued packet costs beside its bytes, roughly.
    private static var queueOverhead: Int { 64 }

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

    private mutating func begin(at now: Timestamp) {
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

    private mutating func enqueue(_ packet: Outgoing) {
        queue.append(packet)
        queuedBytes += packet.textLength + Self.queueOverhead
    }

    private mutating func sendControl(_ packet: EngineIOPacket) {
        if let socket { return actions.append(.send(socket, [.control(packet)])) }
        enqueue(.control(packet))
        flush()
    }

    /// Gives what waits to the poll that waits.
    private mutating func flush() {
        guard !queue.isEmpty, let poll = poll.take() else { return }
        actions.append(.respond(poll, .packets(takeForPoll())))
    }

    /// As many packets as one answer may hold, and at least one.
    private mutating func takeForPoll() -> [Outgoing] {
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

    // MARK: Long-polling

    /// A client asks for what there is.
    mutating func poll(_ exchange: Exchange, at now: Timestamp) {
        guard phase == .open || phase == .closing, socket == nil else { return actions.append(.respond(exchange, .badRequest)) }
        // > a client MUST NOT have more than one active `GET` request. Should it happen, the server MUST return an HTTP 400 error
        // > status and close the session.
        guard poll == nil else {
            end(.transportError, "two polls at a time")
            return actions.append(.respond(exchange, .badRequest))
        }
        poll = exchange
        if phase == .closing { sayFarewell() } else { flush() }
    }

    /// Gives a closing session's client what is left, and the close packet behind it, if the poll takes all.
    private mutating func sayFarewell() {
        guard let poll = poll.take() else { return }
        var packets = takeForPoll()
        guard queue.isEmpty, packets.count < settings.maxPacketsPerPoll else { return actions.append(.respond(poll, .packets(packets))) }
        packets.append(.control(EngineIOPacket(.close)))
        actions.append(.respond(poll, .packets(packets)))
        end(.forcedClose)
    }

    /// A client begins to send something; false if it may not, and has been told so.
    mutating func postBegan(_ exchange: Exchange, isBinary: Bool, at now: Timestamp) -> Bool {
        guard phase == .open || phase == .closing, socket == nil else { return refuse(exchange) }
        // > a client MUST NOT have more than one active `POST` request. Should it happen, the server MUST return an HTTP 400 error
        // > status and close the session.
        guard post == nil else {
            end(.transportError, "two POSTs at a time")
            return refuse(exchange)
        }
        // Protocol 3 had a binary form of payloads; protocol 4 has none.
        guard !isBinary else {
            end(.transportError, "a POST of application/octet-stream")
            return refuse(exchange)
        }
        post = exchange
        return true
    }

    private mutating func refuse(_ exchange: Exchange) -> Bool {
        actions.append(.respond(exchange, .badRequest))
        return false
    }

    /// A packet of a POST. One that began before the upgrade still counts.
    mutating func received(_ packet: EngineIOPacket, from exchange: Exchange, at now: Timestamp) {
        guard post === exchange else { return }
        take(packet, at: now)
    }

    /// The POST is over.
    ///
    /// > To indicate success, the server MUST return an HTTP 200 response, with the string `ok` in the response body.
    mutating func postEnded(_ exchange: Exchange, _ error: EngineIOError?) {
        let isKnown = post === exchange
        if isKnown { post = nil }
        if let error, isKnown { end(.parseError, error.description) }
        // A session that the POST itself has closed is no failure of the POST.
        actions.append(.respond(exchange, isKnown && error == nil ? .ok : .badRequest))
    }

    /// The POST was refused by whoever received its body; the session goes on.
    mutating func postRefused(_ exchange: Exchange) {
        if post === exchange { post = nil }
    }

    /// A request was broken off before its answer.
    mutating func cancelled(_ exchange: Exchange) {
        if poll === exchange {
            poll = nil
            end(.transportError, "the poll was broken off")
        } else if post === exchange {
            post = nil
            end(.transportError, "a POST was broken off")
        }
    }

    // MARK: WebSocket

    /// A WebSocket comes to a session that is on long-polling.
    ///
    /// > A client MUST NOT open more than one WebSocket connection per session. Should it happen, the server MUST close the WebSocket
    /// > connection.
    mutating func attach(_ newcomer: Socket, at now: Timestamp) {
        guard phase == .open || phase == .closing, socket == nil, probe == nil else { return actions.append(.closeSocket(newcomer)) }
        probe = Probe(newcomer, deadline: now.advanced(by: settings.upgradeTimeout))
    }

    /// A packet of a WebSocket; `error` if it is none.
    mutating func received(_ packet: Result<EngineIOPacket, EngineIOError>, on socket: Socket, at now: Timestamp) {
        if socket === self.socket {
            switch packet {
            case .success(let packet): take(packet, at: now)
            case .failure(let error): if phase == .open { end(.parseError, error.description) }
            }
        } else if let probe, probe.socket === socket {
            takeProbe(try? packet.get(), probe, at: now)
        }
    }

    private mutating func takeProbe(_ packet: EngineIOPacket?, _ probe: Probe, at now: Timestamp) {
        switch packet?.type {
        case .ping where packet?.isProbe == true:
            actions.append(.send(probe.socket, [.control(EngineIOPacket(.pong, "probe"))]))
            probe.nextNoop = now.advanced(by: settings.noopInterval)
        case .upgrade: upgrade(to: probe.socket, at: now)
        default: abandonProbe()
        }
    }

    private mutating func upgrade(to socket: Socket, at now: Timestamp) {
        probe = nil
        self.socket = socket
        lastHeard = now
        // A correct client has none: it waits for the noop's answer before it upgrades.
        if let poll = poll.take() { actions.append(.respond(poll, .packets([.control(EngineIOPacket(.noop))]))) }
        actions.append(.upgraded)
        if !queue.isEmpty { actions.append(.send(socket, Array(queue))) }
        queue = Deque()
        queuedBytes = 0
        if phase == .closing { end(.forcedClose) }
    }

    private mutating func abandonProbe() {
        guard let probe = probe.take() else { return }
        actions.append(.closeSocket(probe.socket))
    }

    /// A WebSocket has ended.
    mutating func socketEnded(_ socket: Socket, _ closure: EngineIOClosure) {
        if socket === self.socket {
            end(closure.reason, closure.detail)
        } else if probe?.socket === socket {
            probe = nil
        }
    }

    // MARK: Receiving

    /// A packet came in a way that this machine does not see.
    mutating func heard(at moment: Timestamp) { lastHeard = max(lastHeard, moment) }

    private mutating func take(_ packet: EngineIOPacket, at now: Timestamp) {
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

    private mutating func closedByClient() {
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

    private mutating func checkProbe(at now: Timestamp) {
        guard let probe else { return }
        if now >= probe.deadline { return abandonProbe() }
        guard let noop = probe.nextNoop, now >= noop else { return }
        probe.nextNoop = now.advanced(by: settings.noopInterval)
        // > send a `noop` packet to any pending `GET` request (if applicable) to cleanly close HTTP long-polling transport
        if let poll = poll.take() { actions.append(.respond(poll, .packets([.control(EngineIOPacket(.noop))]))) }
    }

    private mutating func ping(at now: Timestamp) {
        isPongAwaited = true
        deadline = now.advanced(by: settings.pingTimeout)
        sendControl(EngineIOPacket(.ping))
    }

    /// A client that goes on talking is there, though its pong may be late behind the rest.
    private mutating func checkPong(at now: Timestamp) {
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

    private mutating func end(_ reason: EngineIOClosure.Reason, _ detail: String? = nil) {
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

extension EngineIOPacket {
    fileprivate var isProbe: Bool { payload.readableBytesView.elementsEqual("probe".utf8) }
}

extension Message {
    fileprivate init(_ packet: EngineIOPacket) { self.init(kind: packet.kind, payload: packet.payload, compression: .automatic) }
}
