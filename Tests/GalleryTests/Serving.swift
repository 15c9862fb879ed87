// A server with routes, for as long as a test needs it.

import NIOCore
import Testing
import WebSockets

/// Runs a server on a free port while the body runs.
func serving(_ server: WebSocketServer, _ body: (String) async throws -> Void) async throws {
    let task = Task { try await server.run() }
    defer { task.cancel() }
    let port = try #require(try await server.waitUntilListening().port)
    try await body("ws://127.0.0.1:\(port)")
}

/// The next message that has this key; what comes before is of no interest.
func next(_ key: String, from socket: WebSocket) async throws -> String {
    for try await message in socket {
        if let text = message.text, text.hasPrefix("{\"\(key)\"") { return text }
    }
    return ""
}
