// What is kept for clients that lose their connection: Socket.IO documentation, "Connection state recovery".
//
// Every event that a namespace sends gets an offset as its last argument, which the client keeps and names when it comes back. What went by
// since then, to rooms that it was in, is sent again.

import EngineIO
import NIOConcurrencyHelpers
import NIOCore

/// What keeps the latest events of one namespace. The adapter calls it under its lock: in the moment in which it decides who gets an event, and in
/// that in which it lets somebody in again.
package protocol SocketIOEventLog: Sendable {
    /// Keeps an event; the packet to be sent, with its offset. Nil for what is not kept.
    ///
    /// - Parameter offset: the one that it has in a cluster's log; nil if it has none.
    func note(_ packet: SocketIOPacket, _ options: SocketIOBroadcastOptions, offset: String?) -> SocketIOPacket?
    /// - Returns: what a session has missed up to now; nil if it is not known any more.
    func missed(_ recovered: RecoveredSession) -> [[SocketIOValue]]?
}

extension SocketIOSession {
    /// Whether the session's client would have got what was said.
    package func isMeant(by options: SocketIOBroadcastOptions) -> Bool {
        (options.rooms.isEmpty || !options.rooms.isDisjoint(with: rooms)) && options.except.isDisjoint(with: rooms)
    }
}

/// The latest events of one namespace, and the sessions of those who are away.
final class RecoveryLog: SocketIOEventLog {
    private struct Entry {
        let offset: String
        let values: [SocketIOValue]
        let options: SocketIOBroadcastOptions
        let size: Int
        let at: ContinuousClock.Instant
    }

    private struct State {
        var entries: [Entry] = []
        /// How many entries at the beginning are gone.
        var first = 0
        var bytes = 0
        var sessions: [String: (session: SocketIOSession, timeout: Timeout)] = [:]
        var counter: UInt64 = 0
        var onExpired: @Sendable (SocketIOSession) -> Void = { _ in }
    }

    private let settings: SocketIORecovery
    private let timers: WheelTimers<Timeout>
    private let state = NIOLockedValueBox(State())
    /// Offsets of an earlier process are none of this one's.
    private let prefix = SessionID().text.prefix(8)

    init(_ settings: SocketIORecovery, _ timers: WheelTimers<Timeout>) {
        self.settings = settings
        self.timers = timers
    }

    /// Told of sessions whose clients have not come back in time.
    var onExpired: @Sendable (SocketIOSession) -> Void {
        get { state.withLockedValue { $0.onExpired } }
        set { state.withLockedValue { $0.onExpired = newValue } }
    }

    // MARK: Events

    func note(_ packet: SocketIOPacket, _ options: SocketIOBroadcastOptions, offset: String?) -> SocketIOPacket? {
        note(packet, options, now: .now)
    }

    /// Keeps an event; the packet to be sent, with its offset. Nil for what is not kept: answers are not repeated, nor what is volatile.
    func note(_ packet: SocketIOPacket, _ options: SocketIOBroadcastOptions, now: ContinuousClock.Instant) -> SocketIOPacket? {
        guard case .event(var values, nil) = packet.content, !options.isVolatile else { return nil }
        state.withLockedValue { state in
            state.counter += 1
            let offset = "\(prefix)\(state.counter)"
            values.append(.string(offset))
            let size = values.reduce(64) { $0 + $1.roughSize }
            state.entries.append(Entry(offset: offset, values: values, options: options, size: size, at: now))
            state.bytes += size
            trim(&state, now)
        }
        return SocketIOPacket(namespace: packet.namespace, content: .event(values, id: nil))
    }

    private func trim(_ state: inout State, _ now: ContinuousClock.Instant) {
        while state.first < state.entries.count,
            state.bytes > settings.maxBytes || state.entries[state.first].at + settings.maxDisconnectionDuration < now
        {
            state.bytes -= state.entries[state.first].size
            state.first += 1
        }
        guard state.first > 1024, state.first > state.entries.count / 2 else { return }
        state.entries.removeFirst(state.first)
        state.first = 0
    }

    // MARK: Sessions

    func persist(_ session: SocketIOSession) {
        let timeout = timers.call(after: settings.maxDisconnectionDuration) { [weak self] in self?.expire(session.privateID) }
        state.withLockedValue { $0.sessions.updateValue((session, timeout), forKey: session.privateID) }?.timeout.cancel()
    }

    private func expire(_ privateID: String) {
        let (expired, tell) = state.withLockedValue { ($0.sessions.removeValue(forKey: privateID), $0.onExpired) }
        if let expired { tell(expired.session) }
    }

    /// - Returns: the session; nil if it is not known, or what was missed is not known any more.
    func restore(_ privateID: String, _ offset: String) -> RecoveredSession? {
        let found = state.withLockedValue { state in
            Self.index(of: offset, state) == nil ? nil : state.sessions.removeValue(forKey: privateID)
        }
        found?.timeout.cancel()
        return found.map { RecoveredSession($0.session, offset: offset) }
    }

    func missed(_ recovered: RecoveredSession) -> [[SocketIOValue]]? {
        state.withLockedValue { state in
            guard let index = Self.index(of: recovered.offset, state) else { return nil }
            return state.entries[(index + 1)...].filter { recovered.session.isMeant(by: $0.options) }.map(\.values)
        }
    }

    private static func index(of offset: String, _ state: State) -> Int? {
        state.entries[state.first...].firstIndex { $0.offset == offset }
    }
}
