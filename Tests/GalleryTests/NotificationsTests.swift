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
                        for socket in [ben, again] { #expect(try await next("notice", from: socket).contains("\"from\":\"Ann\"")) }
                        #expect(try await next("sent", from: ann).contains("\"tabs\":2"))
                        try await again.send("{\"acknowledge\":{\"id\":1}}")
                        for socket in [ann, ben, again] { #expect(try await next("acknowledged", from: socket).contains("\"id\":1")) }
                        try await ben.send("{\"acknowledge\":{\"id\":1}}")
                        #expect(try await next("refused", from: ben).contains("No such notice"))
                    }
                }
            }
        }
    }

    @Test func itWaitsForWhoIsNotThere() async throws {
        try await serving(Notifications()) { url in
            try await WebSocketClient.connect(url + "/notifications/Ann") { ann in
                try await ann.send(notice(to: "Ben", "later"))
                #expect(try await next("sent", from: ann).contains("\"tabs\":0"))
            }
            try await WebSocketClient.connect(url + "/notifications/Ben") { ben in
                #expect(try await next("inbox", from: ben).contains("\"text\":\"later\""))
            }
            try await WebSocketClient.connect(url + "/notifications/Eve") { eve in
                #expect(try await next("inbox", from: eve).contains("\"notices\":[]"))
                try await eve.send("{\"acknowledge\":{\"id\":1}}")
                #expect(try await next("refused", from: eve).contains("No such notice"), "it is not hers")
            }
        }
    }

    @Test func namesAreNoPatternsAndHaveALength() async throws {
        try await serving(Notifications()) { url in
            try await WebSocketClient.connect(url + "/notifications/%23") { odd in
                #expect(try await next("inbox", from: odd).contains("\"user\":\"#\""))
                try await WebSocketClient.connect(url + "/notifications/Ann") { ann in
                    try await ann.send(notice(to: "Ben"))
                    _ = try await next("sent", from: ann)
                    try await ann.send(notice(to: "#", "for the odd one"))
                    #expect(try await next("notice", from: odd).contains("for the odd one"), "and nothing before it")
                    try await ann.send(notice(to: ""))
                    #expect(try await next("refused", from: ann).contains("A name must have 1 to 32 characters."))
                }
            }
            try await WebSocketClient.connect(url + "/notifications/%20") { nobody in
                #expect(try await next("refused", from: nobody).contains("A name must have"))
                #expect(try await next("anything", from: nobody).isEmpty, "the connection ends")
            }
        }
    }
}
