// An Engine.IO server on a WebSocket server's port.

import HTTPTypes
import NIOCore
import WebSocketCore
public import WebSockets

extension WebSocketServer {
    /// Serves Engine.IO at its path, with and without a slash at the end: HTTP long-polling and WebSocket.
    ///
    /// What the `EngineIOConfiguration` says of sizes holds there instead of this server's own limits. Pages of the origins that its
    /// `cors` allows may open WebSockets, too, beside those that this server allows. Call it before `run`.
    public func mount(_ engine: EngineIOServer) { mount(EngineIOMount(engine)) }
}

/// Carries an Engine.IO server.
private final class EngineIOMount: HTTPService {
    private let engine: EngineIOServer
    let path: String

    init(_ engine: EngineIOServer) {
        self.engine = engine
        path = engine.configuration.path
    }

    func begin(_ request: ServerRequest, respond: @escaping @Sendable (ServerResponse) -> Void) -> any HTTPServiceRequest {
        engine.begin(request) { head, body in
            var response = ServerResponse(head.status, body: body)
            response.head = head
            respond(response)
        }
    }

    func drain() { engine.drain() }

    // MARK: WebSocket

    /// The settings of the connections.
    var connection: ConnectionConfiguration {
        let configuration = engine.configuration
        var connection = ConnectionConfiguration(limits: Limits(maxMessageSize: configuration.maxPayload))
        connection.compression = configuration.compression
        // Engine.IO has its own heartbeat, which also notices a client that does not read, as that answers no ping.
        connection.keepalive = nil
        connection.maxSendBuffer = configuration.maxBufferedBytes
        return connection
    }

    func allows(origin: String) -> Bool { engine.configuration.cors?.allows(origin) ?? false }

    var decider: Route.Decider {
        let engine = engine
        guard let allowRequest = engine.configuration.allowRequest else { return .immediate { Self.decision(engine, $0, .accept) } }
        return .awaited { request in
            // Only a session's first request is asked about.
            let isFirst = request.query("sid")?.isEmpty ?? true
            return Self.decision(engine, request, isFirst ? await allowRequest(request) : .accept)
        }
    }

    private static func decision(_ engine: EngineIOServer, _ request: ServerRequest, _ decision: EngineIODecision) -> RouteDecision {
        var fields = HTTPFields()
        engine.configuration.headers?(&fields, request)
        let makeHandler: MakeHandler
        switch engine.decide(request, decision) {
        case .refuse(let refusal): return .reject(response(to: refusal, fields))
        case .open:
            makeHandler = { _ in SessionSocket(session: engine.makeSession(request, keepsRequest: false), isFirst: true) }
        case .attach(let session): makeHandler = { _ in SessionSocket(session: session, isFirst: false) }
        }
        return .accept(makeHandler, usesInbox: false, subprotocol: nil, headerFields: fields, compression: nil)
    }

    /// Node answers a refused handshake in this form, whatever the reason.
    private static func response(to refusal: EngineIORefusal, _ fields: HTTPFields) -> ServerResponse {
        let status = refusal.status == .forbidden ? .badRequest : refusal.status
        var response = ServerResponse(status, headerFields: [.contentType: "text/html"], body: ByteBuffer(string: refusal.message))
        response.head.headerFields.append(contentsOf: fields)
        return response
    }
}

extension EngineIOExchange: HTTPServiceRequest {}
