// A client's connection, without I/O, locks or clocks: what the official client's Manager does. Randomness is an argument.
//
//   closed ── open ──► opening ── it opens ──► open ── it ends ──► closed, and on to waiting unless it was this program that closed
//                      opening ── it fails ──► closed, and on to waiting
//   waiting ── the delay is over ──► opening;  waiting ── no attempts left ──► closed
//   any ── close ──► closed
//
// Connections are numbered; news of one that is not the present one is late, and nothing happens.

import EngineIO

/// A client's connection.
struct ClientMachine: ~Copyable {
    enum Phase: UInt8 { case closed, waiting, opening, open }

    /// What is to be done.
    enum Action {
        case openEngine(Int)
        case closeEngine(Int)
        /// Calls `waited` with the number after the delay.
        case wait(Duration, Int)
        case event(SocketIOClientEvent)
        /// The sockets are to join their namespaces.
        case opened
        /// The sockets have lost their connection.
        case closed(SocketIODisconnectReason, willReconnect: Bool)
        /// The sockets did not get a connection.
        case failed(SocketIOConnectError, willReconnect: Bool)
    }

    private(set) var phase = Phase.closed
    /// The present connection's, or the present wait's.
    private(set) var number = 0
    private let reconnects: Bool
    private var backoff: ReconnectionBackoff
    /// Whether the connection that is being opened takes the place of one before.
    private var isReconnecting = false
    var actions: [Action] = []

    init(_ reconnection: SocketIOReconnection?) {
        reconnects = reconnection != nil
        backoff = ReconnectionBackoff(reconnection ?? SocketIOReconnection())
    }

    mutating func takeActions() -> [Action] {
        defer { actions = [] }
        return actions
    }

    // MARK: Opening

    mutating func open() {
        guard phase == .closed else { return }
        isReconnecting = false
        begin()
    }

    private mutating func begin() {
        phase = .opening
        number += 1
        actions.append(.openEngine(number))
    }

    mutating func opened(_ number: Int) {
        guard number == self.number, phase == .opening else { return }
        phase = .open
        actions += [.event(.open), .opened]
        let attempts = backoff.attempts
        backoff.reset()
        if isReconnecting { actions.append(.event(.reconnect(attempts))) }
        isReconnecting = false
    }

    // MARK: Ending

    /// The connection has ended, or could not be made.
    mutating func ended(_ number: Int, _ reason: SocketIODisconnectReason, _ error: SocketIOConnectError?, random: Double) {
        guard number == self.number else { return }
        switch phase {
        case .opening: failed(error ?? SocketIOConnectError(.connection, reason.rawValue), random)
        case .open: lost(reason, random)
        case .closed, .waiting: break
        }
    }

    private mutating func lost(_ reason: SocketIODisconnectReason, _ random: Double) {
        backoff.reset()
        let next = reconnect(random)
        actions += [.closed(reason, willReconnect: phase == .waiting), .event(.close(reason))]
        if let next { actions.append(next) }
    }

    private mutating func failed(_ error: SocketIOConnectError, _ random: Double) {
        let wasReconnecting = isReconnecting
        let next = reconnect(random)
        actions += [.event(.error(error)), .failed(error, willReconnect: phase == .waiting)]
        if wasReconnecting { actions.append(.event(.reconnectError(error))) }
        if let next { actions.append(next) }
    }

    /// - Returns: what comes next, to be done when what has been is told.
    private mutating func reconnect(_ random: Double) -> Action? {
        phase = .closed
        isReconnecting = false
        guard reconnects else { return nil }
        guard let delay = backoff.next(random: random) else {
            backoff.reset()
            return .event(.reconnectFailed)
        }
        isReconnecting = true
        phase = .waiting
        number += 1
        return .wait(delay, number)
    }

    /// A delay is over.
    mutating func waited(_ number: Int) {
        guard number == self.number, phase == .waiting else { return }
        actions.append(.event(.reconnectAttempt(backoff.attempts)))
        begin()
    }

    // MARK: By this program

    /// Closes the connection, for good.
    mutating func close() {
        let was = phase
        phase = .closed
        isReconnecting = false
        backoff.reset()
        switch was {
        case .closed: break
        case .waiting: number += 1
        case .opening, .open:
            actions.append(.closeEngine(number))
            number += 1
            if was == .open { actions += [.closed(.forcedClose, willReconnect: false), .event(.close(.forcedClose))] }
        }
    }

    /// Makes another connection at once: the network has changed, or a wait is to end.
    mutating func restart() {
        switch phase {
        case .closed: break
        case .waiting: waited(number)
        case .opening:
            // What is under way may be on the network that is gone.
            actions.append(.closeEngine(number))
            begin()
        case .open:
            actions += [.closeEngine(number), .closed(.transportClose, willReconnect: true), .event(.close(.transportClose))]
            isReconnecting = true
            begin()
        }
    }
}
