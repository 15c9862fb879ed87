// One room on one node.

import EngineIO

/// A room's sockets; all of it under the adapter's lock, but for `group`, which is set once.
///
/// `@unchecked Sendable`: the adapter touches the variables under its lock only; `group` is read without it by a broadcast that has begun
/// under the lock, after which it does not change.
final class Room: @unchecked Sendable {
    /// From how many members on a room is told as a group: below it, the group would cost each member more than it saves.
    static let groupThreshold = 16

    private(set) var members: Set<SocketIOSocket> = []
    /// The members that WebSockets carry, once something is said to the room.
    private(set) var group: EngineIOGroup?
    /// The members of a group that it does not reach, as they are on long-polling.
    private(set) var others: Set<SocketIOSocket> = []
    /// How many broadcasts are under way: whoever came to the group meanwhile, from `others` or from outside, might be told twice, or not at
    /// all.
    var sending = 0
    /// The members that wait for that, to come to the group.
    private var changing: [SocketIOSocket] = []

    var isGroup: Bool { group != nil }

    func add(_ socket: SocketIOSocket) {
        guard members.insert(socket).inserted, let group else { return }
        if sending > 0 || socket.isCatchingUp {
            others.insert(socket)
            changing.append(socket)
        } else if !group.add(socket.client.session) {
            others.insert(socket)
        }
    }

    func remove(_ socket: SocketIOSocket) {
        guard members.remove(socket) != nil, let group else { return }
        if others.remove(socket) == nil { group.remove(socket.client.session) }
    }

    func becomeGroup() {
        guard group == nil, members.count >= Self.groupThreshold else { return }
        let made = EngineIOGroup()
        // In the order in which they came, as in Node: a set's own is another one in each process, and whom it happened to tell last would
        // answer last.
        others = Set(members.sorted { $0.number < $1.number }.filter { $0.isCatchingUp || !made.add($0.client.session) })
        group = made
    }

    /// A member's transport is a WebSocket now, or it has caught up.
    func transportChanged(_ socket: SocketIOSocket) {
        guard others.contains(socket) else { return }
        if sending > 0 { changing.append(socket) } else { move(socket) }
    }

    private func move(_ socket: SocketIOSocket) {
        guard !socket.isCatchingUp, let group, others.contains(socket), group.add(socket.client.session) else { return }
        others.remove(socket)
    }

    func endSending() {
        sending -= 1
        guard sending == 0 else { return }
        for socket in changing { move(socket) }
        changing = []
    }
}
