// The same events by short polling, long polling, Server-Sent Events and WebSocket, each counted at the server's end of its connections.

import HTTPTypes
import PubSub
import Synchronization
import WebSocketCore
import WebSockets

final class Compare: Exhibit {
    enum Request: Decodable { case set(rate: Double), clock(sent: Double) }
    enum Event: Encodable {
        /// The answer to `clock`: what the page sent, and the server's time, in milliseconds.
        case clock(sent: Double, time: Double)
        case counts(report: CompareRun.Report)
    }

    private let runs = Mutex<[String: CompareRun]>([:])
    private let limits = RateLimits(perSecond: 50, burst: 100)
    /// A poll a millisecond, by a few of one page's clients.
    private let polls = RateLimits(perSecond: 5000, burst: 5000)

    func mount(on server: WebSocketServer) {
        answer("polling", .polling, on: server) { run, request in run.response(run.log.piece(after: request.after), .polling) }
        // The answer waits until there is something to say.
        answer("long-polling", .longPolling, on: server) { run, request in
            run.response(await run.log.next(after: request.after), .longPolling)
        }
        // One answer that never ends (WHATWG HTML §9.2).
        answer("events", .serverSentEvents, on: server) { run, request in
            .stream(headerFields: [.contentType: "text/event-stream", .cacheControl: "no-store"]) { stream in
                var last = request.after ?? run.log.last
                while let piece = await run.log.next(after: last) {
                    last = piece.last
                    run.delivered(piece.events.count, by: .serverSentEvents)
                    try await stream.write(piece.events.map { "data: \($0)\n\n" }.joined())
                }
            }
        }
        server.webSocket("/compare/{run}/websocket") { [self] socket in
            guard let run = run(socket.run), run.begin(.webSocket, .socket(socket)) else {
                return try socket.close(code: .policyViolation, reason: "no such comparison, or too many of its connections")
            }
            try socket.subscribe("compare/\(socket.run)")
            for try await _ in socket { return try socket.close(code: .policyViolation, reason: "only the server speaks here") }
        }
        server.webSocket("/compare/{run}/control") { [self, weak server] socket in
            if let server { try await control(socket, server) }
        }
        ComparePlain(self).mount(on: server)
        CompareWire.mount(on: server)
    }

    /// Answers a method's requests.
    func answer(
        _ path: String, _ method: CompareRun.Method, on server: WebSocketServer,
        _ body: @escaping @concurrent @Sendable (CompareRun, ServerRequest) async -> ServerResponse
    ) {
        server.http("/compare/{run}/\(path)") { [self] request in
            guard request.head.method == .get else { return .text("Only GET is understood here.\n", status: .methodNotAllowed) }
            let name = request.parameters["run"] ?? ""
            guard let run = run(name) else { return .text("There is no such comparison, or it has ended.\n", status: .notFound) }
            if request.after == nil, request.hasQuery("after") { return .text("after is the last event's number.\n", status: .badRequest) }
            guard allows(name), let traffic = request.traffic, run.begin(method, .request(traffic)) else {
                return .text("Too many requests.\n", status: .tooManyRequests)
            }
            return await body(run, request)
        }
    }

    /// Whether a comparison may ask for one thing more.
    func allows(_ name: String) -> Bool { polls.allows(name, at: .now) }

    func run(_ name: String) -> CompareRun? { runs.withLock { $0[name] } }

    /// A comparison lasts as long as this connection of its page.
    private func control(_ socket: WebSocket, _ server: WebSocketServer) async throws {
        let name = socket.run
        guard name.utf8.count <= 64 else { return try socket.close(code: .policyViolation, reason: "a name has 64 bytes at most") }
        let run = CompareRun { json in server.publish(.text(json), to: "compare/\(name)") }
        let isTaken = runs.withLock { runs in
            guard runs[name] == nil, runs.count < 100 else { return true }
            runs[name] = run
            return false
        }
        guard !isTaken else { return try socket.close(code: .policyViolation, reason: "this comparison runs already, or 100 others do") }
        try socket.subscribe("compare/\(name)/wire")
        let events = Task { await run.makeEvents() }
        let reports = Task { [self] in
            while (try? await Task.sleep(for: .milliseconds(250))) != nil {
                socket.trySend(.json(Event.counts(report: run.report(others: runs.withLock { $0.count - 1 }))))
            }
        }
        defer {
            events.cancel()
            reports.cancel()
            run.log.end()
            runs.withLock { $0[name] = nil }
        }
        try await socket.converse(Request.self, within: limits) { request in
            switch request {
            case .clock(let sent): socket.trySend(.json(Event.clock(sent: sent, time: CompareRun.now)))
            case .set(let rate): try run.setRate(rate)
            }
        }
    }
}
