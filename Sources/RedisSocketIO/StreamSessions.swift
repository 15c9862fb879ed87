// The sessions of those who may come back, in Redis, where any node finds them: `sio:session:<private id>`, MessagePack in Base64 of
// `{sid, pid, rooms, data}`, as the JavaScript adapter keeps them.
//
// That one keeps a session when the client is gone. Here it is kept from the beginning, and again when the client joins or leaves a room: the node may
// be what is gone.

import EngineIO
import Logging
import NIOConcurrencyHelpers
import NIOCore
import RedisPubSub
import SocketIO

/// The sessions of one namespace.
final class StreamSessions: Sendable {
    private enum Write: Sendable {
        case live(SocketIOSocket)
        case away(SocketIOSession)
        /// As `away`, where all of it is written: only kept for longer, as the client may be on another node by now, and more in it.
        case touch(SocketIOSession)
        /// `away` follows at once if the client may come back. So it waits for a round: nobody must find nothing meanwhile.
        case gone(hasWaited: Bool, wasWritten: Bool)
    }

    private struct Numbered: Sendable {
        /// Later ones have greater numbers.
        let number: UInt64
        var write: Write
    }

    private struct State {
        /// What Redis is to be told, by private ids.
        var writes: [String: Numbered] = [:]
        var last: UInt64 = 0
        var isScheduled = false
        var isClosed = false
    }

    private let link: any RedisCommandLink
    private let prefix: String
    private let lifetime: Duration
    private let logger: Logger
    private let faults = LogLimiter()
    private let state = NIOLockedValueBox(State())
    /// What happens in so short a time to a client is written once.
    private static let delay = Duration.milliseconds(10)
    /// While Redis is away, each time costs the encoding of all.
    private static let retryDelay = Duration.seconds(1)
    /// More than one node has clients: what Redis is not told then is found out when somebody comes back, and begins anew.
    private static let maxWrites = 100_000

    /// - Parameter lifetime: how long a client may be away.
    init(_ link: any RedisCommandLink, prefix: String, lifetime: Duration, _ logger: Logger) {
        self.link = link
        self.logger = logger
        self.prefix = prefix
        self.lifetime = lifetime
    }

    // MARK: Keeping

    /// Keeps what a client is now.
    func keep(_ socket: SocketIOSocket) { if socket.isConnected, let id = socket.privateID { write(id) { _ in .live(socket) } } }
    /// Keeps what a client was that is gone.
    func keep(_ session: SocketIOSession) {
        write(session.privateID) { before in
            if case .gone(_, wasWritten: true) = before { .touch(session) } else { .away(session) }
        }
    }
    /// Keeps nothing of a client that has left.
    func forget(_ socket: SocketIOSocket) { if let id = socket.privateID { forget(id) } }
    func forget(_ privateID: String) { write(privateID) { .gone(hasWaited: false, wasWritten: $0 == nil) } }

    private func write(_ id: String, _ write: (_ before: Write?) -> Write) {
        let schedules = state.withLockedValue { state in
            guard !state.isClosed, state.writes.count < Self.maxWrites || state.writes[id] != nil else { return false }
            state.last += 1
            state.writes[id] = Numbered(number: state.last, write: write(state.writes[id]?.write))
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        if schedules { flush(after: Self.delay) }
    }

    private func flush(after delay: Duration) { _ = link.call(after: delay) { [weak self] in self?.flush() } }

    private func flush() {
        let (writes, again) = state.withLockedValue { state in
            var due: [String: Numbered] = [:]
            swap(&due, &state.writes)
            for (id, var item) in due {
                guard case .gone(hasWaited: false, let wasWritten) = item.write else { continue }
                due[id] = nil
                item.write = .gone(hasWaited: true, wasWritten: wasWritten)
                state.writes[id] = item
            }
            state.isScheduled = !state.writes.isEmpty
            return (due, state.isScheduled)
        }
        for (id, item) in writes { send(item, id) }
        if again { flush(after: Self.delay) }
    }

    private func send(_ item: Numbered, _ id: String) {
        var item = item
        switch item.write {
        case .live(let socket):
            // Of one that has left by now, the next round tells what becomes of it.
            guard socket.isConnected, let session = socket.session else { return }
            item.write = .away(session)
            request(set(session, id), item, id)
        case .away(let session): request(set(session, id), item, id)
        case .touch(let session): touch(session, item, id)
        case .gone: request(["DEL", prefix + id].map { ByteBuffer(string: $0) }, item, id)
        }
    }

    private func request(_ command: [ByteBuffer], _ item: Numbered, _ id: String) {
        link.request(command) { [weak self] answer in
            guard case .failure(let error) = answer, error.reason != .closed else { return }
            if error.reason == .refused { self?.refused(error) } else { self?.failed(item, id) }
        }
    }

    /// Keeps for longer what is kept; all of it, if nothing is, as Redis has lost it.
    private func touch(_ session: SocketIOSession, _ item: Numbered, _ id: String) {
        let command = [ByteBuffer(string: "PEXPIRE"), ByteBuffer(string: prefix + id), ByteBuffer(string: "\(milliseconds)")]
        link.request(command) { [weak self] answer in
            guard let self else { return }
            switch answer {
            case .success(.integer(0)): request(set(session, id) + [ByteBuffer(string: "NX")], item, id)
            case .failure(let error) where error.reason == .refused: refused(error)
            case .failure(let error) where error.reason != .closed: failed(item, id)
            default: break
            }
        }
    }

    private func refused(_ error: RedisError) {
        guard let others = faults.admit() else { return }
        logger.error("a client that comes back will begin anew: \(error)", metadata: ["othersSinceLastLine": "\(others)"])
    }

    /// Redis adds the time of day, and refuses what is too much then.
    private var milliseconds: Int64 { min(max(1, lifetime.milliseconds), 1 << 53) }

    private func set(_ session: SocketIOSession, _ id: String) -> [ByteBuffer] {
        [ByteBuffer(string: "SET"), ByteBuffer(string: prefix + id), session.encoded, ByteBuffer(string: "PX")]
            + [ByteBuffer(string: "\(milliseconds)")]
    }

    /// Tries again, unless something later is to be written: of several that fail, the last one counts.
    private func failed(_ item: Numbered, _ id: String) {
        let schedules = state.withLockedValue { state in
            guard !state.isClosed else { return false }
            if let place = state.writes[id], place.number > item.number {
                // What was thought to be written is not.
                switch place.write {
                case .touch(let session): state.writes[id]?.write = .away(session)
                case .gone(let hasWaited, wasWritten: true): state.writes[id]?.write = .gone(hasWaited: hasWaited, wasWritten: false)
                default: break
                }
                return false
            }
            guard state.writes[id] != nil || state.writes.count < Self.maxWrites else { return false }
            state.writes[id] = item
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        if schedules { flush(after: Self.retryDelay) }
    }

    func close() { state.withLockedValue { $0 = State(isClosed: true) } }

    // MARK: Finding

    /// Finds a session; nil if there is none, or what is kept is none. It stays, where the JavaScript adapter takes it out: should the answer be lost, it
    /// is asked for again, and whoever is let in by it is kept under the same name.
    ///
    /// - Throws: `RedisError`.
    func find(_ privateID: String) async throws(RedisError) -> SocketIOSession? {
        guard case .bulk(let bytes) = try await link.ask("GET", prefix + privateID) else { return nil }
        return try? SocketIOSession(encoded: bytes, privateID: privateID)
    }
}

extension SocketIOSession {
    /// The session as Redis keeps it; rooms in the order of their names.
    var encoded: ByteBuffer {
        let data = data.flatMap { try? ValueEncoder().encode($0) } ?? [:]
        return SocketIOValue.object(["sid": .string(id), "pid": .string(privateID), "rooms": .sorted(rooms), "data": data]).base64
    }

    /// Reads a session.
    ///
    /// - Throws: `SocketIOParseError` that says what is missing or of another kind.
    init(encoded: ByteBuffer, privateID: String) throws(SocketIOParseError) {
        let members = SocketIOClusterMembers(try SocketIOValue(base64: encoded, of: "a session"), of: "a session")
        guard try members.string("pid") == privateID else { throw SocketIOClusterMembers.error("a session of somebody else") }
        let values = members["data"]
        // A value's own nil would be null.
        let data: (any Codable & Sendable)? = values.isNull || values == [:] ? .none : .some(values)
        self.init(id: try members.string("sid"), privateID: privateID, rooms: try members.names("rooms"), data: data)
    }
}
