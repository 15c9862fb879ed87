// One namespace on a client, without I/O, locks or clocks: Socket.IO protocol 5, "Exchange protocol", and what the official client's Socket
// does. What it sends is in ClientSocketMachine+Emitting.swift.
//
//   inactive ── connect ──► active ── a connection: CONNECT ──► joining ── CONNECT answered ──► connected
//   joining ── CONNECT_ERROR ──► inactive
//   connected ── the connection ends ──► active, and joins again with the next one
//   connected ── DISCONNECT, either way ──► inactive

import DequeModule
import WebSockets

/// One namespace on a client.
struct ClientSocketMachine: ~Copyable {
    typealias AckHandler = @Sendable (Result<[SocketIOValue], SocketIOAckError>) -> Void

    /// What is to be done.
    enum Action {
        case openConnection
        /// Asks for what the server is told, and calls `authenticated` with the number.
        case authenticate(Int)
        /// Calls `authenticateAgain` with the number after the delay.
        case retryAuthentication(Int, Duration)
        case send(SocketIOPacket, MessageCompression)
        case deliver([SocketIOValue], id: Int?, epoch: Int, size: Int)
        case connected
        case connectError(SocketIOConnectError)
        case disconnected(SocketIODisconnectReason)
        case answer(AckHandler, Result<[SocketIOValue], SocketIOAckError>)
        /// Calls `timedOut` with the id after the time, unless that is disarmed.
        case arm(Int, Duration)
        case disarm(Int)
        /// An event was not taken, or dropped.
        case overflow(String)
        /// The server sent more than is kept.
        case flooded
        case stateChanged(SocketIOConnectionState)
        /// It does not need the connection any more.
        case inactive
    }

    /// An event on its way out.
    struct Emission: Sendable {
        var number: Int
        let values: [SocketIOValue]
        var options = SocketIOSocket.SendOptions()
        var answer: AckHandler?
        var timeout: Duration?

        /// The memory that it takes, roughly.
        var size: Int { values.reduce(96) { $0 + $1.roughSize } }
    }

    /// An event that waits for a connection.
    struct Buffered: Sendable {
        let emission: Emission
        let id: Int?
        let size: Int
    }

    /// An event that is sent until it is acknowledged.
    struct Retried: Sendable {
        let emission: Emission
        let size: Int
        var tries = 0
        var isPending = false
    }

    /// Who waits for an acknowledgement.
    enum Awaiting: Sendable {
        case program(Int, AckHandler)
        case queue(Int)
    }

    /// What the server still has to say to a CONNECT.
    private enum Answer: UInt8 {
        case none, due
        /// It is due to a CONNECT that was taken back since: a server knows only those that have joined, and would close the connection over a
        /// DISCONNECT, or another CONNECT, before.
        case stale
    }

    let name: String
    let configuration: SocketIOClientConfiguration
    private(set) var isActive = false
    private(set) var id: String?
    private(set) var isRecovered = false
    /// Tells the connections apart that the socket had: an acknowledgement of an earlier one's event is not sent.
    private(set) var epoch = 0
    private var privateID: String?
    private var lastOffset: String?
    private var attempt = 0
    private var isJoining = false
    private var answer = Answer.none
    /// Whether this end has left the namespace on this connection, so that a DISCONNECT which comes before the answer to a CONNECT may be the
    /// server's to the socket that was here before: the two have crossed.
    private var mayHaveCrossed = false
    private var authBackoff: ReconnectionBackoff
    private var received: [(values: [SocketIOValue], id: Int?, size: Int)] = []
    private var receivedBytes = 0
    private(set) var connectionState = SocketIOConnectionState.disconnected(nil)

    var nextID = 0
    var acks: [Int: Awaiting] = [:]
    var buffer = Deque<Buffered>()
    var bufferedBytes = 0
    var queue = Deque<Retried>()
    var queuedBytes = 0
    var actions: [Action] = []

    init(_ name: String, _ configuration: SocketIOClientConfiguration) {
        self.name = name
        self.configuration = configuration
        authBackoff = ReconnectionBackoff(configuration.reconnection ?? SocketIOReconnection())
    }

    var isConnected: Bool { id != nil }

    mutating func takeActions() -> [Action] {
        defer { actions = [] }
        return actions
    }

    private mutating func change(_ state: SocketIOConnectionState) {
        guard state != connectionState else { return }
        connectionState = state
        actions.append(.stateChanged(state))
    }

    func packet(_ content: SocketIOPacket.Content) -> SocketIOPacket { SocketIOPacket(namespace: name, content: content) }

    // MARK: Connecting

    /// - Parameter isOpen: whether there is a connection already.
    mutating func connect(isOpen: Bool) {
        guard !isConnected, !isJoining else { return }
        isActive = true
        change(.connecting)
        isOpen ? opened() : actions.append(.openConnection)
    }

    /// There is a connection.
    mutating func opened() {
        guard isActive, !isConnected else { return }
        attempt += 1
        isJoining = true
        authBackoff.reset()
        change(.connecting)
        if answer != .stale { actions.append(.authenticate(attempt)) }
    }

    mutating func authenticated(_ number: Int, _ auth: SocketIOObject?) {
        guard number == attempt, isActive, isJoining else { return }
        answer = .due
        guard let privateID else { return actions.append(.send(packet(.connect(auth)), .automatic)) }
        var payload: SocketIOObject = ["pid": .string(privateID)]
        payload["offset"] = lastOffset.map { .string($0) }
        for (name, value) in auth ?? [:] { payload[name] = value }
        actions.append(.send(packet(.connect(payload)), .automatic))
    }

    /// What the server is told could not be had.
    ///
    /// - Parameter random: from 0 to 1.
    mutating func notAuthenticated(_ number: Int, _ error: any Error, random: Double) {
        guard number == attempt, isActive, isJoining else { return }
        actions.append(.connectError(SocketIOConnectError(.auth, "\(error)", underlying: error)))
        if let delay = authBackoff.next(random: random) { return actions.append(.retryAuthentication(number, delay)) }
        deactivate()
        change(.disconnected(nil))
    }

    /// What the server is told is not for the server that is there: this program has to say so first.
    mutating func withheld(_ number: Int, _ error: SocketIOConnectError) {
        guard number == attempt, isActive, isJoining else { return }
        actions.append(.connectError(error))
        deactivate()
        change(.disconnected(nil))
    }

    mutating func authenticateAgain(_ number: Int) {
        guard number == attempt, isActive, isJoining else { return }
        actions.append(.authenticate(number))
    }

    private mutating func joined(_ payload: SocketIOObject?) {
        guard isActive, isJoining else { return }
        guard case .string(let sid)? = payload?["sid"] else {
            let text = "the server answered without a sid, as Socket.IO 2 does, which is another protocol"
            actions.append(.connectError(SocketIOConnectError(.incompatible, text)))
            deactivate()
            return change(.disconnected(nil))
        }
        isJoining = false
        id = sid
        epoch += 1
        let newID = payload?["pid"]?.string
        isRecovered = newID != nil && newID == privateID
        privateID = newID
        change(.connected(id: sid, isRecovered: isRecovered))
        deliverReceived()
        sendBuffered()
        drain(force: true)
        actions.append(.connected)
    }

    // MARK: Receiving

    mutating func receive(_ content: SocketIOPacket.Content, size: Int) {
        if answer == .stale { return receiveStale(content) }
        guard isActive else { return }
        switch content {
        case .connect(let payload):
            answer = .none
            mayHaveCrossed = false
            joined(payload)
        case .event(let values, let id): event(values, id: id, size: size)
        case .ack(let values, let id): answered(id, .success(values))
        case .disconnect:
            guard isConnected || !mayHaveCrossed else {
                mayHaveCrossed = false
                return
            }
            answer = .none
            leave(.ioServerDisconnect)
            deactivate()
            change(.disconnected(.ioServerDisconnect))
        case .connectError(let payload):
            answer = .none
            deactivate()
            actions.append(.connectError(SocketIOConnectError(refusal: payload)))
            change(.disconnected(nil))
        }
    }

    /// What comes up to the answer to a CONNECT that was taken back.
    private mutating func receiveStale(_ content: SocketIOPacket.Content) {
        switch content {
        case .connect: actions.append(.send(packet(.disconnect), .automatic))
        case .connectError: break
        case .event, .ack, .disconnect: return
        }
        answer = .none
        opened()
    }

    private mutating func event(_ values: [SocketIOValue], id: Int?, size: Int) {
        if isConnected { return deliver(values, id: id, size: size) }
        guard receivedBytes + size <= configuration.maxPendingBytes else { return actions.append(.flooded) }
        // What a client missed comes before the answer to its CONNECT.
        received.append((values, id, size))
        receivedBytes += size
    }

    private mutating func deliver(_ values: [SocketIOValue], id: Int?, size: Int) {
        actions.append(.deliver(values, id: id, epoch: epoch, size: size))
        // Servers add no offset to what asks for an acknowledgement: what is last there is an argument.
        if privateID != nil, id == nil, case .string(let offset)? = values.last, values.count > 1 { lastOffset = offset }
    }

    private mutating func deliverReceived() {
        let events = received
        received = []
        receivedBytes = 0
        for event in events { deliver(event.values, id: event.id, size: event.size) }
    }

    // MARK: Ending

    /// The connection has ended.
    mutating func closed(_ reason: SocketIODisconnectReason, willReconnect: Bool) {
        answer = .none
        mayHaveCrossed = false
        guard isActive else { return }
        leave(reason)
        change(willReconnect ? .connecting : .disconnected(reason))
    }

    /// There is no connection.
    mutating func failed(_ error: SocketIOConnectError, willReconnect: Bool) {
        guard isActive else { return }
        actions.append(.connectError(error))
        change(willReconnect ? .connecting : .disconnected(nil))
    }

    /// This program disconnects.
    mutating func disconnect() {
        guard isActive else { return }
        if isConnected {
            mayHaveCrossed = true
            actions.append(.send(packet(.disconnect), .automatic))
        }
        if answer == .due { answer = .stale }
        leave(.ioClientDisconnect)
        deactivate()
        change(.disconnected(.ioClientDisconnect))
    }

    private mutating func leave(_ reason: SocketIODisconnectReason) {
        let wasConnected = isConnected
        id = nil
        isJoining = false
        attempt += 1
        // The server sends it again: what was kept and not delivered was not counted as received.
        received = []
        receivedBytes = 0
        if wasConnected { actions.append(.disconnected(reason)) }
        forgetAcks()
    }

    private mutating func deactivate() {
        isActive = false
        isJoining = false
        attempt += 1
        actions.append(.inactive)
    }
}
