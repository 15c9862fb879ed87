// Who gets a notice, and when it is gone.

import Testing
import WebSockets

@testable import Gallery

@Suite(.timeLimit(.minutes(1))) struct NotificationsTests {
    private func notice(to: String, _ text: String = "hello") -> String {
        "{\"notify\":{\"to\":\"\(to)\",\"text\":\"\(text)\",\"isUrgent\":false}}"
    }

    @Test func allTabsOfOneUserGetItAndLoseIt() async throws {
        try await serving(Notifications()) { url in
            try await WebSocketClient.connect(url + "/notifications/Ann") { ann in
                try await WebSocketClient.connect(url + "/notifications/Ben") { ben in
                    try await WebSocketClient.connect(url + "/notifications/Ben") { again in
                        for socket in [ann, ben, again] { _ = try await next("inbox", from: socket) }
                        try await ann.send(notice(to: "Ben"))
                        for socket in [ben, again] { try await #expect(next("notice", from: socket).contains("\"from\":\"Ann\"")) }
                        try await #expect(next("sent", from: ann).contains("\"tabs\":2"))
                        try await again.send("{\"acknowledge\":{\"id\":1}}")
                        for socket in [ann, ben, again] { try await #expect(next("acknowledged", from: socket).contains("\"id\":1")) }
                        try await ben.send("{\"acknowledge\":{\"id\":1}}")
                        try await #expect(next("refused", from: ben).contains("No such notice"))
                    }
                }
            }
        }
    }

    @Test func itWaitsForWhoIsNotThere() async throws {
        try await serving(Notifications()) { url in
            try await WebSocketClient.connect(url + "/notifications/Ann") { ann in
                try await ann.send(notice(to: "Ben", "later"))
                try await #expect(next("sent", from: ann).contains("\"tabs\":0"))
            }
            try await WebSocketClient.connect(url + "/notifications/Ben") { ben in
                try await #expect(next("inbox", from: ben).contains("\"text\":\"later\""))
            }
            try await WebSocketClient.connect(url + "/notifications/Eve") { eve in
                try await #expect(next("inbox", from: eve).contains("\"notices\":[]"))
                try await eve.send("{\"acknowledge\":{\"id\":1}}")
                try await #expect(next("refused", from: eve).contains("No such notice"), "it is not hers")
            }
        }
    }

    @Test func namesAreNoPatternsAndHaveALength() async throws {
        try await serving(Notifications()) { url in
            try await WebSocketClient.connect(url + "/notifications/%23") { odd in
                try await #expect(next("inbox", from: odd).contains("\"user\":\"#\""))
                try await WebSocketClient.connect(url + "/notifications/Ann") { ann in
                    try await ann.send(notice(to: "Ben"))
                    _ = try await next("sent", from: ann)
                    try await ann.send(notice(to: "#", "for the odd one"))
                    try await #expect(next("notice", from: odd).contains("for the odd one"), "and nothing before it")
                    try await ann.send(notice(to: ""))
                    try await #expect(next("refused", from: ann).contains("A name must have 1 to 32 characters."))
                }
            }
            try await WebSocketClient.connect(url + "/notifications/%20") { nobody in
                try await #expect(next("refused", from: nobody).contains("A name must have"))
                try await #expect(next("anything", from: nobody).isEmpty, "the connection ends")
            }
        }
    }
}
