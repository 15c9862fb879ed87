// A connection's bytes on a NIO channel.

import MetricsTestKit
import NIOCore
import NIOEmbedded
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct NIOTransportTests {
    @Test func passesWhatArrivesAndWritesOnceARead() throws {
        let bench = try ChannelBench(ClosureHandler(whenReceived: { message, socket in socket.trySend(message) }))
        let frames = WireFrame.text("a").encoded(masked: true) + WireFrame.text("b").encoded(masked: true)
        try bench.channel.writeInbound(ByteBuffer(bytes: frames))
        bench.channel.embeddedEventLoop.run()
        let written = try bench.channel.readOutbound(as: ByteBuffer.self)
        #expect(written.map { Array($0.readableBytesView) } == [0x81, 1, 0x61, 0x81, 1, 0x62])
        #expect(try bench.channel.readOutbound(as: ByteBuffer.self) == nil)
    }

    @Test func stopsReadingAndGoesOn() throws {
        let bench = try ChannelBench(ClosureHandler())
        bench.transport.pauseReading()
        #expect(bench.autoRead == false)
        bench.transport.resumeReading()
        #expect(bench.autoRead == true)
    }

    @Test func goesOnWhenTheChannelTakesMore() throws {
        let bench = try ChannelBench(ClosureHandler())
        bench.channel.isWritable = false
        bench.channel.pipeline.fireChannelWritabilityChanged()
        bench.socket.trySend(.text("waits"))
        bench.channel.embeddedEventLoop.run()
        #expect(try bench.channel.readOutbound(as: ByteBuffer.self) == nil)
        bench.channel.isWritable = true
        bench.channel.pipeline.fireChannelWritabilityChanged()
        bench.channel.embeddedEventLoop.run()
        #expect(try bench.channel.readOutbound(as: ByteBuffer.self)?.readableBytes == 7)
    }

    @Test func aSmallHighWaterMarkIsTheChannelsToo() throws {
        var configuration = ConnectionConfiguration.quiet
        configuration.sendHighWaterMark = 1000
        let marks = try ChannelBench(ClosureHandler(), configuration).waterMarks
        #expect(marks?.low == 500 && marks?.high == 1000)
        #expect(try ChannelBench(ClosureHandler()).waterMarks == nil)
    }

    @Test func theEndOfTheChannelIsTheEndOfTheConnection() throws {
        let closures = Box<[Closure]>([])
        let bench = try ChannelBench(ClosureHandler(whenClosed: { closure in closures.change { $0.append(closure) } }))
        try bench.channel.close().wait()
        #expect(closures.value == [Closure(code: .abnormalClosure, initiator: .remote, isClean: false)])
        #expect(bench.socket.readyState == .closed)
    }

    @Test func anErrorClosesTheChannelAndIsTheCause() throws {
        struct Broken: Error {}
        let bench = try ChannelBench(ClosureHandler())
        bench.channel.pipeline.fireErrorCaught(Broken())
        #expect(!bench.channel.isActive)
        #expect((bench.socket.closeCause as? NetworkError)?.underlying is Broken)
    }

    @Test func terminateClosesTheChannel() throws {
        let bench = try ChannelBench(ClosureHandler())
        bench.socket.terminate()
        bench.channel.embeddedEventLoop.run()
        #expect(!bench.channel.isActive)
        #expect(bench.socket.readyState == .closed)
    }

    @Test func closesOnceAllIsWritten() throws {
        let bench = try ChannelBench(ClosureHandler())
        try bench.channel.writeInbound(ByteBuffer(bytes: WireFrame.close(1000).encoded(masked: true)))
        bench.channel.embeddedEventLoop.run()
        #expect(try bench.channel.readOutbound(as: ByteBuffer.self).map { Array($0.readableBytesView) } == [0x88, 2, 0x03, 0xE8])
        bench.channel.embeddedEventLoop.run()
        #expect(!bench.channel.isActive)
    }

    @Test func endsItsSideAfterAFaultAndReadsOn() throws {
        let bench = try ChannelBench(ClosureHandler())
        try bench.channel.writeInbound(ByteBuffer(bytes: [0xC1, 0x80]))
        bench.channel.embeddedEventLoop.run()
        #expect(bench.watcher.outputCloses == 1)
        #expect(bench.channel.isActive)
    }

    @Test func endsItsSideOnceHoweverOftenItIsAsked() throws {
        let bench = try ChannelBench(ClosureHandler())
        for _ in 0..<2 { bench.transport.finishSending() }
        bench.channel.embeddedEventLoop.run()
        #expect(bench.watcher.outputCloses == 1)
    }

    /// Closing drops what has not reached the system.
    @Test func closesNotBeforeTheSystemHasAll() throws {
        let bench = try ChannelBench(ClosureHandler())
        bench.watcher.holdsWrites = true
        bench.transport.closeAfterFlush()
        bench.channel.embeddedEventLoop.run()
        #expect(bench.channel.isActive)
        bench.watcher.letWritesGo()
        bench.channel.embeddedEventLoop.run()
        #expect(!bench.channel.isActive)
    }

    /// While the pipeline is rebuilt, the news of the end is held back; the end comes all the same.
    @Test func leavingThePipelineIsTheEndOfTheConnection() throws {
        let bench = try ChannelBench(ClosureHandler())
        bench.gate.close()
        try bench.channel.close().wait()
        bench.channel.embeddedEventLoop.run()
        #expect(bench.socket.readyState == .closed)
    }

    @Test func saysHowMuchWaitsWhileTheChannelTakesNoMore() throws {
        let bench = try ChannelBench(ClosureHandler())
        bench.transport.write(.shared(ByteBuffer(repeating: 1, count: 7)))
        #expect(bench.transport.bufferedBytes == 0)
        bench.channel.isWritable = false
        bench.channel.pipeline.fireChannelWritabilityChanged()
        #expect(bench.transport.bufferedBytes == 7)
    }

    // MARK: Before anybody is there

    /// Who awaits messages comes later: what a server says at once must find its reader.
    @Test func holdsWhatArrivesUntilReadingBegins() throws {
        let seen = Box<[String]>([])
        let handler = ClosureHandler(whenReceived: { message, _ in seen.change { $0.append(message.text ?? "") } })
        let bench = try ChannelBench(handler, holdsReading: true)
        #expect(bench.autoRead == false)
        for text in ["a", "b"] { try bench.channel.writeInbound(ByteBuffer(bytes: WireFrame.text(text).encoded(masked: true))) }
        #expect(seen.value == [])
        // What is held lies in buffers of the channel's own.
        #expect(!bench.sharesReadBuffer)
        bench.transport.resumeReading()
        #expect(seen.value == ["a", "b"])
        #expect(bench.autoRead == true)
        #expect(bench.sharesReadBuffer)
        try bench.channel.writeInbound(ByteBuffer(bytes: WireFrame.text("c").encoded(masked: true)))
        #expect(seen.value == ["a", "b", "c"])
    }

    @Test func handsOnWhatItHoldsBeforeTheEnd() throws {
        let seen = Box<[String]>([])
        let handler = ClosureHandler(
            whenReceived: { message, _ in seen.change { $0.append(message.text ?? "") } },
            whenClosed: { _ in seen.change { $0.append("closed") } })
        let bench = try ChannelBench(handler, holdsReading: true)
        try bench.channel.writeInbound(ByteBuffer(bytes: WireFrame.text("a").encoded(masked: true)))
        try bench.channel.close().wait()
        #expect(seen.value == ["a", "closed"])
    }

    @Test func readsNoMoreWhereWhatItHeldIsTooMuch() throws {
        var configuration = ConnectionConfiguration.quiet
        configuration.maxUnreadBytes = 1000
        let inbox = Inbox(limit: configuration.maxUnreadBytes)
        let bench = try ChannelBench(AsyncHandler { _ in }, configuration, inbox: inbox, holdsReading: true)
        try bench.channel.writeInbound(ByteBuffer(bytes: WireFrame.binary([UInt8](repeating: 1, count: 5000)).encoded(masked: true)))
        bench.transport.resumeReading()
        #expect(inbox.isPaused)
        #expect(bench.autoRead == false)
    }

    // MARK: On real sockets

    /// With marks below the channel's own, nothing but the channel's news of room wakes whoever waits to send.
    @Test(arguments: [1, 1000, 30_000, 262_144]) func senderGoesOnWhateverTheHighWaterMark(mark: Int) async throws {
        var configuration = WebSocketServer.Configuration(connection: .quiet, threads: 1, transport: .underTest)
        configuration.connection.sendHighWaterMark = mark
        let server = WebSocketServer(port: 0, configuration: configuration)
        let payload = [UInt8](repeating: 5, count: 20_000)
        let count = 300
        server.webSocket("/") { socket in
            for _ in 0..<count { try await socket.send(.binary(payload)) }
        }
        let running = Task { try await server.run() }
        defer { running.cancel() }
        let client = try await LazyClient.connect(try await server.waitUntilListening())
        try await client.upgrade("/")
        let bytes = try await client.read(count * (payload.count + 4) + 4)
        let frames = try WireFrame.all(in: bytes)
        #expect(frames == [WireFrame](repeating: .binary(payload), count: count) + [.close(1000)])
        try? await client.channel.close()
    }
}

/// A transport in an embedded channel.
private final class ChannelBench {
    let channel = EmbeddedChannel()
    let socket: WebSocket
    let transport: NIOTransport
    let watcher = Watcher()
    let gate = EndGate()

    init(
        _ handler: any WebSocketHandler, _ configuration: ConnectionConfiguration = .quiet, inbox: Inbox? = nil, holdsReading: Bool = false
    ) throws {
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        let thread = EventThread(eventLoop: channel.eventLoop, statistics: Statistics(role: .server, factory: TestMetrics()))
        socket = WebSocket(.test, role: .server, configuration: configuration, thread: thread, inbox: inbox)
        transport = NIOTransport(socket: socket, handler: handler, holdsReading: holdsReading)
        try channel.pipeline.syncOperations.addHandlers(gate, watcher)
        try channel.pipeline.syncOperations.addHandler(transport)
    }

    /// What the option was last set to.
    var autoRead: Bool? {
        channel.options.last { $0.option is ChannelOptions.Types.AutoReadOption }?.value as? Bool
    }

    var sharesReadBuffer: Bool { channel.options.contains { $0.value is SharedReadAllocator } }

    var waterMarks: ChannelOptions.Types.WriteBufferWaterMark? {
        channel.options.last { $0.option is ChannelOptions.Types.WriteBufferWaterMarkOption }?.value
            as? ChannelOptions.Types.WriteBufferWaterMark
    }

    deinit { _ = try? channel.finish(acceptAlreadyClosed: true) }
}

/// Counts what the transport asks of the channel.
private final class Watcher: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    var outputCloses = 0
    var holdsWrites = false
    private var held: [EventLoopPromise<Void>] = []

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard holdsWrites else { return context.write(data, promise: promise) }
        if let promise { held.append(promise) }
    }

    func letWritesGo() {
        for promise in held { promise.succeed() }
        held = []
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode == .output { outputCloses += 1 } else { context.close(mode: mode, promise: promise) }
    }
}
