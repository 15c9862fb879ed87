// What a namespace has sent of the stream lately, for those who come back: what they missed is read from Redis, up to where the stream was then;
// what came between that and the moment in which they are let in is here.

import NIOConcurrencyHelpers
import SocketIO

/// The latest events of one namespace that have a place in the stream.
final class StreamLog: SocketIOEventLog {
    private struct Entry {
        let id: StreamID
        let values: [SocketIOValue]
        let options: SocketIOBroadcastOptions
    }

    private struct State {
        var entries: [Entry] = []
        var bytes = 0
        /// What is not later than this is not known any more.
        var forgotten = StreamID.zero
    }

    private let state = NIOLockedValueBox(State())
    private let maxBytes: Int

    /// - Parameter maxBytes: how much is kept, roughly.
    init(maxBytes: Int) { self.maxBytes = maxBytes }

    func note(_ packet: SocketIOPacket, _ options: SocketIOBroadcastOptions, offset: String?) -> SocketIOPacket? {
        guard let offset, let id = StreamID(offset), case .event(var values, nil) = packet.content, !options.isVolatile else { return nil }
        values.append(.string(offset))
        state.withLockedValue { state in
            state.entries.append(Entry(id: id, values: values, options: options))
            state.bytes += values.roughSize
            if state.bytes > maxBytes { Self.forgetHalf(&state) }
        }
        return SocketIOPacket(namespace: packet.namespace, content: .event(values, id: nil))
    }

    private static func forgetHalf(_ state: inout State) {
        let count = (state.entries.count + 1) / 2
        for entry in state.entries[..<count] { state.bytes -= entry.values.roughSize }
        state.forgotten = state.entries[count - 1].id
        state.entries.removeFirst(count)
    }

    /// Whether everything behind an entry is still here that was noted.
    func remembers(_ id: StreamID) -> Bool { state.withLockedValue { $0.forgotten <= id } }

    func missed(_ recovered: RecoveredSession) -> [[SocketIOValue]]? {
        guard let read = StreamID(recovered.offset) else { return nil }
        return state.withLockedValue { state in
            guard state.forgotten <= read else { return nil }
            let since = state.entries.reversed().prefix { $0.id > read }.reversed()
            return recovered.missed.map(\.event) + since.filter { recovered.session.isMeant(by: $0.options) }.map(\.values)
        }
    }
}

extension [SocketIOValue] {
    /// What they hold, roughly.
    var roughSize: Int { reduce(64) { $0 + $1.roughSize } }
}
