// Who hears what on /broadcast and /people, and what the query of /pubsub means.

import HTTPTypes
import NIOCore
import PubSub
import TestSupport
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

    // MARK: The query of /pubsub

    private func topics(_ query: String) throws -> TopicsHandler {
        try TopicsHandler(ServerRequest(head: HTTPRequest(method: .get, scheme: "http", authority: "a", path: "/pubsub" + query)))
    }

    @Test func aQueryNamesTopicsAndPatterns() throws {
        let handler = try topics("?topics=a,b/c,d%2Ce&patterns=f/%23,%2B/g+h&publish=%C3%BC+%2B&topics=i")
        #expect(handler.topics == ["a", "b/c", "d,e", "i"])
        #expect(handler.patterns.map(\.description) == ["f/#", "+/g h"])
        #expect(handler.target == "ü +")
    }

    /// Nothing of a query is left out without a word.
    @Test(arguments: [
        "", "?", "?topics=a%09b", "?topics=a&patterns=%zz", "?topics=%", "?topics=%4", "?publish=%ff", "?topics=", "?topics", "?topics=a,",
        "?topics=,a", "?topics=a,,b", "?topics=a&publish=", "?publish=a&publish=b", "?topic=a", "?topics=a&x=", "?topics=a&%zz=b",
        "?TOPICS=a", "?patterns=a/+", "?patterns=+/a", "?patterns=a,+", "?patterns=a%23", "?topics=%00a", "?topics=a%7F",
    ]) func aQueryThatIsNotUnderstoodIsRefused(query: String) async throws {
        let error = #expect(throws: TopicError.self) { try topics(query) }
        #expect(error?.description.isEmpty == false)
        try await serving { url, _ in
            let refused = await #expect(throws: HandshakeRefused.self) {
                try await WebSocketClient.connect(url + "/pubsub" + query) { _ in }
            }
            #expect(refused?.response.status == .badRequest)
            #expect(refused.map { String(buffer: $0.body) } == error.map { "\($0)\n" })
        }
    }

    /// Random names, percent-encoded at random, arrive as they were; or, with a character that no name has, the query is refused.
    @Test func randomQueriesArriveWholeOrAreRefused() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        let alphabet = Array("ab/,&=%+# ü\u{10348}".unicodeScalars) + ["\t", "\u{7F}", "\0"]
        for _ in 0..<500 {
            var names: [String] = []
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                var name = String.UnicodeScalarView()
                // The last ones are rare, or hardly a query would be taken.
                for _ in 0..<Int.random(in: 0...5, using: &random) {
                    name.append(
                        alphabet[Int.random(in: 0..<(Int.random(in: 0..<20, using: &random) == 0 ? alphabet.count : 12), using: &random)])
                }
                names.append(String(name))
            }
            let query = "?topics=" + names.map { encoded($0, &random) }.joined(separator: Bool.random(using: &random) ? "," : "&topics=")
            let isAllowed = names.allSatisfy { !$0.isEmpty && !$0.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F } }
            let found = try? topics(query).topics
            #expect(found == (isAllowed ? names : nil), "seed \(seed), query \(query)")
        }
    }

    private func encoded(_ name: String, _ random: inout SeededGenerator) -> String {
        name.utf8.map { byte in
            let isPlain = (0x61...0x7A).contains(byte) || byte == 0x2F
            if byte == 0x20, Bool.random(using: &random) { return "+" }
            if isPlain, Bool.random(using: &random) { return String(UnicodeScalar(byte)) }
            return (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: Bool.random(using: &random))
        }.joined()
    }

    // MARK: Broadcast

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
