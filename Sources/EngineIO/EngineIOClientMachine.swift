// One client's session, without I/O, locks or clocks: Engine.IO protocol 4; what the protocol leaves open is as the official client does it.
//
//   idle ── start ──► opening ── open packet ──► open ── close by us, nothing left to say ──► closed
//                                                open ── close by us, something left ──► closing ── all of it sent, or closeTimeout ──► closed
//                     opening ── the transport fails: the next one, if all are tried; else ──► closed
//                     opening, open, closing ── an error, the server's end, no ping in time ──► closed
//
//   upgrading, while open on long-polling, is in EngineIOClientMachine+Upgrade.swift.
//
// A link is one transport's try. News of a link that is neither the transport nor the probe is late, and nothing happens.

import DequeModule
import NIOCore
import WebSocketCore
import WebSockets

/// One client's session.
struct EngineIOClientMachine: ~Copyable {
    enum Phase: UInt8 { case idle, opening, open, closing, closed }

    typealias Link = Int

    /// What is to be done.
    enum Action {
        case poll(Link)
        case post(Link, [Outgoing])
        case openSocket(Link)
        case send(Link, [Outgoing])
        /// What is under way on a link ends; `gracefully` if a POST that leaves may arrive.
        case drop(Link, gracefully: Bool)
        case opened(EngineIOOpening)
        case received(Message)
        case upgraded
        case upgradeFailed(EngineIOClientError)
        /// Whether WebSocket has worked.
        case remember(Bool)
        case closed(EngineIOClosure, EngineIOClientError?)
    }

    /// The change to WebSocket, under way.
    struct Probe {
        enum Step: UInt8 { case connecting, probing, pausing }
        let link: Link
        let deadline: Timestamp
        var step = Step.connecting
    }

    let configuration: EngineIOClientConfiguration
    var phase = Phase.idle
    var opening: EngineIOOpening?
    private var untried: ArraySlice<EngineIOTransport>
    private(set) var transport = EngineIOTransport.polling
    var link = 0
    private var lastLink = 0
    var isPolling = false
    var isPosting = false
    var probe: Probe?
    var queue = Deque<Outgoing>()
    var queuedBytes = 0
    /// When the last packet came; while opening, when that began; while closing, when that is over.
    private var moment = Timestamp(nanoseconds: 0)
    var actions: [Action] = []

    init(_ configuration: EngineIOClientConfiguration) {
        self.configuration = configuration
        untried = configuration.transports[...]
    }

    var hasActions: Bool { !actions.isEmpty }

    mutating func takeActions() -> [Action] {
        defer { actions = [] }
        return actions
    }

    // MARK: What can be asked

    /// Whether what is sent now leaves at once.
    var isWritable: Bool { phase == .open && probe?.step != .pausing && (transport == .webSocket || !isPosting) }

    /// When `timerFired` is to be called; nil for not any more.
    var nextDeadline: Timestamp? {
        switch phase {
        case .idle, .closed: nil
        case .opening: moment.advanced(by: configuration.timeout)
        case .open: probe.map { min($0.deadline, heartbeatDeadline) } ?? heartbeatDeadline
        case .closing: moment.advanced(by: configuration.closeTimeout)
        }
    }

    /// Any packet counts as a sign of life, as the official client has it.
    private var heartbeatDeadline: Timestamp {
        guard let opening else { return moment }
        return moment.advanced(by: opening.pingInterval + opening.pingTimeout)
    }

    // MARK: Opening

    /// - Parameter prefersWebSocket: whether WebSocket worked the last time, and that is to be remembered.
    mutating func start(at now: Timestamp, prefersWebSocket: Bool = false) {
        guard phase == .idle else { return }
        phase = .opening
        moment = now
        if prefersWebSocket && untried.contains(.webSocket) { return open(.webSocket) }
        openNext(EngineIOClientError(.usage, "there is no transport to try"))
    }

    private mutating func openNext(_ error: EngineIOClientError) {
        guard let next = untried.popFirst() else { return end(.transportError, error) }
        open(next)
    }

    private mutating func open(_ transport: EngineIOTransport) {
        self.transport = transport
        link = newLink()
        switch transport {
        case .polling: poll()
        case .webSocket: actions.append(.openSocket(link))
        }
    }

    /// The WebSocket is the transport from now on.
    mutating func becomeWebSocket(_ link: Link) {
        self.link = link
        transport = .webSocket
    }

    mutating func newLink() -> Link {
        lastLink += 1
        return lastLink
    }

    private mutating func opened(_ packet: EngineIOPacket, at now: Timestamp) {
        do throws(EngineIOClientError) {
            let opening = try EngineIOOpening(packet)
            self.opening = opening
            phase = .open
            moment = now
            actions.append(.remember(transport == .webSocket))
            actions.append(.opened(opening))
            beginUpgrade(opening, at: now)
            flush()
        } catch {
            fail(error)
        }
    }

    // MARK: Sending

    /// Sends messages, together; false if they were not taken.
    mutating func send(_ messages: [Outgoing], at now: Timestamp) -> Bool {
        guard isAlive(at: now), phase == .opening || phase == .open else { return false }
        for message in messages { enqueue(message) }
        flush()
        guard queuedBytes <= configuration.maxBufferedBytes else {
            let limit = configuration.maxBufferedBytes
            end(.transportError, EngineIOClientError(.sendBufferFull, "over \(limit) bytes wait to be sent (limit maxBufferedBytes)"))
            return false
        }
        return true
    }

    private mutating func enqueue(_ packet: Outgoing) {
        queue.append(packet)
        // What a queued packet costs beside its bytes, roughly.
        queuedBytes += packet.textLength + 64
    }

    mutating func flush() {
        guard phase == .open || phase == .closing, probe?.step != .pausing, !queue.isEmpty else { return }
        switch transport {
        case .webSocket:
            actions.append(.send(link, Array(queue)))
            queue.removeAll()
            queuedBytes = 0
        case .polling:
            guard !isPosting else { return }
            isPosting = true
            actions.append(.post(link, takeForPost()))
        }
    }

    /// As many packets as one POST may hold, and at least one: the server refuses what is over its `maxPayload`.
    private mutating func takeForPost() -> [Outgoing] {
        var taken: [Outgoing] = []
        var length = 0
        let limit = opening?.maxPayload ?? .max
        while let next = queue.first, taken.count < max(1, configuration.maxPacketsPerPost) {
            let added = next.textLength + (taken.isEmpty ? 0 : 1)
            guard taken.isEmpty || length + added <= limit else { break }
            length += added
            queuedBytes -= next.textLength + 64
            taken.append(queue.removeFirst())
        }
        return taken
    }

    // MARK: Long-polling

    mutating func poll() {
        isPolling = true
        actions.append(.poll(link))
    }

    /// A poll was answered.
    mutating func polled(_ link: Link, _ packets: [EngineIOPacket], at now: Timestamp) {
        guard link == self.link, isPolling else { return }
        isPolling = false
        for packet in packets {
            take(packet, at: now)
            if phase == .closed || link != self.link { return }
        }
        guard phase != .opening else { return fail(EngineIOClientError(.invalidHandshake, "the first answer holds no open packet")) }
        if probe?.step == .pausing { changeIfQuiet() } else { poll() }
    }

    /// A POST was answered.
    mutating func posted(_ link: Link, at now: Timestamp) {
        guard link == self.link, isPosting else { return }
        isPosting = false
        if probe?.step == .pausing { changeIfQuiet() } else { flush() }
        closeIfDone()
    }

    // MARK: Receiving

    mutating func received(_ link: Link, _ packet: EngineIOPacket, at now: Timestamp) {
        if link == probe?.link { return probeReceived(packet) }
        guard link == self.link else { return }
        take(packet, at: now)
    }

    private mutating func take(_ packet: EngineIOPacket, at now: Timestamp) {
        if phase == .opening {
            guard packet.type == .open else {
                return fail(EngineIOClientError(.invalidHandshake, "the first packet is of type \(packet.type.rawValue), not open"))
            }
            return opened(packet, at: now)
        }
        guard phase == .open || phase == .closing else { return }
        if phase == .open { moment = now }
        switch packet.type {
        case .message: if let message = packet.message { actions.append(.received(message)) }
        case .ping:
            enqueue(.control(EngineIOPacket(.pong)))
            flush()
        case .close: end(.transportClose)
        case .open, .pong, .upgrade, .noop: break
        }
    }

    // MARK: Failing

    /// A link failed, or ended.
    mutating func failed(_ link: Link, _ error: EngineIOClientError) {
        if link == probe?.link { return probeFailed(error) }
        guard link == self.link else { return }
        fail(error)
    }

    private mutating func fail(_ error: EngineIOClientError) {
        actions.append(.remember(false))
        if phase == .opening && configuration.triesAllTransports && !untried.isEmpty {
            actions.append(.drop(link, gracefully: false))
            return openNext(error)
        }
        switch error.kind {
        // An end that is no failure of this side's.
        case .webSocketClosed where phase != .opening: end(.transportClose, error)
        case .invalidPacket: end(.parseError, error)
        default: end(.transportError, error)
        }
    }

    // MARK: Time

    mutating func timerFired(at now: Timestamp) {
        guard let next = nextDeadline, now >= next else { return }
        switch phase {
        case .opening: end(.transportError, EngineIOClientError(.timeout, "no session within \(configuration.timeout) (timeout)"))
        case .closing: end(.forcedClose)
        case .open:
            guard isAlive(at: now) else { return }
            if let probe, now >= probe.deadline { probeFailed(EngineIOClientError(.timeout, "no upgrade in time (upgradeTimeout)")) }
        case .idle, .closed: break
        }
    }

    /// Whether the server has been heard in time; the session ends if not. A device that has slept asks before it sends.
    mutating func isAlive(at now: Timestamp) -> Bool {
        guard phase == .open, now >= heartbeatDeadline else { return phase != .closed }
        end(.pingTimeout, EngineIOClientError(.pingTimeout, "nothing came for \(now.since(moment))"))
        return false
    }

    // MARK: Closing

    /// Closes the session; what was sent before leaves first.
    mutating func close(at now: Timestamp) {
        switch phase {
        case .idle, .closing, .closed: return
        case .opening: return end(.forcedClose)
        case .open:
            phase = .closing
            moment = now
            if let probe, probe.step != .pausing { dropProbe(probe) }
            flush()
            closeIfDone()
        }
    }

    mutating func closeIfDone() {
        guard phase == .closing, queue.isEmpty, !isPosting, probe == nil else { return }
        // > Engine.IO protocol 4: "close — Used during the closing process": long-polling has nothing else to say it with.
        if transport == .polling { actions.append(.post(link, [.control(EngineIOPacket(.close))])) }
        end(.forcedClose)
    }

    mutating func end(_ reason: EngineIOClosure.Reason, _ error: EngineIOClientError? = nil) {
        guard phase != .closed, phase != .idle else { return }
        phase = .closed
        if let probe { dropProbe(probe) }
        actions.append(.drop(link, gracefully: reason == .forcedClose))
        queue.removeAll()
        queuedBytes = 0
        actions.append(.closed(EngineIOClosure(reason, error?.description), error))
    }
}
