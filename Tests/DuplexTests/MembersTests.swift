// That the crowd's process is started with what it needs, and ends.

import ArgumentParser
import Testing
import WebSockets

@testable import duplex

@Suite(.timeLimit(.minutes(1))) struct MembersTests {
    @Test func takesItsArguments() throws {
        let members = try #require(
            try Duplex.parseAsRoot(["members", "ws://a/chat", "--count", "10000", "--seconds", "600"]) as? Members)
        #expect((members.url, members.count, members.seconds, members.room) == ("ws://a/chat", 10_000, 600, "lobby"))
    }

    @Test(arguments: [
        ["--count", "0"], ["--count", "10001"], [], ["--count", "1", "--seconds", "0"], ["--count", "1", "--seconds", "601"],
    ])
    func isBounded(_ arguments: [String]) {
        #expect(throws: (any Error).self) { try Duplex.parseAsRoot(["members", "ws://a/chat"] + arguments) }
    }

    @Test func isNobodysBusiness() {
        #expect(!Duplex.helpMessage().contains("members"))
    }

    @Test func whatTheySayIsWhatTheChatTakes() {
        for number in 0..<100 { #expect((1...32).contains(Phrases.name(number).count)) }
        #expect(Phrases.message().text?.hasPrefix("{\"say\":{\"text\":\"") == true)
    }
}
