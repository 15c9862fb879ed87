// What a page is told of messages that can not be taken.

import NIOCore
import TestSupport
import Testing
import WebSocketCore
import WebSockets

@testable import Gallery

@Suite(.timeLimit(.minutes(1))) struct ConversationTests {
    private enum Request: Decodable, Equatable { case say(text: String), typing }

    @Test func readsWhatItKnows() throws {
        #expect(try Message.text("{\"say\":{\"text\":\"hé\"}}").decoded(as: Request.self, atMost: 100) == .say(text: "hé"))
        #expect(try Message.text("{\"typing\":{}}").decoded(as: Request.self, atMost: 100) == .typing)
    }

    @Test(arguments: [
        "", "x", "[]", "null", "7", "{}", "{\"say\":{}}", "{\"say\":{\"text\":7}}", "{\"shout\":{}}",
        "{\"say\":{\"text\":\"a\"},\"typing\":{}}",
        String(repeating: "[", count: 4000),
    ])
    func refusesWhatItDoesNotKnow(_ text: String) {
        let error = #expect(throws: Refusal.self) { try Message.text(text).decoded(as: Request.self, atMost: 4096) }
        #expect(error?.reason.hasPrefix("Not understood") == true)
    }

    @Test func refusesBinaryAndWhatIsTooLarge() {
        let binary = #expect(throws: Refusal.self) { try Message.binary([1]).decoded(as: Request.self, atMost: 100) }
        #expect(binary?.reason.hasPrefix("A binary message") == true)
        let large = #expect(throws: Refusal.self) {
            try Message.text(String(repeating: " ", count: 101)).decoded(as: Request.self, atMost: 100)
        }
        #expect(large?.reason == "Too large: 101 bytes; at most 100 are taken.")
    }

    @Test func checksWhatIsTyped() throws {
        #expect(try " \n a b \t".checked("A name", 1...3) == "a b")
        #expect(try "".checked("A name", 0...3) == "")
        for bad in ["", "   ", "abcd"] {
            let error = #expect(throws: Refusal.self) { try bad.checked("A name", 1...3) }
            #expect(error?.reason == "A name must have 1 to 3 characters.")
        }
        for unseen in ["\u{200B}", "\u{2067}\u{2069}", "\u{7}"] {
            let error = #expect(throws: Refusal.self) { try unseen.checked("A name", 1...3) }
            #expect(error?.reason == "A name must have something to be seen.")
        }
        // One character to the eye may be many; what is counted is what is stored.
        #expect(throws: Refusal.self) { try "e\u{301}\u{301}\u{301}".checked("A name", 1...3) }
    }

    @Test func anIDIsCutByWhatItHolds() {
        let long = "e" + String(repeating: "\u{301}", count: 9000)
        #expect(long.count == 1)
        #expect(long.cut(to: 64).utf8.count == 1 + 63 * 2)
    }

    @Test func tellsWhoIsTooFastAndCutsOffWhoGoesOn() async throws {
        let limits = RateLimits(perSecond: 0.001, burst: 2)
        let server = WebSocketServer(port: 0)
        server.webSocket("/{user}") { socket in
            try await socket.converse(Request.self, within: limits) { _ in try await socket.send("taken") }
        }
        try await serving(server) { url in
            let closure = try await WebSocketClient.connect(url + "/ann") { socket -> Closure? in
                for _ in 0..<102 { try await socket.send("{\"typing\":{}}") }
                var answers: [String] = []
                do {
                    for try await message in socket { answers.append(message.text ?? "") }
                    return nil
                } catch let closed as ConnectionClosed {
                    #expect(answers.prefix(2) == ["taken", "taken"])
                    #expect(answers.dropFirst(2).count == 99)
                    #expect(answers.last == "{\"refused\":{\"reason\":\"Too fast: 0 messages a second are taken.\"}}")
                    return closed.closure
                }
            }
            #expect(closure?.code == .policyViolation)
        }
    }
}
