// A server with Engine.IO on a real port, and what its sessions saw.

import HTTPTypes
import Logging
import NIOConcurrencyHelpers
import NIOCore
import TestSupport
import Testing
import WebSocketCore
import WebSockets

@testable import EngineIO

/// What happened in the sessions of a server, in order, as text; and the sessions themselves.
final class Journal: Sendable {
    private let notes = Notes()
    private let kept = NIOLockedValueBox<[EngineIOSession]>([])

    var lines: [String] { notes.lines }
    var sessions: [EngineIOSession] { kept.withLockedValue { $0 } }

    func forget() { kept.withLockedValue { $0 = [] } }
    func add(_ session: EngineIOSession) { kept.withLockedValue { $0.append(session) } }
    func note(_ line: String) { notes.add(line) }

    /// Waits until so many lines are there, and gives them.
    @discardableResult
    func wait(_ count: Int) async -> [String] { await notes.wait(count) }
}

/// Notes all that happens, and sends back what comes.
final class EchoHandler: EngineIOHandler {
    let journal: Journal
    init(_ journal: Journal) { self.journal = journal }

    func opened(_ session: EngineIOSession) { journal.note("opened") }

    func received(_ message: Message, from session: EngineIOSession) {
        journal.note("received \(message.text ?? "\(Array(message.payload.readableBytesView))")")
        session.send(message)
    }

    func upgraded(_ session: EngineIOSession) { journal.note("upgraded") }
    func closed(_ session: EngineIOSession, _ closure: EngineIOClosure) { journal.note("closed: \(closure.reason)") }
}

/// A running server, and how to reach it.
struct EngineBench: Sendable {
    let port: Int
    let engine: EngineIOServer
    let journal: Journal
    let log: LogRecorder
    let path: String

    /// The session that was opened first.
    var session: EngineIOSession {
        get throws { try #require(journal.sessions.first) }
    }

    func query(_ more: String) -> String { "\(path)?EIO=4\(more)" }

    /// Opens a session on long-polling, and gives its id.
    func open(fields: String = "") async throws -> String {
        let response = try await get("&transport=polling", fields: fields)
        #expect(response.status == 200)
        return try sid(in: response.body)
    }

    func get(_ more: String, fields: String = "") async throws -> HTTPAnswer {
        try await HTTPAnswer.to("GET", query(more), port: port, fields: fields)
    }

    func poll(_ sid: String, fields: String = "") async throws -> HTTPAnswer {
        try await get("&transport=polling&sid=\(sid)", fields: fields)
    }

    func post(_ sid: String, _ body: String, fields: String = "") async throws -> HTTPAnswer {
        try await HTTPAnswer.to("POST", query("&transport=polling&sid=\(sid)"), port: port, fields: fields, body: body)
    }

    /// A WebSocket, of a new session or of one that is to be upgraded.
    func webSocket(_ sid: String? = nil) async throws -> TestSocket {
        try await TestSocket.open("ws://127.0.0.1:\(port)" + query("&transport=websocket" + (sid.map { "&sid=\($0)" } ?? "")))
    }
}

/// The id in an open packet.
func sid(in packet: String) throws -> String {
    let start = try #require(packet.firstRange(of: #""sid":""#)?.upperBound)
    return String(packet[start...].prefix { $0 != "\"" })
}

/// Runs a server on a free port while the body runs.
@discardableResult
func withEngine<R>(
    _ adjust: (inout EngineIOConfiguration) -> Void = { _ in },
    server adjustServer: (inout WebSocketServer.Configuration) -> Void = { _ in },
    handler: (@Sendable (Journal) -> any EngineIOHandler)? = nil, _ body: (EngineBench) async throws -> R
) async throws -> R {
    let (journal, log) = (Journal(), LogRecorder())
    var configuration = EngineIOConfiguration(logger: log.logger)
    adjust(&configuration)
    let engine = EngineIOServer(configuration: configuration) { session in
        journal.add(session)
        return handler?(journal) ?? EchoHandler(journal)
    }
    var serverConfiguration = WebSocketServer.Configuration(threads: 1, drainTimeout: .zero, logger: log.logger)
    serverConfiguration.transport = .underTest
    adjustServer(&serverConfiguration)
    let server = WebSocketServer(port: 0, configuration: serverConfiguration)
    server.mount(engine)
    server.http { _ in .text("elsewhere") }
    let run = Task { try await server.run() }
    let result: Result<R, any Error>
    do {
        let port = try await server.waitUntilListening().port ?? 0
        result = .success(try await body(EngineBench(port: port, engine: engine, journal: journal, log: log, path: configuration.path)))
    } catch {
        result = .failure(error)
    }
    run.cancel()
    _ = try? await run.value
    return try result.get()
}

/// Times of which a test need not wait for long, but which no machine is too slow for.
func hurried(_ configuration: inout EngineIOConfiguration) {
    configuration.pingInterval = .milliseconds(300)
    configuration.pingTimeout = .milliseconds(200)
}
