// What a client's socket sends: at once, when there is a connection, or again and again until it is acknowledged.

import DequeModule
import WebSockets

extension ClientSocketMachine {
    /// How long a try waits where nothing is said: 10 s, so that a server that does not answer is asked again.
    private static var retryTimeout: Duration { .seconds(10) }

    /// Sends an event, or keeps it.
    ///
    /// - Parameters:
    ///   - isAlive: whether the connection has been heard in time.
    ///   - isWritable: whether what is sent now leaves soon.
    mutating func emit(_ emission: Emission, isAlive: Bool, isWritable: Bool) {
        if configuration.retries != nil && !emission.options.isVolatile { return enqueue(emission) }
        if emission.options.isVolatile && !(isConnected && isAlive && isWritable) {
            if let answer = emission.answer { actions.append(.answer(answer, .failure(SocketIOAckError(.notSent)))) }
            return
        }
        let id = emission.answer.map { register(.program(emission.number, $0), emission.timeout ?? configuration.ackTimeout) }
        isConnected && isAlive ? send(emission, id) : keep(emission, id)
    }

    private mutating func send(_ emission: Emission, _ id: Int?) {
        actions.append(.send(packet(.event(emission.values, id: id)), emission.options.compression))
    }

    private mutating func register(_ awaiting: Awaiting, _ timeout: Duration?) -> Int {
        let id = nextID
        nextID = id == SocketIOPacket.maxID ? 0 : id + 1
        acks[id] = awaiting
        if let timeout { actions.append(.arm(id, timeout)) }
        return id
    }

    // MARK: The buffer

    private mutating func keep(_ emission: Emission, _ id: Int?) {
        let size = emission.size
        let limits = configuration.sendBuffer
        if limits.policy == .dropOldest {
            while let oldest = buffer.first, buffer.count >= limits.maxCount || bufferedBytes + size > limits.maxBytes {
                removeBuffered(at: 0)
                refuse(oldest.id, "an event that waited for a connection was dropped for a later one")
            }
        }
        guard buffer.count < limits.maxCount, bufferedBytes + size <= limits.maxBytes else {
            return refuse(id, "an event was not taken: too many wait for a connection")
        }
        buffer.append(Buffered(emission: emission, id: id, size: size))
        bufferedBytes += size
    }

    private mutating func refuse(_ id: Int?, _ what: String) {
        let limits = configuration.sendBuffer
        actions.append(.overflow("\(what) (limits \(limits.maxCount) events, \(limits.maxBytes) bytes of sendBuffer)"))
        if let id { answered(id, .failure(SocketIOAckError(.notSent))) }
    }

    private mutating func removeBuffered(at index: Int) { bufferedBytes -= buffer.remove(at: index).size }

    mutating func sendBuffered() {
        let waiting = buffer
        buffer = []
        bufferedBytes = 0
        for each in waiting { send(each.emission, each.id) }
    }

    // MARK: Acknowledgements

    /// An acknowledgement has come, or will not. One that nobody waits for is late, or the server's mistake.
    mutating func answered(_ id: Int, _ result: Result<[SocketIOValue], SocketIOAckError>) {
        guard let awaiting = acks.removeValue(forKey: id) else { return }
        actions.append(.disarm(id))
        switch awaiting {
        case .program(_, let answer): actions.append(.answer(answer, result))
        case .queue(let number): retriedAnswered(number, result)
        }
    }

    mutating func timedOut(_ id: Int) {
        if let index = buffer.firstIndex(where: { $0.id == id }) { removeBuffered(at: index) }
        answered(id, .failure(SocketIOAckError(.timeout)))
    }

    /// Nobody waits for an event's acknowledgement any more; what has not been sent is not.
    mutating func forget(_ number: Int) {
        if let index = buffer.firstIndex(where: { $0.emission.number == number }) { removeBuffered(at: index) }
        if let index = queue.firstIndex(where: { $0.emission.number == number }), queue[index].tries == 0 { removeQueued(at: index) }
        for (id, awaiting) in acks {
            guard case .program(number, _) = awaiting else { continue }
            acks[id] = nil
            actions.append(.disarm(id))
        }
    }

    /// The connection is gone, and with it the answers to what was sent on it.
    mutating func forgetAcks() {
        let kept = Set(buffer.compactMap(\.id))
        for id in acks.keys.filter({ !kept.contains($0) }).sorted() { answered(id, .failure(SocketIOAckError(.disconnected))) }
    }

    /// There will be no connection any more.
    mutating func abandon() {
        buffer = []
        bufferedBytes = 0
        forgetAcks()
        for each in queue {
            if let answer = each.emission.answer { actions.append(.answer(answer, .failure(SocketIOAckError(.disconnected)))) }
        }
        queue = []
        queuedBytes = 0
    }

    // MARK: Until acknowledged

    private mutating func enqueue(_ emission: Emission) {
        let size = emission.size
        let limits = configuration.sendBuffer
        guard queue.count < limits.maxCount, queuedBytes + size <= limits.maxBytes else {
            refuse(nil, "an event was not taken: too many wait to be acknowledged")
            if let answer = emission.answer { actions.append(.answer(answer, .failure(SocketIOAckError(.notSent)))) }
            return
        }
        queue.append(Retried(emission: emission, size: size))
        queuedBytes += size
        drain(force: false)
    }

    /// Sends the first event of the queue: the others wait until it is acknowledged, so that they keep their order.
    ///
    /// - Parameter force: whether one that was sent and not acknowledged is sent again.
    mutating func drain(force: Bool) {
        guard isConnected, let first = queue.first, force || !first.isPending else { return }
        queue[0].isPending = true
        queue[0].tries += 1
        let timeout = first.emission.timeout ?? configuration.ackTimeout ?? Self.retryTimeout
        let id = register(.queue(first.emission.number), timeout)
        send(first.emission, id)
    }

    private mutating func retriedAnswered(_ number: Int, _ result: Result<[SocketIOValue], SocketIOAckError>) {
        // An answer to an earlier try, and the event is done.
        guard let first = queue.first, first.emission.number == number else { return }
        queue[0].isPending = false
        let isDone = if case .success = result { true } else { first.tries > configuration.retries ?? 0 }
        if isDone {
            removeQueued(at: 0)
            if let answer = first.emission.answer { actions.append(.answer(answer, result)) }
        }
        drain(force: false)
    }

    private mutating func removeQueued(at index: Int) { queuedBytes -= queue.remove(at: index).size }
}
