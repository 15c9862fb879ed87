// What this node writes to the stream, and how it goes on after a lost connection; see RedisStream.swift.

import DequeModule
import Logging
import NIOConcurrencyHelpers
import NIOCore
import RedisPubSub
import SocketIO

extension RedisStream {
    /// Writes a message to the stream.
    ///
    /// - Parameter local: what this node's own sockets get once it is read; nil for nothing.
    /// - Returns: whether it was taken; if not, it is dropped, and nobody will be told of it.
    func add(_ message: SocketIOClusterMessage, local: StreamAction?) -> Bool {
        let fields = message.fields
        let size = fields.reduce(160) { $0 + $1.readableBytes + 16 }
        let isTaken = state.withLockedValue { state in
            let isUp = if case .up = state.link { true } else { false }
            guard isUp || settings.keeps, state.outgoingBytes + size <= settings.maxOutgoingBytes else {
                return false
            }
            state.outgoing.append(
                Outgoing(number: state.next, node: message.node, namespace: message.namespace, fields: fields, local: local, size: size))
            state.next += 1
            state.outgoingBytes += size
            sendMore(&state)
            return true
        }
        if !isTaken { link.count(published: 0, received: 0, dropped: 1) }
        if !isTaken, let others = faults.admit() {
            settings.logger.warning(
                "other nodes do not hear what was said: Redis is not reachable, or too much waits for it (limit whileUnreachable)",
                metadata: ["othersSinceLastLine": "\(others)"])
        }
        return isTaken
    }

    /// Sends what may be sent, under the lock: what is written has the order of what is awaited. A stream must not be cut off (`MAXLEN`) before this node
    /// has read what it has written, and the other nodes before they have: so half of it is the most that is sent and not read yet.
    func sendMore(_ state: inout State) {
        guard case .up = state.link else { return }
        while state.sent < min(state.outgoing.count, maxUnread), state.allowance != 0 {
            send(state.outgoing[state.sent])
            state.sent += 1
            state.allowance = state.allowance.map { $0 - 1 }
        }
    }

    private var maxUnread: Int { max(1, settings.maxLength / 2) }

    private func send(_ item: Outgoing) {
        link.request(addition + item.fields) { [weak self] answer in
            switch answer {
            case .success(let answer): self?.written(item, answer.text.flatMap { StreamID($0) })
            case .failure(let error) where error.reason == .refused: self?.refused(item, error)
            case .failure: self?.lost()
            }
        }
    }

    /// Where an item stands, by its number.
    private static func index(of number: UInt64, _ state: State) -> Int? {
        var (low, high) = (0, state.outgoing.count)
        while low < high {
            let middle = (low + high) / 2
            if state.outgoing[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low < state.outgoing.count && state.outgoing[low].number == number ? low : nil
    }

    static func remove(at index: Int, _ state: inout State) -> Outgoing {
        let item = state.outgoing.remove(at: index)
        state.outgoingBytes -= item.size
        if index < state.sent { state.sent -= 1 }
        return item
    }

    private func written(_ item: Outgoing, _ id: StreamID?) {
        link.count(published: 1, received: 0, dropped: 0)
        let missed = state.withLockedValue { state -> Outgoing? in
            guard let index = Self.index(of: item.number, state) else { return nil }
            state.outgoing[index].id = id
            // What is behind it is read already: it was gone from the stream before this node came to it.
            guard let id, let position = state.position, position >= id else { return nil }
            defer { sendMore(&state) }
            return Self.remove(at: index, &state)
        }
        if let missed { placed(missed, id) }
    }

    /// Redis does not write it: its memory is full, or the key is something else.
    private func refused(_ item: Outgoing, _ error: RedisError) {
        let out = state.withLockedValue { state -> Outgoing? in
            guard let index = Self.index(of: item.number, state) else { return nil }
            defer { sendMore(&state) }
            return Self.remove(at: index, &state)
        }
        link.count(published: 0, received: 0, dropped: 1)
        if let others = faults.admit() {
            settings.logger.error(
                "other nodes do not hear what was said: \(error)",
                metadata: ["stream": "\(settings.streamName)", "othersSinceLastLine": "\(others)"])
        }
        if let out { placed(out, nil) }
    }

    func placed(_ item: Outgoing, _ id: StreamID?) {
        if let local = item.local {
            let receiver = state.withLockedValue { $0.receivers[item.namespace]?.first { $0.node == item.node }?.receiver }
            receiver?.placed(local, id)
        }
        for follower in item.followers { follower.body() }
    }

    /// The connection that writes is lost.
    func lost() {
        let isNew = state.withLockedValue { state in
            if case .down = state.link { return false }
            state.link = .down
            if let connection = state.connection.take() { state.lostConnections.insert(connection) }
            return true
        }
        if isNew { resynchronise() }
    }

    /// Does something behind what was written before, once that is read; at the latest after twice `requestTimeout`.
    func afterwards(_ body: @escaping @Sendable () -> Void) {
        let (waits, sweeps) = state.withLockedValue { state in
            guard let last = state.outgoing.indices.last else { return (false, false) }
            state.outgoing[last].followers.append(Follower(generation: state.generation, body: body))
            defer { state.isSweeping = true }
            return (true, !state.isSweeping)
        }
        if !waits { body() }
        if sweeps { sweepLater() }
    }

    private func sweepLater() {
        _ = link.call(after: settings.requestTimeout) { [weak self] in self?.sweep() }
    }

    /// Has nothing wait any longer that has waited since the last time.
    private func sweep() {
        let (due, again) = state.withLockedValue { state in
            var due: [Follower] = []
            var left = false
            for index in state.outgoing.indices where !state.outgoing[index].followers.isEmpty {
                due += state.outgoing[index].followers.filter { $0.generation < state.generation }
                state.outgoing[index].followers.removeAll { $0.generation < state.generation }
                if !state.outgoing[index].followers.isEmpty { left = true }
            }
            state.generation += 1
            state.isSweeping = left
            return (due, left)
        }
        for follower in due { follower.body() }
        if again { sweepLater() }
    }

    // MARK: After a lost connection

    /// Finds out how far the stream is, as what was written before has to be read first.
    func resynchronise() {
        // What a lost connection still has on its way must not be written after the end of the stream is known.
        for lost in state.withLockedValue({ $0.lostConnections }) {
            link.request("CLIENT", "KILL", "ID", lost.id, "ADDR", lost.address) { [weak self] answer in
                switch answer {
                case .failure(let error) where error.reason != .refused: break
                case .success, .failure: self?.state.withLockedValue { _ = $0.lostConnections.remove(lost) }
                }
            }
        }
        link.request("CLIENT", "INFO") { [weak self] answer in
            guard case .success(let info) = answer, let text = info.text else { return }
            self?.state.withLockedValue { $0.connection = RedisConnectionName(info: text) }
        }
        link.request("XREVRANGE", settings.streamName, "+", "-", "COUNT", "1") { [weak self] answer in
            self?.found(answer)
        }
    }

    private func found(_ answer: Result<RESPValue, RedisError>) {
        do throws(RedisError) {
            let end = try StreamEntry.entries(try answer.get()).first?.id ?? .zero
            let isFirst = state.withLockedValue { state in
                state.link = .reading(to: end)
                if state.position == nil {
                    state.position = end
                    Self.beginAnew(at: end, &state)
                }
                defer { state.isReading = true }
                return !state.isReading
            }
            if isFirst { read() }
            continueWriting()
        } catch {
            if error.reason == .closed { return end() }
            _ = link.call(after: Self.retryDelay) { [weak self] in self?.resynchronise() }
        }
    }

    /// What is behind an entry is read, and what was before it may not have been.
    static func beginAnew(at id: StreamID, _ state: inout State) {
        state.receivers = state.receivers.mapValues { $0.map { Receiver(node: $0.node, receiver: $0.receiver, since: id) } }
    }

    /// Writes what was not written before, once it is known.
    func continueWriting() {
        let (settled, isLong) = state.withLockedValue { state -> ([Outgoing], Bool) in
            guard case .reading(let end) = state.link, let position = state.position, position >= end else { return ([], false) }
            state.link = .up
            // Those were written, and were gone before this node came to them.
            let isWritten = { (item: Outgoing) in item.id.map { $0 <= end } == true }
            let settled: [Outgoing] = state.outgoing.filter(isWritten)
            state.outgoing.removeAll(where: isWritten)
            state.outgoingBytes -= settled.reduce(0) { $0 + $1.size }
            state.sent = 0
            for index in state.outgoing.indices { state.outgoing[index].id = nil }
            // A backlog that is longer than the stream must not pass before the others read again.
            let isLong = state.outgoing.count > maxUnread
            state.allowance = isLong ? maxUnread : nil
            sendMore(&state)
            return (settled, isLong)
        }
        if isLong { _ = link.call(after: Self.catchUpTime) { [weak self] in self?.caughtUp() } }
        for item in settled { placed(item, item.id) }
    }

    private func caughtUp() {
        state.withLockedValue { state in
            state.allowance = nil
            sendMore(&state)
        }
    }

    /// The client is closed: nothing will be written or read any more.
    func end() {
        let (waiters, left) = state.withLockedValue { state in
            defer { (state.waiters, state.outgoing, state.outgoingBytes, state.sent) = ([], [], 0, 0) }
            return (state.waiters, state.outgoing)
        }
        link.count(published: 0, received: 0, dropped: left.count)
        for waiter in waiters { waiter.continuation.resume(returning: false) }
        for item in left { placed(item, nil) }
    }
}
