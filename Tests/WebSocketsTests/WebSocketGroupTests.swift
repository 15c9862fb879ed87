// Connections that are told the same: WebSocketGroup.swift.

import NIOConcurrencyHelpers
import PubSub
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct WebSocketGroupTests {
    /// A client, and what it hears; used by one task.
    private final class Client {
        private struct Handler: WebSocketHandler {
            let feed: AsyncStream<String>.Continuation
            func received(_ message: Message, from socket: WebSocket) { feed.yield(message.text ?? "binary") }
            func closed(_ socket: WebSocket, _ closure: Closure) { feed.finish() }
        }

        let socket: WebSocket
        private var messages: AsyncStream<String>.AsyncIterator

        init(_ url: String) async throws {
            let (messages, feed) = AsyncStream<String>.makeStream()
            socket = try await WebSocketClient.connect(url) { _ in Handler(feed: feed) }
            self.messages = messages.makeAsyncIterator()
        }

        func next() async -> String? { await messages.next(isolation: #isolation) }
    }

    /// The server's side: keeps its connections, and sends back what comes.
    private struct Keeper: WebSocketHandler {
        let kept: NIOLockedValueBox<[WebSocket]>
        func opened(_ socket: WebSocket) { kept.withLockedValue { $0.append(socket) } }
        func received(_ message: Message, from socket: WebSocket) { socket.trySend(message) }
    }

    /// Clients of a server, and the server's sides of their connections in the same order.
    private func withClients(_ count: Int, _ body: ([Client], [WebSocket]) async throws -> Void) async throws {
        let kept = NIOLockedValueBox<[WebSocket]>([])
        try await withServer(routes: { $0.webSocket("/") { (_: WebSocket) in Keeper(kept: kept) } }) { port, _ in
            var clients: [Client] = []
            for _ in 0..<count {
                let client = try await Client("ws://127.0.0.1:\(port)/")
                client.socket.trySend(.text("here"))
                #expect(await client.next() == "here")
                clients.append(client)
            }
            try await body(clients, kept.withLockedValue { $0 })
            for client in clients { client.socket.close() }
        }
    }

    @Test func tellsItsMembersAndNobodyElse() async throws {
        try await withClients(4) { clients, sockets in
            let (group, other) = (WebSocketGroup(), WebSocketGroup())
            for socket in sockets[..<3] { group.add(socket) }
            other.add(sockets[3])
            group.add(sockets[0])
            group.remove(sockets[2])
            group.send(PreparedMessage(.text("one")))
            group.send(PreparedMessage(.text("two")), except: sockets[0])
            other.send(PreparedMessage(.text("three")))
            for (client, expected) in zip(clients, [["one"], ["one", "two"], [], ["three"]]) {
                client.socket.trySend(.text("end"))
                for text in expected + ["end"] { #expect(await client.next() == text) }
            }
        }
    }

    @Test func aGroupIsNoTopicOfTheProgram() async throws {
        try await withClients(1) { _, sockets in
            let group = WebSocketGroup()
            group.add(sockets[0])
            #expect(sockets[0].subscriptions.isEmpty)
            #expect(throws: UsageError(.reservedTopic)) { try sockets[0].subscribe("\0 1") }
        }
        #expect(TopicFilter.topic("\0 1").isGroup && !TopicFilter.topic("a").isGroup && !TopicFilter.topic("").isGroup)
    }

    // What is said in a Socket.IO room must not reach whoever may subscribe to patterns.
    @Test(arguments: ["#", "+"]) func noPatternTakesIt(pattern: String) async throws {
        try await withClients(2) { clients, sockets in
            let group = WebSocketGroup()
            group.add(sockets[0])
            try sockets[1].subscribe(matching: TopicPattern(pattern))
            group.send(PreparedMessage(.text("secret")))
            for client in clients { client.socket.trySend(.text("end")) }
            #expect(await clients[0].next() == "secret")
            #expect(await clients[1].next() == "end")
        }
    }

    @Test func itSpansServers() async throws {
        try await withClients(1) { clients, sockets in
            try await withClients(1) { others, moreSockets in
                let group = WebSocketGroup()
                group.add(sockets[0])
                group.add(moreSockets[0])
                group.send(PreparedMessage(.text("all")))
                #expect(await clients[0].next() == "all")
                #expect(await others[0].next() == "all")
            }
        }
    }

    @Test func whoHasGoneIsNoMemberAnyMore() async throws {
        try await withClients(2) { clients, sockets in
            let group = WebSocketGroup()
            for socket in sockets { group.add(socket) }
            clients[0].socket.close()
            #expect(await clients[0].next() == nil)
            #expect(sockets[0].trySend(.text("too late")) == .dropped)
            group.send(PreparedMessage(.text("who is left")))
            #expect(await clients[1].next() == "who is left")
        }
    }
}
