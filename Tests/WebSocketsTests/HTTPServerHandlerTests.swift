// The events and deadlines of a server's connection before it is a WebSocket.

import HTTPTypes
import Logging
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
            // A client that only ends its side may still read the answer.
            await client.channel.end(.reset)
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
        _ log: LogRecorder = LogRecorder(), _ route: Route? = nil, acceptedAt: NIODeadline? = nil, unsent: Box<Int>? = nil
    ) throws -> EmbeddedChannel {
        let channel = EmbeddedChannel()
        var configuration = WebSocketServer.Configuration.forTests(log: log)
        configuration.handshakeTimeout = .seconds(10)
        let core = ServerCore(configuration)
        if let route { core.add(route) }
        let thread = EventThread(eventLoop: channel.embeddedEventLoop, statistics: core.statistics)
        let handler = HTTPServerHandler(server: core, thread: thread, slot: ConnectionSlot(ConnectionSlots(core)), acceptedAt: acceptedAt)
        try handler.addTo(channel.pipeline.syncOperations)
        if let unsent {
            handler.unsentBytes = { _ in unsent.value }
            try channel.pipeline.syncOperations.addHandler(Dam(), position: .first)
        }
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
        #expect(channel.isActive && written(channel) == "")
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        let why = "the request's head did not arrive within 10.0 seconds (limit handshakeTimeout)"
        #expect(isRefused(written(channel), 408, why))
        #expect(log.shown.map(\.text) == ["refused: \(why)"])
        #expect(log.shown.first?.metadata["status"] == "408")
        // What comes later is no request.
        _ = try? channel.writeInbound(ByteBuffer(string: "x\r\n\r\n"))
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive && written(channel) == "")
    }

    /// All that the server has sent since this was last asked.
    private func written(_ channel: EmbeddedChannel) -> String {
        var text = ""
        while let bytes = (try? channel.readOutbound(as: ByteBuffer.self)).flatMap({ $0 }) { text += String(buffer: bytes) }
        return text
    }

    private func isRefused(_ answer: String, _ status: Int, _ why: String) -> Bool {
        answer.hasPrefix("HTTP/1.1 \(status) ") && answer.hasSuffix("\r\n\r\n\(why)\n") && field("Connection", in: answer) == "close"
            && field("Content-Length", in: answer) == "\(why.utf8.count + 1)"
    }

    @Test func aConnectionThatSaysNothingIsClosedWithoutAnAnswer_H15() throws {
        let log = LogRecorder()
        let channel = try connection(log)
        channel.embeddedEventLoop.advanceTime(by: .seconds(10))
        #expect(!channel.isActive && written(channel) == "")
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

    private static let slowBody =
        "the body arrived too slowly: under 1000 bytes per second for 20.0 seconds (limits bodyTimeout, minTransferRate)"

    private func post(_ channel: EmbeddedChannel, _ length: Int) throws {
        try channel.writeInbound(ByteBuffer(string: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(length)\r\n\r\n"))
    }

    @Test func aBodyByteNowAndThenKeepsNothingOpen_H15() throws {
        let log = LogRecorder()
        let channel = try connection(log)
        try post(channel, 1000)
        for _ in 0..<20 {
            #expect(channel.isActive && log.shown.isEmpty)
            try channel.writeInbound(ByteBuffer(string: "x"))
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        }
        #expect(isRefused(written(channel), 408, Self.slowBody))
        #expect(log.shown.map(\.text) == ["refused: \(Self.slowBody)"])
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive)
    }

    /// A phone with 320 kbit/s, and one with 9,600 bit/s: neither is at fault.
    @Test(arguments: [40_000, 1200]) func aSlowUploadArrives(_ rate: Int) throws {
        let log = LogRecorder()
        let channel = try connection(log)
        let seconds = 120
        // The limit of a body is 1 MiB.
        let rate = min(rate, (1 << 20) / seconds)
        try post(channel, rate * seconds)
        for _ in 0..<seconds {
            #expect(channel.isActive && written(channel) == "")
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
            try channel.writeInbound(ByteBuffer(repeating: 0x78, count: rate))
        }
        channel.embeddedEventLoop.run()
        #expect(written(channel).hasPrefix("HTTP/1.1 404 ") && log.shown.isEmpty)
    }

    @Test func aBodyThatStopsIsRefusedHoweverMuchHasCome() throws {
        let log = LogRecorder()
        let channel = try connection(log)
        try post(channel, 1_000_000)
        try channel.writeInbound(ByteBuffer(repeating: 0x78, count: 900_000))
        channel.embeddedEventLoop.advanceTime(by: .seconds(39))
        #expect(log.shown.isEmpty)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(isRefused(written(channel), 408, Self.slowBody))
    }

    @Test func anIdleConnectionIsClosedWithoutALogLine() throws {
        let log = LogRecorder()
        let channel = try connection(log)
        try channel.writeInbound(ByteBuffer(string: Self.get))
        channel.embeddedEventLoop.run()
        #expect(written(channel).hasPrefix("HTTP/1.1 404 "))
        channel.embeddedEventLoop.advanceTime(by: .seconds(64))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive && written(channel) == "")
        #expect(log.shown.isEmpty)
    }

    /// A balancer sends a request into a connection that has been idle for its 60 s; from its first byte on, the head's deadline counts.
    @Test func theHeadsDeadlineOfALaterRequestBeginsWithItsFirstByte_H15() throws {
        let log = LogRecorder()
        let channel = try connection(log)
        for _ in 0..<3 {
            try channel.writeInbound(ByteBuffer(string: Self.get))
            channel.embeddedEventLoop.run()
            #expect(written(channel).hasPrefix("HTTP/1.1 404 "))
            channel.embeddedEventLoop.advanceTime(by: .seconds(60))
        }
        for byte in Self.get.utf8.prefix(10) {
            try channel.writeInbound(ByteBuffer(bytes: [byte]))
            #expect(channel.isActive && written(channel) == "")
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        }
        #expect(written(channel).hasPrefix("HTTP/1.1 408 "))
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive)
    }

    @Test func aDecisionThatTakesTooLongIsCutOff() throws {
        let log = LogRecorder()
        let (release, released) = AsyncStream<Void>.makeStream()
        let route = Route("/") { _ in
            for await _ in release { break }
            return .reject(.text("late"))
        }
        let channel = try connection(log, route)
        try channel.writeInbound(ByteBuffer(string: RawClient.handshake("/")))
        channel.embeddedEventLoop.advanceTime(by: .seconds(9))
        #expect(channel.isActive && log.shown.isEmpty)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        let why = "the server did not decide about the handshake within 10.0 seconds (limit handshakeTimeout)"
        #expect(isRefused(written(channel), 503, why))
        #expect(log.shown.map(\.text) == ["refused: \(why)"])
        // What it decides after all concerns nobody.
        released.yield()
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive && written(channel) == "")
    }

    private static let slowResponse =
        "the response was read too slowly: under 1000 bytes per second for 30.0 seconds (limits responseTimeout, minTransferRate)"

    /// As a whole, a response may take any time.
    @Test func aResponseMayTakeAnyTimeWhileItGoesOn() throws {
        let log = LogRecorder()
        let unsent = Box(1_000_000)
        let channel = try connection(log, unsent: unsent)
        try channel.writeInbound(ByteBuffer(string: Self.get))
        channel.embeddedEventLoop.run()
        for _ in 0..<20 {
            unsent.value -= 30_000
            channel.embeddedEventLoop.advanceTime(by: .seconds(30))
            #expect(channel.isActive && log.shown.isEmpty)
        }
        // One byte too few.
        unsent.value -= 29_999
        channel.embeddedEventLoop.advanceTime(by: .seconds(30))
        #expect(!channel.isActive)
        #expect(log.shown.map(\.text) == ["refused: \(Self.slowResponse)"])
    }

    @Test func aResponseThatNobodyReadsIsCutOff() async throws {
        let log = LogRecorder()
        var configuration = WebSocketServer.Configuration.forTests(log: log)
        configuration.responseTimeout = .milliseconds(50)
        configuration.minTransferRate = 0
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
        let why = "the response was read too slowly: under 0 bytes per second for 0.05 seconds (limits responseTimeout, minTransferRate)"
        #expect(log.shown.map(\.text) == ["refused: \(why)"])
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

/// Keeps what is written, and never says that it has left.
private final class Dam: ChannelOutboundHandler {
    typealias OutboundIn = Never
    private var promises: [EventLoopPromise<Void>] = []

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if let promise { promises.append(promise) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        for promise in promises { promise.fail(ChannelError.ioOnClosedChannel) }
    }
}
