// A WebSocket client whose messages a test takes one by one.

import HTTPTypes
import NIOCore
import Testing
import WebSocketCore
import WebSockets

/// A WebSocket to a server under test; used by one task.
final class TestSocket {
    private struct Handler: WebSocketHandler {
        let feed: AsyncStream<String>.Continuation
        func received(_ message: Message, from socket: WebSocket) {
            feed.yield(message.text ?? "\(Array(message.payload.readableBytesView))")
        }
        func closed(_ socket: WebSocket, _ closure: Closure) {
            feed.yield("closed \(closure.code.rawValue)")
            feed.finish()
        }
    }

    let socket: WebSocket
    private var messages: AsyncStream<String>.AsyncIterator

    private init(_ socket: WebSocket, _ messages: AsyncStream<String>) {
        self.socket = socket
        self.messages = messages.makeAsyncIterator()
    }

    static func open(_ url: String, headers: HTTPFields = [:]) async throws -> TestSocket {
        let (messages, feed) = AsyncStream<String>.makeStream()
        var configuration = WebSocketClient.Configuration(timeout: .seconds(60))
        configuration.headers = headers
        let socket = try await WebSocketClient.connect(url, configuration: configuration) { _ in Handler(feed: feed) }
        return TestSocket(socket, messages)
    }

    /// The next message, binary as its bytes; `closed` and the code at the end.
    func next() async -> String? { await messages.next(isolation: #isolation) }

    func send(_ text: String...) { for text in text { socket.trySend(.text(text)) } }
    func send(binary bytes: [UInt8]) { socket.trySend(.binary(bytes)) }
    func close() { socket.close() }
}
