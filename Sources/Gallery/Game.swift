// A small game: thirty times a second, the server says where everyone is. Binary both ways.

import NIOCore
import PubSub
import Synchronization
import WebSockets

final class Game: Exhibit {
    enum Request: Decodable { case join(name: String) }
    enum Event: Encodable {
        case joined(id: UInt16)
        case players(names: [String: String])
    }

    private let world = Mutex(World())
    /// An input is a step: whoever sends more of them would be faster than the others. A clock may run a tenth fast.
    private let limits = RateLimits(perSecond: 33, burst: 20)
    private let audience = Audience()

    func mount(on server: WebSocketServer) {
        server.webSocket("/game/{user}") { [self] socket in
            var id: UInt16?
            audience.enter()
            defer {
                leave(id, socket)
                audience.leave()
            }
            // Only the latest matters, of where all are and of who they are.
            try socket.subscribe("game/state", whenSlow: .latest)
            try socket.subscribe("game/players", whenSlow: .latest)
            socket.trySend(world.withLock { players($0) })
            try await socket.converse(within: limits) { message in
                if let bytes = message.binary {
                    try press(bytes, id)
                } else if case .join(let name) = try message.decoded(as: Request.self, atMost: 200) {
                    let name = try name.checked("A name", 1...24)
                    leave(id, socket)
                    id = nil
                    id = try join(name, socket)
                }
            }
        }
    }

    private func join(_ name: String, _ socket: WebSocket) throws(Refusal) -> UInt16 {
        try world.withLock { world throws(Refusal) in
            let id = try world.join(name)
            socket.trySend(.json(Event.joined(id: id)))
            socket.publish(players(world), to: "game/players", includingSelf: true)
            return id
        }
    }

    private func leave(_ id: UInt16?, _ socket: WebSocket) {
        guard let id else { return }
        world.withLock { world in
            world.leave(id)
            socket.publish(players(world), to: "game/players", includingSelf: true)
        }
    }

    /// An input: its number (2 bytes) and what is pressed (1).
    private func press(_ bytes: ByteBuffer, _ id: UInt16?) throws(Refusal) {
        guard let id else { throw Refusal("Join the game first.") }
        var bytes = bytes
        guard bytes.readableBytes == 3, let number = bytes.readInteger(as: UInt16.self), let buttons = bytes.readInteger(as: UInt8.self),
            buttons < 16
        else { throw Refusal("An input has 3 bytes: its number, and which of four buttons are pressed.") }
        world.withLock { $0.apply(buttons, number: number, to: id) }
    }

    private func players(_ world: borrowing World) -> Message {
        .json(Event.players(names: Dictionary(uniqueKeysWithValues: world.players.map { (String($0.key), $0.value.name) })))
    }

    /// The tick. What is said of it is compressed never: it is worth less than the time that takes.
    func run(on server: WebSocketServer) async {
        var next = ContinuousClock.now
        while await audience.sleep(until: next) {
            next = max(next + .nanoseconds(1_000_000_000 / 30), .now - .milliseconds(100))
            let snapshot = world.withLock { world in
                world.advance()
                return world.snapshot
            }
            server.publish(Message.binary(snapshot).compressed(.never), to: "game/state")
        }
    }
}
