// What several threads say to a connection, in the order in which it was said: Mailbox.swift.

import Foundation
import NIOConcurrencyHelpers
import PubSub
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct OrderAcrossThreadsTests {
    /// The server's side of each connection: sends back what comes, and holds the thread up when told so.
    private struct Keeper: WebSocketHandler {
        let kept: NIOLockedValueBox<[WebSocket]>
        let isHeldUp: AsyncStream<Void>.Continuation
        let release: DispatchSemaphore

        func opened(_ socket: WebSocket) { kept.withLockedValue { $0.append(socket) } }

        func received(_ message: Message, from socket: WebSocket) {
            guard message.text == "hold" else { return _ = socket.trySend(message) }
            isHeldUp.yield()
            release.wait()
        }
    }

    private struct Feed: WebSocketHandler {
        let feed: AsyncStream<String>.Continuation
        func received(_ message: Message, from socket: WebSocket) { feed.yield(message.text ?? "binary") }
        func closed(_ socket: WebSocket, _ closure: Closure) { feed.finish() }
    }

    /// A server with one thread, which its clients can hold up.
    private final class Thread {
        let server: WebSocketServer
        private let url: String
        private let kept: NIOLockedValueBox<[WebSocket]>
        private var isHeldUp: AsyncStream<Void>.AsyncIterator
        private let release: DispatchSemaphore

        static func run(_ body: (Thread) async throws -> Void) async throws {
            let kept = NIOLockedValueBox<[WebSocket]>([])
            let (isHeldUp, holding) = AsyncStream<Void>.makeStream()
            let release = DispatchSemaphore(value: 0)
            var configuration = WebSocketServer.Configuration.forTests()
            configuration.threads = 1
            let keeper = Keeper(kept: kept, isHeldUp: holding, release: release)
            try await withServer(configuration, routes: { $0.webSocket("/") { (_: WebSocket) in keeper } }) { port, server in
                defer { for _ in 0..<10 { release.signal() } }
                try await body(Thread(server, "ws://127.0.0.1:\(port)/", kept, isHeldUp.makeAsyncIterator(), release))
            }
        }

        private init(
            _ server: WebSocketServer, _ url: String, _ kept: NIOLockedValueBox<[WebSocket]>, _ isHeldUp: AsyncStream<Void>.AsyncIterator,
            _ release: DispatchSemaphore
        ) { (self.server, self.url, self.kept, self.isHeldUp, self.release) = (server, url, kept, isHeldUp, release) }

        /// A client, what it hears, and the server's side of its connection.
        func connect() async throws -> (client: WebSocket, heard: AsyncStream<String>.AsyncIterator, connection: WebSocket) {
            let (messages, feed) = AsyncStream<String>.makeStream()
            let client = try await WebSocketClient.connect(url) { _ in Feed(feed: feed) }
            var heard = messages.makeAsyncIterator()
            client.trySend(.text("here"))
            #expect(await heard.next(isolation: #isolation) == "here")
            return (client, heard, try #require(kept.withLockedValue { $0.last }))
        }

        /// Waits until a client that has said "hold" holds the thread up.
        func waitUntilHeldUp() async { _ = await isHeldUp.next(isolation: #isolation) }

        func goOn() { release.signal() }
    }

    /// Says something, and waits until the system has it: the server's thread finds it at its next look.
    private func say(_ text: String, _ client: WebSocket) async throws {
        client.trySend(.text(text))
        while client.bufferedAmount > 0 { try await Task.sleep(for: .milliseconds(1)) }
    }

    @Test func whatIsSaidBeforeAMessageIsSaidBeforeItsAnswer() async throws {
        try await Thread.run { thread in
            let (first, second) = (try await thread.connect(), try await thread.connect())
            var (client, heard, connection) = try await thread.connect()
            let group = WebSocketGroup()
            group.add(connection)
            // The thread finds two connections ready; while it is with the one, something is said to the other, by its peer last.
            try await say("hold", first.client)
            await thread.waitUntilHeldUp()
            try await say("hold", second.client)
            try await say("early", client)
            thread.goOn()
            await thread.waitUntilHeldUp()
            group.send(PreparedMessage(.text("to the group")))
            connection.trySend(.text("to the connection"))
            try await say("answer", client)
            thread.goOn()
            var all: [String] = []
            while all.last != "answer" { all.append(try #require(await heard.next(isolation: #isolation))) }
            #expect(all.filter { $0 != "early" } == ["to the group", "to the connection", "answer"])
            for client in [first.client, second.client, client] { client.close() }
        }
    }

    @Test func publishedAndSentKeepTheirOrder() async throws {
        try await Thread.run { thread in
            var (client, heard, connection) = try await thread.connect()
            try connection.subscribe("news")
            try await say("hold", client)
            await thread.waitUntilHeldUp()
            for number in 0..<3 {
                thread.server.publish(.text("published \(number)"), to: "news")
                connection.trySend(.text("sent \(number)"))
            }
            thread.goOn()
            for expected in (0..<3).flatMap({ ["published \($0)", "sent \($0)"] }) {
                #expect(await heard.next(isolation: #isolation) == expected)
            }
            client.close()
        }
    }
}
