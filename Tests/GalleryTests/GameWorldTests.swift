// The game's rules.

import NIOCore
import TestSupport
import Testing

@testable import Gallery

@Suite struct GameWorldTests {
    private typealias Button = World.Button

    @Test func pressedIsFasterUntilFrictionIsAsMuch() {
        var player = World.Player(x: 1000, y: 1000, name: "")
        var speeds: [Int] = []
        for _ in 0..<40 {
            World.step(&player, Button.right)
            speeds.append(player.vx)
        }
        #expect(speeds.prefix(3) == [21, 39, 55])
        #expect(speeds.last == 161 && player.vy == 0)
        for _ in 0..<60 { World.step(&player, 0) }
        #expect(player.vx == 0, "it comes to rest")
    }

    @Test func oppositesCancelAndDiagonalsAreNotFaster() {
        var player = World.Player(x: 1000, y: 1000, name: "")
        World.step(&player, Button.left | Button.right)
        #expect((player.vx, player.vy) == (0, 0))
        World.step(&player, Button.left | Button.up)
        #expect((player.vx, player.vy) == (-14, -14))
    }

    /// Nothing leaves the arena, whatever is pressed.
    @Test(arguments: 0..<20 as Range<UInt64>) func staysInside(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var player = World.Player(x: 0, y: World.height, name: "")
        var buttons: UInt8 = 0
        for _ in 0..<2000 {
            if Int.random(in: 0..<20, using: &random) == 0 { buttons = UInt8.random(in: 0..<16, using: &random) }
            World.step(&player, buttons)
            #expect((0...World.width).contains(player.x) && (0...World.height).contains(player.y), "seed \(seed)")
        }
    }

    @Test func lightsAreCollectedByWhoIsThereAndBotsPlay() throws {
        var world = World()
        let ann = try world.join("Ann")
        var number: UInt16 = 0
        while world.players[ann]?.score == 0, number < 3000 {
            let player = try #require(world.players[ann])
            let light = try #require(world.lights.first)
            number += 1
            let horizontal = light.x < player.x ? Button.left : Button.right
            world.apply(horizontal | (light.y < player.y ? Button.up : Button.down), number: number, to: ann)
        }
        #expect(world.players[ann]?.score ?? 0 > 0)
        #expect(world.players[ann]?.lastInput == number)
        #expect(world.lights.count == 10)
        for _ in 0..<1000 { world.advance() }
        #expect(world.players.values.contains { $0.isBot && $0.score > 0 })
    }

    @Test func hasAnEndOfSeats() throws {
        var world = World()
        while world.players.count < World.maxPlayers { _ = try world.join("x") }
        do {
            _ = try world.join("one more")
            Issue.record("there was a seat")
        } catch {
            #expect(error.reason == "40 are playing already; try again later.")
        }
        world.leave(5)
        let last = try world.join("one more")
        #expect(last != 5)
        world.apply(1, number: 1, to: 9999)
    }

    @Test func aSnapshotIsTheseBytes() throws {
        var world = World()
        world.advance()
        let bytes = world.snapshot
        #expect(bytes.readableBytes == 5 + 10 * 4 + 2 * 14)
        func word(_ at: Int) -> UInt16? { bytes.getInteger(at: at) }
        #expect(bytes.getInteger(at: 0, as: UInt32.self) == 1)
        #expect(bytes.getInteger(at: 4, as: UInt8.self) == 10)
        #expect(word(5) == UInt16(world.lights[0].x) && word(7) == UInt16(world.lights[0].y))
        let bot = try #require(world.players[1])
        let fields = [
            1, bot.lastInput, UInt16(bot.x), UInt16(bot.y), UInt16(bitPattern: Int16(bot.vx)), UInt16(bitPattern: Int16(bot.vy)),
            UInt16(bot.score),
        ]
        #expect((0..<7).map { word(45 + 2 * $0) } == fields)
    }
}
