// A server with Socket.IO on a real port, and clients that send and see every packet.

import EngineIO
import Foundation
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import TestSupport
import Testing
import WebSocketCore
import WebSockets

@testable import SocketIO

/// Lets tasks wait until a test goes on.
final class Gate: Sendable {
    private let notes = Notes()

    func open() { notes.add("open") }
    func pass() async { await notes.wait(1) }
}

/// A client on a WebSocket, packet by packet, without the `4` that makes it a message of Engine.IO; used by one task.
final class TestClient {
    private struct Handler: WebSocketHandler {
        let feed: AsyncStream<String>.Continuation
        let answersHeartbeats: Bool

        func received(_ message: Message, from socket: WebSocket) {
            // Engine.IO's heartbeat, which a test on a busy machine may live to see.
            if answersHeartbeats && message.text == "2" { return _ = socket.trySend(.text("3")) }
            feed.yield(message.text.map { String($0.dropFirst()) } ?? "\(Array(message.payload.readableBytesView))")
        }
        func closed(_ socket: WebSocket, _ closure: Closure) {
            feed.yield("closed")
            feed.finish()
        }
    }

    let socket: WebSocket
    private var messages: AsyncStream<String>.AsyncIterator
    /// The id that the last `join` got, and what it needs to come back.
    private(set) var id = ""
    private(set) var privateID = ""

    private init(_ socket: WebSocket, _ messages: AsyncStream<String>) {
        self.socket = socket
        self.messages = messages.makeAsyncIterator()
    }

    static func open(port: Int, answersHeartbeats: Bool = true) async throws -> TestClient {
        let (messages, feed) = AsyncStream<String>.makeStream()
        let socket = try await WebSocketClient.connect("ws://127.0.0.1:\(port)/socket.io/?EIO=4&transport=websocket") { _ in
            Handler(feed: feed, answersHeartbeats: answersHeartbeats)
        }
        let client = TestClient(socket, messages)
        let opened = try #require(await client.next())
        #expect(opened.hasPrefix(#"{"sid":""#))
        return client
    }

    /// The next packet, an attachment as its bytes; `closed` at the end.
    func next() async -> String? { await messages.next(isolation: #isolation) }

    func send(_ packets: String...) { for packet in packets { socket.trySend(.text("4" + packet)) } }
    func send(binary bytes: [UInt8]) { socket.trySend(.binary(bytes)) }
    func close() { socket.close() }

    /// Joins a namespace; notes the ids in the answer.
    func join(_ namespace: String = "/", auth: String = "") async throws {
        let prefix = namespace == "/" ? "0" : "0\(namespace),"
        send(prefix + auth)
        let answer = try #require(await next())
        #expect(answer.hasPrefix(prefix + #"{"sid":""#))
        try note(answer)
    }

    /// Takes the ids out of the answer to a CONNECT.
    func note(_ answer: String) throws {
        let start = try #require(answer.firstIndex(of: "{"))
        let object = try #require(try JSONSerialization.jsonObject(with: Data(answer[start...].utf8)) as? [String: String])
        id = try #require(object["sid"])
        privateID = object["pid"] ?? ""
        #expect(id.utf8.count == 20)
    }

    /// Sends an event to which there is an answer, and expects that nothing has come before the answer.
    func expectSilence(_ location: SourceLocation = #_sourceLocation) async {
        send(#"2999["echo","silence"]"#)
        #expect(await next() == #"3999["silence"]"#, sourceLocation: location)
    }
}

/// A running server, and how to reach it.
struct SocketIOBench: Sendable {
    let port: Int
    let io: SocketIOServer
    let notes: Notes
    let log: LogRecorder

    /// A client; one that does not answer heartbeats by itself gets them as empty packets.
    func open(answersHeartbeats: Bool = true) async throws -> TestClient {
        try await TestClient.open(port: port, answersHeartbeats: answersHeartbeats)
    }

    /// A client that has joined.
    func join(_ namespace: String = "/", auth: String = "") async throws -> TestClient {
        let client = try await open()
        try await client.join(namespace, auth: auth)
        return client
    }

    /// The server's socket of a client.
    func socket(_ client: TestClient, _ namespace: String = "/") throws -> SocketIOSocket {
        try #require(io.of(namespace).socket(client.id))
    }

    /// The body of the answer to a request of long-polling.
    func request(_ method: String, _ query: String, body: String = "") async throws -> String {
        let text =
            "\(method) /socket.io/?EIO=4&transport=polling\(query) HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        let answer = try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: text))
            var answer = ""
            for try await piece in inbound { answer += String(buffer: piece) }
            return answer
        }
        let end = try #require(answer.firstRange(of: "\r\n\r\n")?.upperBound)
        return String(answer[end...])
    }
}

/// Keeps what is logged at the usual level.
final class LogRecorder: Sendable {
    private struct Handler: LogHandler {
        let recorder: LogRecorder
        var logLevel = Logger.Level.info
        var metadata: Logger.Metadata = [:]

        init(_ recorder: LogRecorder) { self.recorder = recorder }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { recorder.kept.withLockedValue { $0.append(event.message.description) } }
    }

    private let kept = NIOLockedValueBox<[String]>([])

    var logger: Logger { Logger(label: "test", factory: { _ in Handler(self) }) }
    var lines: [String] { kept.withLockedValue { $0 } }
}

/// Runs a server on a port, a free one if it is 0, while the body runs.
///
/// Besides what `prepare` adds, its main namespace answers `echo` with the arguments.
func withSocketIO<R>(
    port: Int = 0, _ adjust: (inout SocketIOConfiguration) -> Void = { _ in }, prepare: (SocketIOServer, Notes) -> Void = { _, _ in },
    _ body: (SocketIOBench) async throws -> R
) async throws -> R {
    let (notes, log) = (Notes(), LogRecorder())
    var configuration = SocketIOConfiguration(engine: EngineIOConfiguration(logger: log.logger), logger: log.logger)
    adjust(&configuration)
    let io = SocketIOServer(configuration: configuration)
    io.main.on("echo") { (_: SocketIOSocket, event: SocketIOEvent) in event.acknowledge(with: Array(event.arguments)) }
    prepare(io, notes)
    let server = WebSocketServer(
        port: port, configuration: WebSocketServer.Configuration(threads: 1, drainTimeout: .zero, logger: log.logger))
    server.mount(io)
    let run = Task { try await server.run() }
    let result: Result<R, any Error>
    do {
        let port = try await server.waitUntilListening().port ?? 0
        result = .success(try await body(SocketIOBench(port: port, io: io, notes: notes, log: log)))
    } catch {
        result = .failure(error)
    }
    run.cancel()
    _ = try? await run.value
    return try result.get()
}
