// The rules of the game, in whole numbers: the page's copy of `step` comes to exactly the same, and so the page can run ahead of the server.

import NIOCore

/// The arena and who is in it. Lengths are sixteenths of a pixel, times are ticks.
struct World {
    struct Player: Equatable { var x: Int, y: Int, vx = 0, vy = 0, score = 0, lastInput: UInt16 = 0, name: String, isBot = false }
    struct Light { var x: Int, y: Int }
    /// What a player presses, as bits.
    enum Button { static let left: UInt8 = 1, right: UInt8 = 2, up: UInt8 = 4, down: UInt8 = 8 }

    static let width = 960 * 16, height = 540 * 16, reach = 24 * 16, maxPlayers = 40
    private(set) var tick: UInt32 = 0
    private(set) var players: [UInt16: Player] = [:]
    private(set) var lights: [Light] = []
    private var lastID: UInt16 = 0

    init() {
        for name in ["Bot Ping", "Bot Pong"] { _ = try? join(name, isBot: true) }
        for _ in 0..<10 { lights.append(Light(x: .random(in: 0...Self.width), y: .random(in: 0...Self.height))) }
    }

    mutating func join(_ name: String, isBot: Bool = false) throws(Refusal) -> UInt16 {
        guard players.count < Self.maxPlayers else { throw Refusal("\(Self.maxPlayers) are playing already; try again later.") }
        repeat { lastID &+= 1 } while players[lastID] != nil
        players[lastID] = Player(x: .random(in: 0...Self.width), y: .random(in: 0...Self.height), name: name, isBot: isBot)
        return lastID
    }

    mutating func leave(_ id: UInt16) { players[id] = nil }

    /// Moves a player by one step. Where to is decided here; all that a client can say is what is pressed.
    mutating func apply(_ buttons: UInt8, number: UInt16, to id: UInt16) {
        guard var player = players[id] else { return }
        Self.step(&player, buttons)
        player.lastInput = number
        for index in lights.indices where abs(lights[index].x - player.x) < Self.reach && abs(lights[index].y - player.y) < Self.reach {
            lights[index] = Light(x: .random(in: 0...Self.width), y: .random(in: 0...Self.height))
            player.score += 1
        }
        players[id] = player
    }

    static func step(_ player: inout Player, _ buttons: UInt8) {
        func pressed(_ button: UInt8) -> Int { buttons & button == 0 ? 0 : 1 }
        let x = pressed(Button.right) - pressed(Button.left), y = pressed(Button.down) - pressed(Button.up)
        let push = x != 0 && y != 0 ? 17 : 24
        (player.x, player.vx) = move(player.x, player.vx + x * push, width)
        (player.y, player.vy) = move(player.y, player.vy + y * push, height)
    }

    /// Friction takes an eighth, and a wall turns half of the speed around.
    private static func move(_ place: Int, _ pushed: Int, _ end: Int) -> (place: Int, speed: Int) {
        let speed = pushed * 7 / 8, next = place + speed
        return next < 0 ? (0, -speed / 2) : next > end ? (end, -speed / 2) : (next, speed)
    }

    /// Ends a tick: the bots, which go for the nearest light, move as everyone else does.
    mutating func advance() {
        tick &+= 1
        for (id, bot) in players where bot.isBot {
            guard let light = lights.min(by: { distance(bot, $0) < distance(bot, $1) }) else { continue }
            let horizontal = abs(light.x - bot.x) < 200 ? 0 : light.x < bot.x ? Button.left : Button.right
            let vertical = abs(light.y - bot.y) < 200 ? 0 : light.y < bot.y ? Button.up : Button.down
            // They let go in three of eight ticks: people should win.
            apply(tick & 7 < 5 ? horizontal | vertical : 0, number: bot.lastInput &+ 1, to: id)
        }
    }

    private func distance(_ player: Player, _ light: Light) -> Int { abs(player.x - light.x) + abs(player.y - light.y) }

    /// Everything as it is now: the tick (4 bytes), how many lights (1), x and y of each (2 + 2); then of each player the id, the last input
    /// that was heeded, x, y, both speeds and the score (2 each).
    var snapshot: ByteBuffer {
        var bytes = ByteBuffer()
        bytes.writeMultipleIntegers(tick, UInt8(lights.count))
        for light in lights { bytes.writeMultipleIntegers(UInt16(light.x), UInt16(light.y)) }
        for (id, player) in players.sorted(by: { $0.key < $1.key }) {
            bytes.writeMultipleIntegers(
                id, player.lastInput, UInt16(player.x), UInt16(player.y), Int16(player.vx), Int16(player.vy),
                UInt16(truncatingIfNeeded: player.score))
        }
        return bytes
    }
}
