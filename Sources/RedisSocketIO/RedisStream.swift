// The stream that the nodes of a cluster share: what is written to it comes back to every node in the same order, this one included.
//
// Writing. `outgoing` holds what this node has written, or is to write, and has not yet read: it is taken out when it is read. Commands of one
// connection are carried out in order, so while the link is `up`, what is sent need only be awaited. When an answer fails to come, nobody knows
// what Redis has done: the link is `down` until the stream's end can be read (`resynchronise`); everything up to there is read first, and
// what is left in `outgoing` then was never written, and is written now. So nothing is lost or doubled by a lost connection.
//
// Reading. One XREAD after the other, on a connection of its own, from the last entry that was read. All of it is done on the Redis client's
// thread but for `add`.

import DequeModule
import Logging
import NIOConcurrencyHelpers
import NIOCore
import RedisPubSub
import SocketIO

/// Somebody who takes a namespace's entries.
protocol StreamReceiver: AnyObject, Sendable {
    /// Another node has said something.
    func received(_ message: SocketIOClusterMessage, _ id: StreamID)
    /// What this node has said has its place now, if `id` is not nil; otherwise it has none, and no other node hears it.
    func placed(_ action: StreamAction, _ id: StreamID?)
}

/// What is done on the node itself when the place in the stream is known.
enum StreamAction: Sendable {
    case broadcast(SocketIOPacket, SocketIOBroadcastOptions)
    case other(SocketIOClusterMessage.Content)
}

/// One stream in Redis, for all namespaces of a server.
final class RedisStream: Sendable {
    private struct Outgoing: Sendable {
        let number: UInt64
        let namespace: String
        let fields: [ByteBuffer]
        let local: StreamAction?
        let size: Int
        /// What is done behind it.
        var followers: [@Sendable () -> Void] = []
    }

    private enum Link: Sendable {
        /// Nothing is sent. What was sent may have been written or not.
        case down
        /// What was written before is being read.
        case reading(to: StreamID)
        case up
    }

    private struct Receiver: Sendable { weak var receiver: (any StreamReceiver)? }

    private struct Waiter: Sendable {
        let number: UInt64
        let id: StreamID
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var link = Link.down
        var isStarted = false
        var receivers: [String: Receiver] = [:]
        /// The names of this node, one for each namespace.
        var nodes: Set<String> = []
        var outgoing: Deque<Outgoing> = []
        var outgoingBytes = 0
        var next: UInt64 = 0
        /// The last entry that was read; nil before the stream's end was known.
        var position: StreamID?
        var isReading = false
        /// Whether the stream may have lost what was not read yet.
        var mayHaveLost = false
        var waiters: [Waiter] = []
        /// The number under which Redis knows the connection that writes.
        var connection: Int?
        var dropped = 0
    }

    private let link: any RedisCommandLink
    private let settings: SocketIORedisStreamsConfiguration
    private let state = NIOLockedValueBox(State())
    private let faults = LogLimiter()
    private static let retryDelay = Duration.milliseconds(100)

    init(_ link: any RedisCommandLink, _ settings: SocketIORedisStreamsConfiguration) {
        self.link = link
        self.settings = settings
    }

    // MARK: Receivers

    /// Has somebody take a namespace's entries, whose own ones are those of `node`. It is not retained.
    func register(_ receiver: any StreamReceiver, for namespace: String, node: String) {
        let isFirst = state.withLockedValue { state in
            state.receivers[namespace] = Receiver(receiver: receiver)
            state.nodes.insert(node)
            defer { state.isStarted = true }
            return !state.isStarted
        }
        if isFirst { resynchronise() }
    }

    func unregister(_ namespace: String, node: String) {
        state.withLockedValue { state in
            state.receivers[namespace] = nil
            state.nodes.remove(node)
        }
    }

    private func receiver(of namespace: String) -> (any StreamReceiver)? {
        state.withLockedValue { $0.receivers[namespace]?.receiver }
    }

    /// How many entries of this node no other one will hear.
    var dropped: Int { state.withLockedValue { $0.dropped } }

    /// Whether what is added is written at once.
    var isUp: Bool { state.withLockedValue { if case .up = $0.link { true } else { false } } }

    // MARK: Writing

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
                state.dropped += 1
                return false
            }
            let item = Outgoing(number: state.next, namespace: message.namespace, fields: fields, local: local, size: size)
            state.next += 1
            state.outgoing.append(item)
            state.outgoingBytes += size
            // Under the lock: what is written has the order of what is awaited.
            if isUp { send(item) }
            return true
        }
        if !isTaken, let others = faults.admit() {
            settings.logger.warning(
                "other nodes do not hear what was said: Redis is not reachable, or too much waits for it (limit whileUnreachable)",
                metadata: ["othersSinceLastLine": "\(others)"])
        }
        return isTaken
    }

    private func send(_ item: Outgoing) {
        let start = ["XADD", settings.streamName, "MAXLEN", "~", "\(settings.maxLength)", "*"].map { ByteBuffer(string: $0) }
        link.request(start + item.fields) { [weak self] answer in
            switch answer {
            case .success: break
            case .failure(let error) where error.reason == .refused: self?.refused(item, error)
            case .failure: self?.lost()
            }
        }
    }

    /// Redis does not write it: its memory is full, or the key is something else.
    private func refused(_ item: Outgoing, _ error: RedisError) {
        let out = state.withLockedValue { state -> Outgoing? in
            guard let index = state.outgoing.firstIndex(where: { $0.number == item.number }) else { return nil }
            state.outgoingBytes -= item.size
            state.dropped += 1
            return state.outgoing.remove(at: index)
        }
        if let others = faults.admit() {
            settings.logger.error(
                "other nodes do not hear what was said: \(error)",
                metadata: ["stream": "\(settings.streamName)", "othersSinceLastLine": "\(others)"])
        }
        if let out { placed(out, nil) }
    }

    private func placed(_ item: Outgoing, _ id: StreamID?) {
        if let local = item.local { receiver(of: item.namespace)?.placed(local, id) }
        for body in item.followers { body() }
    }

    private func lost() {
        let (isNew, followers) = state.withLockedValue { state -> (Bool, [@Sendable () -> Void]) in
            guard case .up = state.link else { return (false, []) }
            state.link = .down
            return (true, Self.takeFollowers(&state))
        }
        for body in followers { body() }
        if isNew { resynchronise() }
    }

    /// What waits for something that may be long in coming is done now.
    private static func takeFollowers(_ state: inout State) -> [@Sendable () -> Void] {
        var followers: [@Sendable () -> Void] = []
        for index in state.outgoing.indices where !state.outgoing[index].followers.isEmpty {
            followers += state.outgoing[index].followers
            state.outgoing[index].followers = []
        }
        return followers
    }

    /// Does something behind what was written before, once that is read; at once while Redis can not be reached.
    func afterwards(_ body: @escaping @Sendable () -> Void) {
        let waits = state.withLockedValue { state in
            guard case .up = state.link, let last = state.outgoing.indices.last else { return false }
            state.outgoing[last].followers.append(body)
            return true
        }
        if !waits { body() }
    }

    // MARK: After a lost connection

    /// Finds out how far the stream is, as what was written before has to be read first.
    private func resynchronise() {
        if let old = state.withLockedValue({ $0.connection.take() }) {
            // What the lost connection still had on its way must not be written after the end of the stream is known.
            link.request("CLIENT", "KILL", "ID", "\(old)") { _ in }
        }
        link.request("CLIENT", "ID") { [weak self] answer in
            if case .success(.integer(let id)) = answer { self?.state.withLockedValue { $0.connection = id } }
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
                if state.position == nil { state.position = end }
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

    /// Writes what was not written before, once it is known.
    private func continueWriting() {
        state.withLockedValue { state in
            guard case .reading(let end) = state.link, let position = state.position, position >= end else { return }
            state.link = .up
            for item in state.outgoing { send(item) }
        }
    }

    /// The client is closed: nothing will be written or read any more.
    private func end() {
        let (waiters, left) = state.withLockedValue { state in
            defer { (state.waiters, state.outgoing, state.outgoingBytes) = ([], [], 0) }
            state.dropped += state.outgoing.count
            return (state.waiters, state.outgoing)
        }
        for waiter in waiters { waiter.continuation.resume(returning: false) }
        for item in left { placed(item, nil) }
    }

    // MARK: Reading

    private func read() {
        let (position, mayHaveLost) = state.withLockedValue { ($0.position ?? .zero, $0.mayHaveLost) }
        if mayHaveLost { return checkForLoss(position) }
        let wait = "\(max(1, link.maxWait.components.seconds * 1000 + link.maxWait.components.attoseconds / 1_000_000_000_000_000))"
        let command = ["XREAD", "COUNT", "\(settings.readCount)", "BLOCK", wait, "STREAMS", settings.streamName, position.description]
        link.read(command) { [weak self] answer in self?.took(answer) }
    }

    private func took(_ answer: Result<RESPValue, RedisError>) {
        do throws(RedisError) {
            for entry in try StreamEntry.entries(read: try answer.get()) { take(entry) }
            continueWriting()
            read()
        } catch {
            readLater(error)
        }
    }

    private func readLater(_ error: RedisError) {
        if error.reason == .closed { return end() }
        if error.reason == .refused || error.reason == .unexpected, let others = faults.admit() {
            settings.logger.error(
                "other nodes are not heard: \(error)", metadata: ["stream": "\(settings.streamName)", "othersSinceLastLine": "\(others)"])
        }
        state.withLockedValue { $0.mayHaveLost = true }
        _ = link.call(after: Self.retryDelay) { [weak self] in self?.read() }
    }

    /// Says so if entries are gone that this node has not read: the stream was shortened meanwhile, or Redis has lost it. Nothing else is asked for
    /// on this connection meanwhile, so what is found is not older than what was read.
    private func checkForLoss(_ position: StreamID) {
        ask("+", "-", command: "XREVRANGE") { stream, last in
            if last < position {
                stream.say("Redis has lost a part of it", read: position, found: last)
                stream.state.withLockedValue { $0.position = last }
            }
            stream.ask("-", "+", command: "XRANGE") { stream, first in
                if position > .zero, first > position {
                    stream.say("its beginning is gone (limit maxLength)", read: position, found: first)
                }
                stream.state.withLockedValue { $0.mayHaveLost = false }
                stream.read()
            }
        }
    }

    /// Asks for the first or the last entry, and goes on with it: with zero, if there is none.
    private func ask(_ from: String, _ to: String, command: String, _ next: @escaping @Sendable (RedisStream, StreamID) -> Void) {
        link.read([command, settings.streamName, from, to, "COUNT", "1"]) { [weak self] answer in
            guard let self else { return }
            do throws(RedisError) {
                next(self, try StreamEntry.entries(try answer.get()).first?.id ?? .zero)
            } catch {
                readLater(error)
            }
        }
    }

    private func say(_ what: String, read: StreamID, found: StreamID) {
        settings.logger.error(
            "what other nodes said may be lost: the stream does not join on to what this node has read, as \(what)",
            metadata: ["stream": "\(settings.streamName)", "read": "\(read)", "found": "\(found)"])
    }

    private func take(_ entry: StreamEntry) {
        if let node = entry.node, let namespace = entry.namespace {
            let isOwn = state.withLockedValue { $0.nodes.contains(node) }
            if isOwn { takeOwn(entry) } else if let receiver = receiver(of: namespace) { hand(entry, to: receiver) }
        }
        let reached = state.withLockedValue { state in
            state.position = entry.id
            guard !state.waiters.isEmpty else { return [] as [Waiter] }
            let reached = state.waiters.filter { $0.id <= entry.id }
            state.waiters.removeAll { $0.id <= entry.id }
            return reached
        }
        for waiter in reached { waiter.continuation.resume(returning: true) }
    }

    private func takeOwn(_ entry: StreamEntry) {
        // The first, but for what Redis has refused and not yet said so.
        let item = state.withLockedValue { state -> Outgoing? in
            guard let index = state.outgoing.firstIndex(where: { $0.fields == entry.fields }) else { return nil }
            let item = state.outgoing.remove(at: index)
            state.outgoingBytes -= item.size
            return item
        }
        if let item { placed(item, entry.id) }
    }

    private func hand(_ entry: StreamEntry, to receiver: any StreamReceiver) {
        do throws(SocketIOParseError) {
            receiver.received(try entry.message(), entry.id)
        } catch {
            guard let others = faults.admit() else { return }
            settings.logger.warning(
                "a message of the cluster is dropped: \(error)",
                metadata: ["stream": "\(settings.streamName)", "entry": "\(entry.id)", "othersSinceLastLine": "\(others)"])
        }
    }

    // MARK: Looking back

    /// The entries after one, up to the stream's end, or so many of them.
    ///
    /// - Throws: `RedisError`.
    func entries(after id: StreamID, count: Int) async throws(RedisError) -> [StreamEntry] {
        // Exclusive, from Redis 6.2 on.
        try StreamEntry.entries(try await link.ask("XRANGE", settings.streamName, "(\(id)", "+", "COUNT", "\(count)"))
    }

    /// Whether an entry is still there.
    ///
    /// - Throws: `RedisError`.
    func contains(_ id: StreamID) async throws(RedisError) -> Bool {
        try !StreamEntry.entries(try await link.ask("XRANGE", settings.streamName, "\(id)", "\(id)")).isEmpty
    }

    /// Waits until this node has read an entry; false if that takes too long.
    func reached(_ id: StreamID) async -> Bool {
        await withCheckedContinuation { continuation in
            let number = state.withLockedValue { state -> UInt64? in
                if let position = state.position, position >= id { return nil }
                state.next += 1
                state.waiters.append(Waiter(number: state.next, id: id, continuation: continuation))
                return state.next
            }
            guard let number else { return continuation.resume(returning: true) }
            _ = link.call(after: settings.requestTimeout) { [weak self] in self?.gaveUp(number) }
        }
    }

    private func gaveUp(_ number: UInt64) {
        let waiter = state.withLockedValue { state -> Waiter? in
            guard let index = state.waiters.firstIndex(where: { $0.number == number }) else { return nil }
            return state.waiters.remove(at: index)
        }
        waiter?.continuation.resume(returning: false)
    }
}
