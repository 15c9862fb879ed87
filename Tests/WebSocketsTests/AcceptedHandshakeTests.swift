// A handshake that is decided at once.

import HTTPTypes
import NIOCore
import NIOEmbedded
import Testing
import WebSocketCore

@testable import WebSockets

@Suite struct AcceptedHandshakeTests {
    private func core(_ decider: Route.Decider = .immediate(accept), _ adjust: (inout WebSocketServer.Configuration) -> Void = { _ in })
        -> ServerCore
    {
        var configuration = WebSocketServer.Configuration.forTests()
        adjust(&configuration)
        let core = ServerCore(configuration)
        core.add(Route("/room/{name}", decider))
        return core
    }

    private static let accept: @Sendable (ServerRequest) -> RouteDecision = { request in
        .accept(
            { _ in TestEcho() }, usesInbox: request.path == "/room/inbox", subprotocol: request.subprotocols.first,
            headerFields: [.setCookie: "a=b"], compression: nil)
    }

    private let thread = EventThread(eventLoop: EmbeddedEventLoop(), statistics: Statistics(role: .server))

    private func plain(_ path: String = "/room/a%20b?x", _ fields: String = "") throws -> PlainHandshake {
        try Array(RawClient.handshake(path, fields).utf8).withUnsafeBytes {
            try #require(PlainHandshake($0, maxFields: 100, maxBytes: 16_384))
        }
    }

    @Test func answersAndMakesTheConnection() throws {
        let address = try SocketAddress(ipAddress: "192.0.2.1", port: 7)
        let fields = "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
        let accepted = try #require(AcceptedHandshake(try plain("/room/a%20b?x", fields), from: address, core()))
        #expect(
            String(buffer: accepted.answer) == """
                HTTP/1.1 101 Switching Protocols\r
                Upgrade: websocket\r
                Connection: Upgrade\r
                Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r
                Sec-WebSocket-Protocol: chat\r
                Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r
                Set-Cookie: a=b\r
                \r

                """)
        let socket = accepted.makeSocket(thread)
        #expect(socket.request.path == "/room/a%20b?x")
        #expect(socket.parameters == ["name": "a b"])
        #expect(socket.subprotocol == "chat")
        #expect(socket.remoteAddress == address)
        #expect(socket.codec != nil && socket.inbox == nil)
    }

    @Test func aRoutesOwnSettingsCome() throws {
        let core = ServerCore(.forTests())
        var route = Route("/own", .immediate(Self.accept))
        route.settings = SharedSettings(ConnectionConfiguration(maxTopics: 7), logger: core.logger)
        core.add(route)
        let accepted = try #require(AcceptedHandshake(try plain("/own"), from: nil, core))
        #expect(accepted.makeSocket(thread).configuration.maxTopics == 7)
    }

    @Test func makesAnInboxWhereMessagesAreAwaited() throws {
        let accepted = try #require(AcceptedHandshake(try plain("/room/inbox"), from: nil, core()))
        #expect(accepted.makeSocket(thread).inbox != nil)
    }

    @Test func leavesToNIOWhatIsToBeRefusedOrAwaited() throws {
        #expect(AcceptedHandshake(try plain("/nowhere"), from: nil, core()) == nil)
        #expect(AcceptedHandshake(try plain(), from: nil, core(.awaited { Self.accept($0) })) == nil)
        #expect(AcceptedHandshake(try plain(), from: nil, core(.immediate { _ in .reject(.text("no")) })) == nil)
        #expect(AcceptedHandshake(try plain("/room/a", "Origin: http://elsewhere\r\n"), from: nil, core()) == nil)
        #expect(AcceptedHandshake(try plain("/room/a", "Sec-WebSocket-Protocol: a,a\r\n"), from: nil, core()) == nil)
        let unsendable = core(
            .immediate { _ in .accept({ _ in TestEcho() }, usesInbox: false, subprotocol: "x", headerFields: [:], compression: nil) })
        #expect(AcceptedHandshake(try plain(), from: nil, unsendable) == nil)
        let draining = core()
        draining.beginDraining()
        #expect(AcceptedHandshake(try plain(), from: nil, draining) == nil)
    }

    @Test func takesTheOriginsThatAreAllowed() throws {
        let origin = try #require(Origin("http://elsewhere"))
        let allowing = core { $0.allowedOrigins = [origin] }
        #expect(AcceptedHandshake(try plain("/room/a", "Origin: http://elsewhere\r\n"), from: nil, allowing) != nil)
    }
}
