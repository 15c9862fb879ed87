// Who hears what on /broadcast and /people.

import Testing
import WebSocketCore
import WebSockets

@testable import duplex

@Suite(.timeLimit(.minutes(1))) struct HubTests {
    /// Runs a body with so many connections to a path, all of them open.
    private func connected(_ count: Int, _ url: String, _ body: @escaping @Sendable ([WebSocket]) async throws -> Void) async throws {
        try await join([], count, url, body)
    }

    private func join(
        _ sockets: [WebSocket], _ count: Int, _ url: String, _ body: @escaping @Sendable ([WebSocket]) async throws -> Void
    ) async throws {
        guard sockets.count < count else { return try await body(sockets) }
        try await WebSocketClient.connect(url) { socket in try await join(sockets + [socket], count, url, body) }
    }

    @Test func everyoneHearsEveryoneTheSenderIncluded() async throws {
        try await serving { url, _ in
            try await WebSocketClient.connect(url + "/people") { people in
                try await connected(3, url + "/broadcast") { sockets in
                    // Whoever is counted hears what is said from now on.
                    var count = ""
                    for try await message in people {
                        count = message.text ?? ""
                        if count == "3" { break }
                    }
                    try await sockets[0].send("hello")
                    for socket in sockets { try await #expect(take(1, from: socket) == [.text("hello")]) }
                    try await sockets[2].send(.binary([1, 2]))
                    for socket in sockets { try await #expect(take(1, from: socket) == [.binary([1, 2])]) }
                }
            }
        }
    }

    @Test func saysHowManyThereAre() async throws {
        try await serving { url, _ in
            try await WebSocketClient.connect(url + "/people") { people in
                try await #expect(take(1, from: people) == [.text("0")])
                try await WebSocketClient.connect(url + "/broadcast") { _ in
                    try await #expect(take(1, from: people) == [.text("1")])
                    try await WebSocketClient.connect(url + "/broadcast") { _ in
                        try await #expect(take(1, from: people) == [.text("2")])
                        try await WebSocketClient.connect(url + "/people") { late in
                            try await #expect(take(1, from: late) == [.text("2")])
                        }
                    }
                    try await #expect(take(1, from: people) == [.text("1")])
                }
                try await #expect(take(1, from: people) == [.text("0")])
            }
        }
    }
}
