// Simulated members for the chat: whoever mounts the gallery makes them, in a process of their own, as each is a real connection.

import NIOCore
import PubSub
import Synchronization
import WebSockets

/// Makes simulated members.
public protocol Crowd: Sendable {
    /// How long a crowd stays, in seconds.
    var seconds: Int { get }
    /// Has so many members in the lobby instead of those that are there; 0 sends all away.
    ///
    /// - Throws: what tells the user why it can not be.
    func set(_ members: Int) async throws
}

/// Lets pages call in a crowd, and send it away.
final class CrowdControl: Sendable {
    private enum Request: Decodable { case set(members: Int) }
    private enum Event: Encodable { case crowd(members: Int, seconds: Int) }

    static let maxMembers = 10_000
    private let crowd: any Crowd
    private let called = Mutex((members: 0, until: ContinuousClock.now))
    private let limits = RateLimits(perSecond: 1, burst: 6)

    init(_ crowd: any Crowd) { self.crowd = crowd }

    func mount(on server: WebSocketServer) {
        server.webSocket("/chat/crowd/{user}") { [self] socket in
            try socket.subscribe("chat/crowd", whenSlow: .latest)
            try await socket.send(event)
            try await socket.converse(Request.self, within: limits) { request in
                guard case .set(let count) = request else { return }
                try await set(count, for: socket)
                socket.publish(event, to: "chat/crowd", includingSelf: true)
            }
        }
    }

    /// How many there are, and for how long they stay.
    private var event: Message {
        let (members, until) = called.withLock { $0 }
        let seconds = Int((until - .now) / .seconds(1))
        return .json(Event.crowd(members: seconds > 0 ? members : 0, seconds: max(0, seconds)))
    }

    /// Only from this machine: ten thousand connections are nothing that a stranger may ask for.
    private func set(_ count: Int, for socket: WebSocket) async throws {
        guard let address = socket.remoteAddress?.ipAddress, address.hasPrefix("127.") || address == "::1" else {
            throw Refusal("Only a browser on the server's own machine can call in a crowd.")
        }
        guard (0...Self.maxMembers).contains(count) else { throw Refusal("A crowd has 0 to \(Self.maxMembers) members.") }
        do {
            try await crowd.set(count)
        } catch {
            throw Refusal("The crowd could not be called in: \(error)")
        }
        called.withLock { $0 = (count, .now + .seconds(crowd.seconds)) }
    }
}
