// What handlers that leave the pipeline pass on, and how connections are closed whose peer may end its side alone.

import HTTPTypes
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Synchronization
import TestSupport
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.serialized, .timeLimit(.minutes(2))) struct EndGateTests {
    private static let head = Array(RawClient.handshake().utf8)
    private static let frames = [WireFrame.text("hi"), .binary([0xFF]), .close(1000)]
    private static let bytes = head + frames.flatMap { $0.encoded(masked: true) }

    // MARK: In memory

    /// What a handler that leaves passes on is of any type, in any state of the connection.
    @Test(arguments: ["", "GET / HTTP/1.1\r\nX: ", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx", RawClient.handshake()])
    func nothingThatIsPassedOnTraps(_ before: String) throws {
        for data in [NIOAny(ByteBuffer(string: "x")), NIOAny(IOData.byteBuffer(ByteBuffer())), NIOAny(1)] {
            let end = try ServerEnd()
            try end.inject(Injector(data))
            try end.channel.writeInbound(ByteBuffer(string: before))
            // The second one comes when the connection has been given up.
            for _ in 0..<2 { end.channel.pipeline.fireUserInboundEventTriggered(Injector.Event()) }
            end.channel.embeddedEventLoop.run()
            end.finish()
            #expect(end.core.isIdle)
        }
    }

    /// A client that only listens is not kept for ever: whether it has left altogether is not seen before it is written to.
    @Test func anAnswerToOneThatOnlyListensHasADeadline() throws {
        let log = LogRecorder()
        let end = try ServerEnd(log)
        // Only the cancellation of this task ends the wait.
        end.core.responder = { _ in
            let (never, keep) = AsyncStream<Void>.makeStream()
            for await _ in never {}
            return withExtendedLifetime(keep) { .text("late") }
        }
        try end.channel.writeInbound(ByteBuffer(string: HTTPServerHandlerTests.get))
        end.channel.embeddedEventLoop.advanceTime(by: .seconds(100))
        end.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        end.channel.embeddedEventLoop.advanceTime(by: .seconds(9))
        #expect(end.channel.isActive)
        end.channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!end.channel.isActive)
        #expect(try end.channel.readOutbound(as: ByteBuffer.self) == nil)
        let why = "the client ended its side and was not answered within 10.0 seconds (limit handshakeTimeout)"
        #expect(log.shown.map(\.text) == ["refused: \(why)"])
        end.finish()
    }

    // MARK: Over TLS

    /// NIOSSL keeps what it closes for 5 s if it does not take the peer's close_notify for the whole end: more than this suite has, for as many.
    @Test func whatIsClosedOverTLSGivesItsPlaceBackAtOnce() async throws {
        let (folder, authority) = (try TestFolder(), try TestAuthority())
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.tls = try authority.serverTLS(in: folder)
        let context = try authority.clientContext()
        try await withServer(configuration) { port, server in
            for _ in 0..<30 {
                let client = try await RawClient.connect(port: port, tls: context)
                try await client.send(Self.bytes)
                let answer = await client.readToEnd()
                #expect(answer.suffix(4).elementsEqual(WireFrame.close(1000).encoded(masked: false)))
                await client.close()
                while server.core.isBusy || !server.core.isIdle { try await Task.sleep(for: .milliseconds(1)) }
            }
        }
    }
}

/// A server's connection in memory.
private final class ServerEnd {
    let channel = EmbeddedChannel()
    let core: ServerCore
    let recorder = EndRecorder()
    private var slots: ConnectionSlots

    init(_ log: LogRecorder = LogRecorder()) throws {
        var configuration = WebSocketServer.Configuration.forTests(log: log)
        configuration.handshakeTimeout = .seconds(10)
        core = ServerCore(configuration)
        slots = ConnectionSlots(core)
        let recorder = recorder
        core.add(
            Route("/echo") { _ in
                .accept({ _ in recorder }, usesInbox: false, subprotocol: nil, headerFields: [:], compression: nil)
            })
        let thread = EventThread(eventLoop: channel.embeddedEventLoop, statistics: core.statistics)
        let handler = HTTPServerHandler(server: core, thread: thread, slot: ConnectionSlot(slots))
        try handler.addTo(channel.pipeline.syncOperations)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    /// Puts a handler in front of the one under test.
    func inject(_ handler: Injector) throws {
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(handler, position: .before(pipeline.handler(type: HTTPServerHandler.self)))
    }

    func finish() { _ = try? channel.finish(acceptAlreadyClosed: true) }
}

/// Notes what a connection's handler is told.
private final class EndRecorder: WebSocketHandler, Sendable {
    private let noted = Mutex<(opened: Int, messages: [Message], closures: [Closure])>((0, [], []))
    var opened: Int { noted.withLock { $0.opened } }
    var messages: [Message] { noted.withLock { $0.messages } }
    var closures: [Closure] { noted.withLock { $0.closures } }

    func opened(_ socket: WebSocket) { noted.withLock { $0.opened += 1 } }
    func received(_ message: Message, from socket: WebSocket) { noted.withLock { $0.messages.append(message) } }
    func closed(_ socket: WebSocket, _ closure: Closure) { noted.withLock { $0.closures.append(closure) } }
}

/// Passes on something of any type when it is told to.
private final class Injector: ChannelInboundHandler {
    typealias InboundIn = NIOAny
    struct Event: Sendable {}
    private let data: NIOAny
    init(_ data: NIOAny) { self.data = data }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is Event { context.fireChannelRead(data) }
    }
}
