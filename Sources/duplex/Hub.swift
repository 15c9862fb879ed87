// Who is on /broadcast, and who wants to know how many there are.

import Synchronization
import WebSocketCore
import WebSockets

/// Sends back what it gets.
struct EchoHandler: WebSocketHandler {
    func received(_ message: Message, from socket: WebSocket) { socket.trySend(message) }
}

/// Everyone on /broadcast and on /people.
final class Hub: Sendable {
    private struct Members {
        var speakers: [ObjectIdentifier: WebSocket] = [:]
        var watchers: [ObjectIdentifier: WebSocket] = [:]
    }

    private let members = Mutex(Members())

    func join(_ socket: WebSocket) {
        members.withLock { $0.speakers[ObjectIdentifier(socket)] = socket }
        announce()
    }

    func leave(_ socket: WebSocket) {
        members.withLock { $0.speakers[ObjectIdentifier(socket)] = nil }
        announce()
    }

    func watch(_ socket: WebSocket) {
        let count = members.withLock { members in
            members.watchers[ObjectIdentifier(socket)] = socket
            return members.speakers.count
        }
        socket.trySend(.text(String(count)))
    }

    func unwatch(_ socket: WebSocket) { members.withLock { $0.watchers[ObjectIdentifier(socket)] = nil } }

    /// Sends a message to everyone, framed once.
    func broadcast(_ message: Message) {
        let prepared = PreparedMessage(message)
        for socket in members.withLock({ Array($0.speakers.values) }) { socket.trySend(prepared) }
    }

    private func announce() {
        let (count, watchers) = members.withLock { ($0.speakers.count, Array($0.watchers.values)) }
        guard !watchers.isEmpty else { return }
        let prepared = PreparedMessage(.text(String(count)))
        for socket in watchers { socket.trySend(prepared) }
    }
}

/// Says to everyone what one of them says.
struct BroadcastHandler: WebSocketHandler {
    let hub: Hub
    func opened(_ socket: WebSocket) { hub.join(socket) }
    func received(_ message: Message, from socket: WebSocket) { hub.broadcast(message) }
    func closed(_ socket: WebSocket, _ closure: Closure) { hub.leave(socket) }
}

/// Is told how many there are.
struct PeopleHandler: WebSocketHandler {
    let hub: Hub
    func opened(_ socket: WebSocket) { hub.watch(socket) }
    func received(_ message: Message, from socket: WebSocket) {}
    func closed(_ socket: WebSocket, _ closure: Closure) { hub.unwatch(socket) }
}
