// Who hears what in the chat.

import Testing
import WebSockets

@testable import Gallery

@Suite(.timeLimit(.minutes(1))) struct ChatTests {
    private func chatting(_ body: (String) async throws -> Void) async throws {
        try await serving(Chat(), body)
    }

    private func join(_ room: String, as name: String, _ socket: WebSocket) async throws -> String {
        try await socket.send("{\"join\":{\"room\":\"\(room)\",\"name\":\"\(name)\"}}")
        return try await next("joined", from: socket)
    }

    @Test func aRoomHearsItsOwnAndLatecomersGetTheHistory() async throws {
        try await chatting { url in
            try await WebSocketClient.connect(url + "/chat/1") { ann in
                try await WebSocketClient.connect(url + "/chat/2") { ben in
                    try await WebSocketClient.connect(url + "/chat/3") { eve in
                        try await #expect(join("tea", as: "Ann", ann).contains("\"history\":[]"))
                        _ = try await join("tea", as: "Ben", ben)
                        _ = try await join("other", as: "Eve", eve)
                        try await ann.send("{\"say\":{\"text\":\" hello \"}}")
                        for socket in [ann, ben] {
                            let said = try await next("said", from: socket)
                            for part in ["\"text\":\"hello\"", "\"name\":\"Ann\"", "\"user\":\"1\"", "\"number\":0"] {
                                #expect(said.contains(part))
                            }
                        }
                        // Eve comes over: what was said is history, and what comes next has the next number.
                        try await #expect(join("tea", as: "Eve", eve).contains("\"text\":\"hello\""))
                        try await eve.send("{\"say\":{\"text\":\"me too\"}}")
                        for socket in [ann, ben, eve] { try await #expect(next("said", from: socket).contains("\"number\":1")) }
                    }
                }
            }
        }
    }

    @Test func tellsWhoIsHere() async throws {
        try await chatting { url in
            try await WebSocketClient.connect(url + "/chat/1") { ann in
                _ = try await join("tea", as: "Ann", ann)
                try await #expect(next("here", from: ann).contains("\"count\":1"))
                try await WebSocketClient.connect(url + "/chat/2") { ben in
                    _ = try await join("tea", as: "Ben", ben)
                    let here = try await next("here", from: ann)
                    #expect(here.contains("\"count\":2") && here.contains("[\"Ann\",\"Ben\"]"))
                }
                try await #expect(next("here", from: ann).contains("\"count\":1"))
            }
        }
    }

    @Test func typingIsForTheOthers() async throws {
        try await chatting { url in
            try await WebSocketClient.connect(url + "/chat/1") { ann in
                try await WebSocketClient.connect(url + "/chat/2") { ben in
                    _ = try await join("tea", as: "Ann", ann)
                    _ = try await join("tea", as: "Ben", ben)
                    try await ann.send("{\"typing\":{}}")
                    try await #expect(next("typing", from: ben).contains("\"name\":\"Ann\""))
                    try await ben.send("{\"typing\":{}}")
                    try await #expect(next("typing", from: ann).contains("\"name\":\"Ben\""), "not one's own")
                }
            }
        }
    }

    @Test func saysWhatItDoesNotTake() async throws {
        try await chatting { url in
            try await WebSocketClient.connect(url + "/chat/1") { ann in
                for (request, reason) in [
                    ("{\"say\":{\"text\":\"a\"}}", "Join a room first."),
                    ("{\"typing\":{}}", "Join a room first."),
                    ("{\"join\":{\"room\":\"\",\"name\":\"Ann\"}}", "A room's name must have 1 to 32 characters."),
                    ("{\"join\":{\"room\":\"tea\",\"name\":\" \"}}", "A name must have 1 to 32 characters."),
                ] {
                    try await ann.send(request)
                    try await #expect(next("refused", from: ann).contains(reason))
                }
                _ = try await join("tea", as: "Ann", ann)
                try await ann.send("{\"say\":{\"text\":\"\(String(repeating: "a", count: 501))\"}}")
                try await #expect(next("refused", from: ann).contains("A message must have 1 to 500 characters."))
            }
        }
    }
}
