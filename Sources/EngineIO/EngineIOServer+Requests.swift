// The judgement of requests, in Node's order, so that the same mistake gets the same answer: Engine.IO protocol 4, "Query parameters".

import HTTPTypes
import Logging
import NIOCore
import WebSocketCore
public import WebSockets

extension EngineIOServer {
    // MARK: Any request

    /// Begins a request of long-polling, of which only the head has come; the body goes to `EngineIOExchange.received`.
    ///
    /// - Parameter respond: takes the answer, once, on any thread, perhaps before this returns.
    public func begin(_ request: ServerRequest, respond: @escaping EngineIOExchange.Respond) -> EngineIOExchange {
        let exchange = EngineIOExchange(self, request, respond)
        if let cors = configuration.cors, request.head.method == .options {
            exchange.answer(.preflight(cors.preflightFields(for: request.head)))
            return exchange
        }
        do throws(EngineIORefusal) {
            try begin(request, exchange)
        } catch {
            log(error, request)
            exchange.refuse(error)
        }
        return exchange
    }

    private func begin(_ request: ServerRequest, _ exchange: EngineIOExchange) throws(EngineIORefusal) {
        let transport = try transport(of: request)
        if transport == .polling, let forwarded = forwarded(request) {
            exchange.begin(.forward(forwarded))
            return
        }
        guard let session = try session(of: request) else {
            guard request.head.method == .get else { throw .badHandshakeMethod }
            // A WebSocket begins with an upgrade, which takes another way.
            guard transport == .polling else { throw .badRequest }
            exchange.begin(.handshake(request))
            return
        }
        guard session.transport == transport else { throw .badRequest }
        switch request.head.method {
        case .get: exchange.begin(.poll(session))
        case .post: beginPost(exchange, session, isBinary: request.head.headerFields[.contentType] == Self.binaryContentType)
        // Node answers 500 here, as if it were its own fault.
        default: throw .badRequest
        }
    }

    func beginPost(_ exchange: EngineIOExchange, _ session: EngineIOSession, isBinary: Bool) {
        var isTaken = false
        exchange.begin(.post(session))
        session.run { isTaken = $0.postBegan(exchange, isBinary: isBinary, at: $1) }
        if !isTaken { logger.info("refused: a POST that overlaps another, or is binary", metadata: ["sid": "\(session.id)"]) }
    }

    /// > If a mandatory query parameter is missing, then the server MUST respond with an HTTP 400 error status.
    private func transport(of request: ServerRequest) throws(EngineIORefusal) -> EngineIOTransport {
        guard let transport = request.query("transport").flatMap(EngineIOTransport.init), configuration.transports.contains(transport)
        else { throw .transportUnknown }
        return transport
    }

    /// The session that the request names; nil if it names none.
    ///
    /// > The server MUST return an HTTP 400 response if the session ID (from the `sid` query parameter) is not known.
    private func session(of request: ServerRequest) throws(EngineIORefusal) -> EngineIOSession? {
        guard request.hasQuery("sid"), request.query("sid") != "" else { return nil }
        guard let session = request.query("sid").flatMap(session) else { throw .sessionUnknown }
        return session
    }

    // MARK: Opening

    /// Opens a session on long-polling, if it may.
    func open(_ request: ServerRequest, _ exchange: EngineIOExchange) {
        allow(request) { refusal in
            if let refusal { return exchange.refuse(refusal) }
            // The client may have gone while the program decided.
            guard exchange.isWaiting else { return }
            let session = self.makeSession(request, keepsRequest: true)
            if let cookie = self.configuration.cookie { exchange.setCookie(cookie.field(session.id)) }
            session.open(exchange)
        }
    }

    /// Decides whether a session may open; at once, unless the program wants to be asked.
    private func allow(_ request: ServerRequest, _ decided: @escaping @Sendable (EngineIORefusal?) -> Void) {
        guard let allowRequest = configuration.allowRequest else { return decided(opens(request, .accept)) }
        Task { decided(opens(request, await allowRequest(request))) }
    }

    /// Why a session may not open; nil if it may.
    private func opens(_ request: ServerRequest, _ decision: EngineIODecision) -> EngineIORefusal? {
        let refusal = refusal(of: request, decision)
        if let refusal { log(refusal, request) }
        return refusal
    }

    private func refusal(of request: ServerRequest, _ decision: EngineIODecision) -> EngineIORefusal? {
        if case .refuse(let message) = decision { return .forbidden(message) }
        // > `EIO`: Mandatory, the version of the protocol.
        guard request.query("EIO") == "4" else { return .unsupportedVersion }
        guard !isClosing, sessionCount < configuration.maxSessions else { return .tooManySessions }
        return nil
    }

    // MARK: WebSocket

    /// Decides about a WebSocket handshake.
    func decide(_ request: ServerRequest, _ decision: EngineIODecision = .accept) -> UpgradeJudgement {
        do throws(EngineIORefusal) {
            // The other transport does not upgrade.
            guard try transport(of: request) == .webSocket else { throw .badRequest }
            if let session = try session(of: request) { return .attach(session) }
            if let refusal = refusal(of: request, decision) { throw refusal }
            return .open
        } catch {
            log(error, request)
            return .refuse(error)
        }
    }

    /// What becomes of a WebSocket handshake.
    enum UpgradeJudgement {
        case open
        case attach(EngineIOSession)
        case refuse(EngineIORefusal)
    }

    // MARK: Around

    /// What every answer to a request says.
    func responseFields(for request: ServerRequest) -> HTTPFields {
        var fields = configuration.cors?.fields(for: request.head) ?? [:]
        configuration.headers?(&fields, request)
        return fields
    }

    private func log(_ refusal: EngineIORefusal, _ request: ServerRequest) {
        var metadata: Logger.Metadata = ["code": "\(refusal.code)", "peer": "\(request.remoteAddress.map(\.description) ?? "unknown")"]
        var hint = ""
        switch refusal {
        case .sessionUnknown:
            metadata["sid"] = "\(request.query("sid")?.prefix(32) ?? "")"
            hint =
                forwarder == nil
                ? ": it has ended, or lives in another process, and then a proxy must keep each client at one (sticky sessions)"
                : ": it has ended, or is another node's and asks for a WebSocket, which only that node can give it"
        case .tooManySessions: hint = " (limit maxSessions, \(configuration.maxSessions))"
        default: break
        }
        logger.info("refused: \(refusal.message)\(hint)", metadata: metadata)
    }
}
