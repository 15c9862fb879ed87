// The events and deadlines of a server's connection before it is a WebSocket.

import HTTPTypes
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Synchronization
import Testing

@testable import WebSockets

@Suite(.serialized, .timeLimit(.minutes(1))) struct HTTPServerHandlerTests {
    static let get = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"

    // MARK: The channel

    @Test(arguments: ["nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}"])
    func answers400ToWhatIsNotHTTP(_ bytes: String) async throws {
        try await #expect(answer(bytes).hasPrefix("HTTP/1.1 400 "))
    }

    @Test func cancelsTheAnswerOfAConnectionThatIsGone() async throws {
        let (begun, begin) = AsyncStream<Void>.makeStream()
        let (ended, end) = AsyncStream<Bool>.makeStream()
        try await withServer(routes: { server in
            server.http { _ in
                begin.yield()
                // Only the cancellation of this task ends the wait.
                let (never, keep) = AsyncStream<Void>.makeStream()
                for await _ in never {}
                withExtendedLifetime(keep) { _ = end.yield(Task.isCancelled) }
                return .text("late")
            }
        }) { port, _ in
            let client = try await RawClient.connect(port: port)
            try await client.send(Self.get)
            for await _ in begun { break }
            await client.close()
            for await wasCancelled in ended {
                #expect(wasCancelled)
                break
            }
        }
    }

    /// Should NIO's parser ever judge otherwise than `ServerHandshake` what an upgrade is, it passes on parts of a request.
    @Test func whatIsReadAsHTTPBehindAHandshakeClosesTheConnection() throws {
        let log = LogRecorder()
        let channel = try connection(
            log, Route("/") { _ in .accept({ _ in TestEcho() }, usesInbox: false, subprotocol: nil, headerFields: [:], compression: nil) })
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(Intruder(), position: .before(pipeline.handler(type: HTTPServerHandler.self)))
        try channel.writeInbound(ByteBuffer(string: RawClient.handshake("/") + "behind"))
        channel.embeddedEventLoop.run()
        #expect(!channel.isActive)
        #expect(log.shown.map(\.text) == ["refused: what follows the handshake was read as HTTP"])
    }

    /// A client that has its answer is on every list that the handler puts it on.
    @Test func theHandlerIsToldBeforeTheClient() throws {
        let channels = Mutex<EmbeddedChannel?>(nil)
        let seen = Mutex<[String?]>([])
        let sent = { @Sendable () -> String? in
            (try? channels.withLock { $0 }?.readOutbound(as: ByteBuffer.self)).flatMap { $0 }.map { String(buffer: $0) }
        }
        let channel = try connection(
            .init(),
            Route("/") { _ in
                .accept(
                    { _ in ClosureHandler(whenOpened: { _ in seen.withLock { $0.append(sent()) } }) }, usesInbox: false, subprotocol: nil,
                    headerFields: [:], compression: nil)
            })
        channels.withLock { $0 = channel }
        try channel.writeInbound(ByteBuffer(string: RawClient.handshake("/")))
        channel.embeddedEventLoop.run()
        #expect(seen.withLock { $0 } == [nil])
        #expect(sent()?.hasPrefix("HTTP/1.1 101 Switching Protocols\r\n") == true)
    }

    // MARK: Deadlines, on a clock of the test's own

    /// A connection of a server whose time only the test moves.
    private func connection(
        _ log: LogRecorder = LogRecorder(), _ route: Route? = nil, acceptedAt: NIODeadline? = nil
    ) throws -> EmbeddedChannel {
        let channel = EmbeddedChannel()
        var configuration = WebSocketServer.Configuration.forTests(log: log)
        configuration.handshakeTimeout = .seconds(10)
        let core = ServerCore(configuration)
        if let route { core.add(route) }
        let thread = EventThread(eventLoop: channel.embeddedEventLoop, statistics: core.statistics)
        let handler = HTTPServerHandler(server: core, thread: thread, slot: ConnectionSlot(ConnectionSlots(core)), acceptedAt: acceptedAt)
        try handler.addTo(channel.pipeline.syncOperations)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        return channel
    }

    @Test func aByteNowAndThenKeepsNothingOpen_H15() throws {
        let log = LogRecorder()
        let channel = try connection(log)
        try channel.writeInbound(ByteBuffer(string: "GET / HTTP/1.1\r\nX: "))
        for _ in 0..<9 {
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
            try channel.writeInbound(ByteBuffer(string: "x"))
        }
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive)
        #expect(log.shown.map(\.text) == ["refused: no request arrived in time (limit handshakeTimeout)"])
    }

    /// The reactor may have had the connection before.
    @Test func theTimeCountsFromWhenTheConnectionWasAccepted_H15() throws {
        let channel = try connection(acceptedAt: .uptimeNanoseconds(0) - .seconds(0))
        channel.embeddedEventLoop.advanceTime(by: .seconds(9))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive)
    }

    @Test func aBodyByteNowAndThenKeepsNothingOpen_H15() throws {
        let log = LogRecorder()
        let channel = try connection(log)
        try channel.writeInbound(ByteBuffer(string: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"))
        for _ in 0..<10 {
            #expect(channel.isActive)
            try channel.writeInbound(ByteBuffer(string: "x"))
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        }
        #expect(!channel.isActive)
        #expect(log.shown.map(\.text) == ["refused: the request did not arrive in time (limit handshakeTimeout)"])
    }

    @Test func anIdleConnectionIsClosedWithoutALogLine() throws {
        let log = LogRecorder()
        let channel = try connection(log)
        try channel.writeInbound(ByteBuffer(string: Self.get))
        channel.embeddedEventLoop.run()
        #expect(try channel.readOutbound(as: ByteBuffer.self).map { String(buffer: $0) }?.hasPrefix("HTTP/1.1 404 ") == true)
        channel.embeddedEventLoop.advanceTime(by: .seconds(9))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive)
        #expect(log.shown.isEmpty)
    }

    @Test func aDecisionThatTakesTooLongIsCutOff() throws {
        let log = LogRecorder()
        let route = Route("/") { _ in
            let (never, keep) = AsyncStream<Void>.makeStream()
            for await _ in never {}
            return withExtendedLifetime(keep) { .reject(.text("late")) }
        }
        let channel = try connection(log, route)
        try channel.writeInbound(ByteBuffer(string: RawClient.handshake("/")))
        channel.embeddedEventLoop.advanceTime(by: .seconds(9))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive)
        #expect(log.shown.map(\.text) == ["refused: the decision took too long (limit handshakeTimeout)"])
    }

    @Test func aResponseThatNobodyReadsIsCutOff() async throws {
        let log = LogRecorder()
        var configuration = WebSocketServer.Configuration.forTests(log: log)
        configuration.responseTimeout = .milliseconds(50)
        try await withServer(
            configuration,
            routes: { server in
                server.http { _ in ServerResponse(.ok, body: ByteBuffer(repeating: 0, count: 64 << 20)) }
            }
        ) { port, _ in
            let client = try await RawClient.connect(port: port, reads: false)
            try await client.send(Self.get)
            // It reads only once the server has given up, and then finds less than all.
            while log.shown.isEmpty { await Task.yield() }
            try await client.readOn()
            #expect(await client.readToEnd().count < 64 << 20)
        }
        #expect(log.shown.map(\.text) == ["refused: the response was not read in time (limit responseTimeout)"])
    }
}

/// Passes on another request in the place of what follows the first one's head and end.
private final class Intruder: ChannelInboundHandler {
    typealias InboundIn = NIOAny
    typealias InboundOut = HTTPServerRequestPart
    private var reads = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        reads += 1
        let intrusion = HTTPServerRequestPart.head(.init(version: .http1_1, method: .GET, uri: "/"))
        context.fireChannelRead(reads == 3 ? wrapInboundOut(intrusion) : data)
    }
}
