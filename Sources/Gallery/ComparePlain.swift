// What plain HTTP is the better choice for: what a cache can keep, and what is asked once. The same over a WebSocket, to compare.

import HTTPTypes
import WebSocketCore
import WebSocketDeflate
import WebSockets

struct ComparePlain {
    private let compare: Compare
    init(_ compare: Compare) { self.compare = compare }

    /// Some 10 KB that do not change.
    private static let page = GalleryFiles.text("gallery.css")
    private static let answer = "{\"symbol\":\"DPX\",\"price\":101.25}"

    func mount(on server: WebSocketServer) {
        compare.answer("page", .pages, on: server) { _, _ in
            var response = ServerResponse.text(Self.page)
            // Whoever has it need not ask again for an hour.
            response.head.headerFields[.cacheControl] = "private, max-age=3600"
            return response
        }
        compare.answer("question", .questions, on: server) { _, _ in
            var response = ServerResponse.json(Self.answer)
            response.head.headerFields[.cacheControl] = "no-store"
            return response
        }
        serve("socket-pages", .socketPages, Self.page, on: server)
        serve("socket-questions", .socketQuestions, Self.answer, on: server)
    }

    private func serve(_ path: String, _ method: CompareRun.Method, _ answer: String, on server: WebSocketServer) {
        let compare = compare
        // Without compression, as the answers over HTTP are.
        server.webSocket("/compare/{run}/\(path)", upgrade: { _ in .accept((), compression: .off) }) { (socket: WebSocket, _: Void) in
            guard compare.run(socket.run)?.begin(method, .socket(socket)) == true else {
                return try socket.close(code: .policyViolation, reason: "no such comparison, or too many of its connections")
            }
            for try await _ in socket {
                guard compare.allows(socket.run) else { return try socket.close(code: .policyViolation, reason: "too fast") }
                try await socket.send(answer)
            }
        }
    }
}

extension WebSocket {
    /// Whose comparison it belongs to.
    var run: String { (parameters["run"] ?? "").cut(to: 64) }
}
