// A handshake that was accepted, and the connection that it becomes: RFC 6455 §4.2.2.

import HTTPTypes
import NIOCore
import WebSocketCore
import WebSocketDeflate

/// A handshake that was accepted, before it is answered.
struct AcceptedHandshake: Sendable {
    private let handshake: WebSocket.Handshake
    private let settings: SharedSettings
    private let usesInbox: Bool
    let makeHandler: MakeHandler
    /// The 101. It is sent once the handler has been told: a client that knows of its connection is on every list that the handler puts it
    /// on.
    let answer: ByteBuffer
    /// How many bytes the request took.
    private let requestBytes: Int

    /// Settles what both ends do, and writes the answer.
    ///
    /// - Throws: `HandshakeUsageError` for a decision that can not be sent.
    init(
        _ request: ServerRequest, _ offered: ServerHandshake, _ decision: RouteDecision.Acceptance, _ server: ServerCore, _ route: Route,
        requestBytes: Int
    ) throws(HandshakeUsageError) {
        self.requestBytes = requestBytes
        settings = route.settings ?? server.settings
        let deflate = DeflateNegotiation.answer(offered.extensions, decision.compression ?? settings.connection.compression)
        let response = try offered.response(
            subprotocol: decision.subprotocol, extensions: deflate.map { [$0.parameters.offer] } ?? [], additional: decision.headerFields)
        handshake = WebSocket.Handshake(
            request: request.head, parameters: request.parameters, subprotocol: response.headerFields[.secWebSocketProtocol],
            deflate: deflate, remoteAddress: request.remoteAddress)
        usesInbox = decision.usesInbox
        makeHandler = decision.makeHandler
        answer = Self.bytes(response)
    }

    /// Decides about a handshake at once; nil where NIO is to judge: the route awaits its decision, or there is something to refuse.
    ///
    /// The order of the questions is that of `HTTPServerHandler`.
    init?(_ plain: PlainHandshake, from address: SocketAddress?, _ server: ServerCore) {
        var request = ServerRequest(head: plain.request, body: ByteBuffer(), remoteAddress: address, isSecure: false)
        guard !server.isDraining, let (route, parameters) = server.route(request.path), case .immediate(let decide) = route.decider,
            let offered = try? ServerHandshake(request: plain.request, version: (1, 1)),
            (try? route.check(offered, server)) != nil, server.tap(request.path) == nil
        else { return nil }
        request.parameters = parameters
        request.subprotocols = offered.subprotocols
        guard case .accepted(let acceptance) = decide(request),
            let made = try? Self(request, offered, acceptance, server, route, requestBytes: plain.length)
        else { return nil }
        self = made
    }

    /// Makes the connection; called on the thread that will own it.
    func makeSocket(_ thread: EventThread) -> WebSocket {
        let inbox = usesInbox ? Inbox(limit: settings.connection.maxUnreadBytes) : nil
        let socket = WebSocket(handshake, role: .server, settings: settings, thread: thread, inbox: inbox)
        socket.countReceived(requestBytes)
        socket.countWritten(answer.readableBytes)
        return socket
    }

    /// The 101 as it is sent; `ServerHandshake` has seen to it that no value holds a line break.
    private static func bytes(_ response: HTTPResponse) -> ByteBuffer {
        var bytes = ByteBufferAllocator().buffer(capacity: 256)
        bytes.writeStaticString("HTTP/1.1 101 Switching Protocols\r\n")
        for field in response.headerFields {
            bytes.writeString(field.name.rawName)
            bytes.writeStaticString(": ")
            bytes.writeString(field.value)
            bytes.writeStaticString("\r\n")
        }
        bytes.writeStaticString("\r\n")
        return bytes
    }
}
