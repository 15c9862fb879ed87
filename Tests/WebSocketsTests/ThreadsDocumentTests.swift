// What Documentation/Threads.md says of where code runs; its examples stand here, too, so that they compile.

import NIOCore
import NIOPosix
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct ThreadsDocumentTests {
    private actor Counter {
        func isOn(_ thread: EventThread) -> Bool { thread.isCurrent }
    }

    @concurrent private static func concurrently(_ thread: EventThread) async -> Bool { thread.isCurrent }

    /// What runs on the connection's thread, and what does not.
    @Test func whatLeavesTheThread() async throws {
        let found = Box<[String: Bool]>([:])
        try await withServer(routes: { server in
            server.webSocket("/") { socket in
                let thread = socket.thread
                var isOn = ["the handler": thread.isCurrent]
                isOn["@concurrent"] = await Self.concurrently(thread)
                isOn["an actor"] = await Counter().isOn(thread)
                async let child = Self.concurrently(thread)
                isOn["async let"] = await child
                isOn["a task of its own"] = await Task { thread.isCurrent }.value
                isOn["another preference"] = await withTaskExecutorPreference(globalConcurrentExecutor) { thread.isCurrent }
                isOn["NIO's pool"] = try await NIOThreadPool.singleton.runIfActive { thread.isCurrent }
                isOn["afterwards"] = thread.isCurrent
                found.value = isOn
            }
        }) { port, _ in
            try await WebSocketClient.connect("ws://127.0.0.1:\(port)/", configuration: .patient) { socket in
                for try await _ in socket {}
            }
        }
        #expect(
            found.value == [
                "the handler": true, "@concurrent": true, "an actor": true, "async let": true, "a task of its own": false,
                "another preference": false, "NIO's pool": false, "afterwards": true,
            ])
    }

    @Test func theExamplesWork() async throws {
        try await withServer(routes: Self.addExamples) { port, _ in
            for (path, answer) in [("thumbnails", "tihsma"), ("callbacks", "tihsma"), ("reports", "a report"), ("lines/x", "x 1")] {
                try await WebSocketClient.connect("ws://127.0.0.1:\(port)/\(path)", configuration: .patient) { socket in
                    try await socket.send("amshit")
                    let first = try await socket.first { _ in true }
                    #expect(first.map { String(buffer: $0.payload) } == answer)
                }
            }
        }
    }

    private static func addExamples(to server: WebSocketServer) {
        server.webSocket("/thumbnails") { socket in
            for try await message in socket {
                let image = message.payload
                let small = await Task { shrink(image) }.value
                try await socket.send(.binary(small))
            }
        }
        server.webSocket("/reports") { socket in
            for try await _ in socket {
                let report = await withTaskExecutorPreference(globalConcurrentExecutor) { await makeReport() }
                try await socket.send(report)
            }
        }
        server.webSocket("/lines/{file}") { socket in
            let name = socket.parameters["file"] ?? ""
            let text = try await NIOThreadPool.singleton.runIfActive { try readFile(named: name) }
            for line in text.split(separator: "\n") { try await socket.send(String(line)) }
        }
        server.webSocket("/callbacks") { (_: WebSocket) in Thumbnails() }
    }
}

private struct Thumbnails: WebSocketHandler {
    func received(_ message: Message, from socket: WebSocket) {
        Task { socket.trySend(.binary(shrink(message.payload))) }
    }
}

private func shrink(_ image: ByteBuffer) -> ByteBuffer { ByteBuffer(bytes: image.readableBytesView.reversed()) }
private func makeReport() async -> String { "a report" }
private func readFile(named name: String) throws -> String { "\(name) 1\n\(name) 2" }
