// The game over the wire.

import NIOCore
import Testing
import WebSockets

@testable import Gallery

@Suite(.timeLimit(.minutes(1))) struct GameTests {
    private func playing(_ body: (String) async throws -> Void) async throws {
        let server = WebSocketServer(port: 0)
        let game = Game()
        game.mount(on: server)
        let ticks = Task { await game.run(on: server) }
        defer { ticks.cancel() }
        try await serving(server, body)
    }

    @Test func joinsMovesAndLeaves() async throws {
        try await playing { url in
            try await WebSocketClient.connect(url + "/game/ann") { ann in
                #expect(try await next("players", from: ann).contains("Bot Ping"))
                try await WebSocketClient.connect(url + "/game/ben") { ben in
                    try await ben.send("{\"join\":{\"name\":\"Ben\"}}")
                    #expect(try await next("joined", from: ben) == "{\"joined\":{\"id\":3}}")
                    #expect(try await next("players", from: ann).contains("\"3\":\"Ben\""))
                    try await ben.send(.binary([0, 7, World.Button.up]))
                    // Until a snapshot heeds it: the last player of it is the newest.
                    for try await message in ann {
                        guard let bytes = message.binary, bytes.readableBytes == 5 + 10 * 4 + 3 * 14 else { continue }
                        if bytes.getInteger(at: bytes.readerIndex + 75, as: UInt16.self) == 7 { break }
                    }
                }
                var players = ""
                repeat { players = try await next("players", from: ann) } while players.contains("Ben")
                #expect(players.contains("Bot Pong"))
            }
        }
    }

    @Test func saysWhatItDoesNotTake() async throws {
        try await playing { url in
            try await WebSocketClient.connect(url + "/game/ann") { ann in
                try await ann.send(.binary([0, 1, 1]))
                #expect(try await next("refused", from: ann).contains("Join the game first."))
                try await ann.send("{\"join\":{\"name\":\"Ann\"}}")
                _ = try await next("joined", from: ann)
                for bad: [UInt8] in [[], [0, 1], [0, 1, 16], [0, 1, 1, 1]] {
                    try await ann.send(.binary(bad))
                    #expect(try await next("refused", from: ann).contains("An input has 3 bytes"))
                }
                for number in 0..<40 { try await ann.send(.binary([0, UInt8(number), 1])) }
                #expect(try await next("refused", from: ann).contains("Too fast: 33 messages"))
            }
        }
    }
}
