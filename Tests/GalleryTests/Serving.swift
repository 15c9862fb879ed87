// A server with an exhibit, for as long as a test needs it.

import NIOCore
import Testing
import WebSockets

@testable import Gallery

/// Runs a server on a free port while the body runs.
func serving(_ server: WebSocketServer, _ body: (String) async throws -> Void) async throws {
    let task = Task { try await server.run() }
    defer { task.cancel() }
    let port = try #require(try await server.waitUntilListening().port)
    try await body("ws://127.0.0.1:\(port)")
}

/// Runs a server with an exhibit, and what that does by itself, while the body runs.
func serving(_ exhibit: any Exhibit, _ body: (String) async throws -> Void) async throws {
    let server = WebSocketServer(port: 0)
    exhibit.mount(on: server)
    let work = Task { await exhibit.run(on: server) }
    defer { work.cancel() }
    try await serving(server, body)
}

/// The next message that has this key; what comes before is of no interest.
func next(_ key: String, from socket: WebSocket) async throws -> String {
    for try await message in socket {
        if let text = message.text, text.hasPrefix("{\"\(key)\"") { return text }
    }
    return ""
}
