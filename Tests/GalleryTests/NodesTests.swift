// What the tabs of two nodes hear of each other.

import NIOCore
import PubSub
import Synchronization
import Testing
import WebSockets

@testable import Gallery

@Suite(.timeLimit(.minutes(1))) struct NodesTests {
    private let cluster = InMemoryCluster()

    /// A node of the cluster. A minute of silence is nothing to it: no test depends on how fast this machine is.
    private func node(_ id: String) -> Nodes {
        Nodes(GalleryCluster(cluster.makeNode()) { "ready" }, id: id, interval: .seconds(60), tick: .milliseconds(20))
    }

    /// Another node's side of the cluster, by hand.
    private func stranger(_ heard: @escaping @Sendable (Publication) -> Void = { _ in }) -> InMemoryBackplane {
        let stranger = cluster.makeNode()
        stranger.start(receive: heard)
        stranger.subscribe(to: .topic(NodeNews.topic))
        return stranger
    }

    private func enter(_ name: String, _ socket: WebSocket) async throws -> String {
        try await socket.send("{\"enter\":{\"name\":\"\(name)\"}}")
        return try await next("history", from: socket)
    }

    /// The first table that has all of this, and nothing of that.
    private func table(_ parts: String..., without absent: String = "\u{0}", from socket: WebSocket) async throws -> String {
        while true {
            let table = try await next("nodes", from: socket)
            try #require(!table.isEmpty, "the connection has ended")
            if parts.allSatisfy(table.contains), !table.contains(absent) { return table }
        }
    }

    @Test func tabsOnTwoNodesTalk() async throws {
        try await serving(node("aaaaaaaa")) { a in
            try await serving(node("bbbbbbbb")) { b in
                try await WebSocketClient.connect(a + "/nodes/1") { ann in
                    try await WebSocketClient.connect(b + "/nodes/2") { ben in
                        for (name, socket) in [("Ann", ann), ("Ben", ben)] { try await #expect(enter(name, socket).contains("[]")) }
                        // Both know both, with their tabs.
                        _ = try await table("\"own\":\"aaaaaaaa\"", "\"redis\":\"ready\"", "[\"Ben\"]", from: ann)
                        _ = try await table("\"own\":\"bbbbbbbb\"", "[\"Ann\"]", from: ben)
                        for (socket, text, node) in [(ann, "from A", "aaaaaaaa"), (ben, "from B", "bbbbbbbb")] {
                            try await socket.send("{\"say\":{\"text\":\" \(text) \"}}")
                            for socket in [ann, ben] {
                                let said = try await next("said", from: socket)
                                #expect(said.contains("\"text\":\"\(text)\"") && said.contains("\"node\":\"\(node)\""))
                            }
                        }
                        // Who comes later is told.
                        try await WebSocketClient.connect(b + "/nodes/3") { late in
                            let history = try await enter("Eve", late)
                            #expect(history.contains("from A") && history.contains("from B"))
                            _ = try await table("[\"Ben\",\"Eve\"]", from: ann)
                        }
                        _ = try await table("[\"Ben\"]", from: ann)
                    }
                }
            }
        }
    }

    @Test func aNodeThatDrainsSaysSoAndNothingMore() async throws {
        let heard = Mutex<[NodeNews]>([])
        let (farewells, farewell) = AsyncStream<Void>.makeStream()
        let stranger = stranger { publication in
            guard let news = try? NodeNews(publication) else { return }
            heard.withLock { $0.append(news) }
            if news == .gone(id: "bbbbbbbb") { farewell.yield() }
        }
        defer { stranger.stop() }
        let leaving = node("bbbbbbbb")
        try await serving(node("aaaaaaaa")) { a in
            try await WebSocketClient.connect(a + "/nodes/1") { ann in
                _ = try await enter("Ann", ann)
                try await serving(leaving) { b in
                    try await WebSocketClient.connect(b + "/nodes/2") { ben in
                        _ = try await enter("Ben", ben)
                        _ = try await table("bbbbbbbb", "[\"Ben\"]", from: ann)
                        leaving.drain()
                        for await _ in farewells { break }
                        _ = try await table("aaaaaaaa", without: "bbbbbbbb", from: ann)
                        // What it goes on with is its own.
                        try await ben.send("{\"say\":{\"text\":\"alone\"}}")
                        try await #expect(next("said", from: ben).contains("alone"))
                    }
                }
            }
        }
        let after = heard.withLock { heard in heard.drop { $0 != .gone(id: "bbbbbbbb") }.dropFirst() }
        for news in after {
            switch news {
            case .here(let node): #expect(node.id != "bbbbbbbb")
            case .said, .gone: Issue.record("\(news) came after the farewell")
            }
        }
    }

    @Test func whatIsNoNewsIsDropped() async throws {
        let stranger = stranger()
        defer { stranger.stop() }
        try await serving(node("aaaaaaaa")) { a in
            try await WebSocketClient.connect(a + "/nodes/1") { ann in
                _ = try await enter("Ann", ann)
                for text in ["nonsense", "{\"said\":{}}", "{\"gone\":{\"id\":\"aaaaaaaa\"}}", String(repeating: "[", count: 9000)] {
                    stranger.publish(Publication(topic: NodeNews.topic, payload: ByteBuffer(string: text), isText: true))
                }
                var line = NodeNewsTests.line
                // Nobody else speaks as this node.
                (line.node, line.text) = ("aaaaaaaa", "made up")
                stranger.publish(NodeNews.said(line: line).publication)
                (line.node, line.text) = ("bbbbbbbb", "<img>")
                stranger.publish(NodeNews.said(line: line).publication)
                try await #expect(next("said", from: ann).contains("<img>"))
                _ = try await table("aaaaaaaa", "[\"Ann\"]", from: ann)
            }
        }
    }

    @Test func aNodeAloneSaysSoAndWorks() async throws {
        try await serving(Nodes(tick: .milliseconds(20))) { url in
            try await WebSocketClient.connect(url + "/nodes/1") { ann in
                try await WebSocketClient.connect(url + "/nodes/2") { ben in
                    _ = try await enter("Ann", ann)
                    _ = try await enter("Ben", ben)
                    let table = try await table("[\"Ann\",\"Ben\"]", "\"name\":\"\(url.dropFirst(5))\"", from: ann)
                    #expect(!table.contains("redis"))
                    try await ann.send("{\"say\":{\"text\":\"hello\"}}")
                    for socket in [ann, ben] { try await #expect(next("said", from: socket).contains("hello")) }
                }
            }
        }
    }

    @Test func saysWhatItDoesNotTake() async throws {
        try await serving(Nodes()) { url in
            try await WebSocketClient.connect(url + "/nodes/1") { ann in
                for (request, reason) in [
                    ("{\"say\":{\"text\":\"a\"}}", "Enter first."),
                    ("{\"enter\":{\"name\":\" \"}}", "A name must have 1 to 32 characters."),
                ] {
                    try await ann.send(request)
                    try await #expect(next("refused", from: ann).contains(reason))
                }
                _ = try await enter("Ann", ann)
                try await ann.send("{\"say\":{\"text\":\"\(String(repeating: "a", count: 501))\"}}")
                try await #expect(next("refused", from: ann).contains("A line must have 1 to 500 characters."))
                for _ in 0..<30 { try await ann.send("{\"say\":{\"text\":\"a\"}}") }
                try await #expect(next("refused", from: ann).contains("Too fast: 5 messages a second are taken."))
            }
        }
    }
}
