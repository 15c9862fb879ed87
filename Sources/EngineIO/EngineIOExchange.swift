// One HTTP request and its answer, which may come much later and from any thread: Engine.IO protocol 4, "HTTP long-polling".
//
//   begun ── the head says what it is ──► poll, post or handshake ── the body is whole ──► waiting ── answered or cancelled ──► over

public import HTTPTypes
import Logging
import NIOConcurrencyHelpers
public import NIOCore
import WebSockets

/// A request that an `EngineIOServer` answers.
///
/// Whoever carries it tells when its body is there, that it is too large, or that the client has gone before the answer.
public final class EngineIOExchange: Sendable {
    /// Takes the answer.
    public typealias Respond = @Sendable (HTTPResponse, ByteBuffer) -> Void

    /// What is asked for.
    enum Purpose {
        case poll(EngineIOSession)
        case post(EngineIOSession)
        case handshake(ServerRequest)
    }

    private struct Contents {
        var respond: Respond?
        var purpose: Purpose?
        var cookie: String?
    }

    private let server: EngineIOServer
    /// What every answer says: CORS, and what the program adds.
    private let fields: HTTPFields
    private let acceptsGzip: Bool
    private let contents: NIOLockedValueBox<Contents>

    init(_ server: EngineIOServer, _ request: ServerRequest, _ respond: @escaping Respond) {
        self.server = server
        fields = server.responseFields(for: request)
        acceptsGzip = server.configuration.compressionThreshold != nil && Gzip.isAccepted(by: request.head.headerFields)
        contents = NIOLockedValueBox(Contents(respond: respond))
    }

    /// Says what it is for; false if it is over already.
    @discardableResult
    func begin(_ purpose: Purpose) -> Bool {
        contents.withLockedValue { contents in
            guard contents.respond != nil else { return false }
            contents.purpose = purpose
            return true
        }
    }

    /// Whether somebody still waits for the answer.
    var isWaiting: Bool { contents.withLockedValue { $0.respond != nil } }

    /// Has the answer set a cookie.
    func setCookie(_ field: String) { contents.withLockedValue { $0.cookie = field } }

    // MARK: The request

    /// The most bytes that the body may have.
    public var maxBodyBytes: Int { server.configuration.maxPayload }

    /// The request is whole.
    public func received(_ body: ByteBuffer) {
        switch contents.withLockedValue({ $0.purpose }) {
        case .poll(let session): session.run { $0.poll(self, at: $1) }
        case .post(let session): session.post(body, self)
        case .handshake(let request): server.open(request, self)
        case nil: break
        }
    }

    /// The body is over `maxBodyBytes`: answers with 413, and leaves the session as it is, as Node does.
    public func bodyOverLimit() {
        let purpose = contents.withLockedValue { $0.purpose }
        var metadata: Logger.Metadata = ["maxPayload": "\(maxBodyBytes)"]
        if case .post(let session) = purpose {
            metadata["sid"] = "\(session.id)"
            session.run { machine, _ in machine.postRefused(self) }
        }
        server.logger.info("refused: the body is over \(maxBodyBytes) bytes (limit maxPayload)", metadata: metadata)
        answer(HTTPResponse(status: .contentTooLarge), ByteBuffer())
    }

    /// The client has gone, or its connection has; nothing can be answered any more.
    public func cancel() {
        let purpose = contents.withLockedValue { contents in
            defer { contents = Contents() }
            return contents.respond == nil ? nil : contents.purpose
        }
        switch purpose {
        case .poll(let session), .post(let session): session.run { machine, _ in machine.cancelled(self) }
        case .handshake, nil: break
        }
    }

    // MARK: The answer

    /// Answers, the first time.
    func answer(_ response: HTTPResponse, _ body: ByteBuffer) {
        let (respond, cookie) = contents.withLockedValue { contents in
            defer { contents = Contents() }
            return (contents.respond, contents.cookie)
        }
        guard let respond else { return }
        var response = response
        response.headerFields.append(contentsOf: fields)
        if let cookie { response.headerFields.append(HTTPField(name: .setCookie, value: cookie)) }
        respond(response, body)
    }

    /// Answers with what went wrong, as Node does.
    func refuse(_ refusal: EngineIORefusal) {
        answer(HTTPResponse(status: refusal.status, headerFields: [.contentType: "application/json"]), ByteBuffer(string: refusal.json))
    }

    func respond(_ reply: EngineIOSession.Machine.Reply) {
        switch reply {
        case .packets(let packets): respond(packets)
        // Not text/plain: some old browsers would offer to save it.
        case .ok: answer(HTTPResponse(status: .ok, headerFields: Self.fields("text/html")), ByteBuffer(string: "ok"))
        case .badRequest: answer(HTTPResponse(status: .badRequest), ByteBuffer())
        }
    }

    private func respond(_ packets: [Outgoing]) {
        let payload = Outgoing.payload(packets)
        var fields = Self.fields("text/plain; charset=UTF-8")
        if let compressed = compressed(payload, packets) {
            fields[.contentEncoding] = "gzip"
            answer(HTTPResponse(status: .ok, headerFields: fields), compressed)
        } else {
            answer(HTTPResponse(status: .ok, headerFields: fields), payload)
        }
    }

    private func compressed(_ payload: ByteBuffer, _ packets: [Outgoing]) -> ByteBuffer? {
        guard acceptsGzip, let threshold = server.configuration.compressionThreshold, payload.readableBytes >= threshold,
            packets.contains(where: \.allowsCompression)
        else { return nil }
        return Gzip.compress(payload)
    }

    private static func fields(_ type: String) -> HTTPFields { [.contentType: type, .cacheControl: "no-store"] }
}

extension EngineIOSession {
    /// Takes the packets of a POST, one by one: what comes before a bad one is delivered, as Node does.
    func post(_ body: ByteBuffer, _ exchange: EngineIOExchange) {
        let configuration = server.configuration
        var failure: EngineIOError?
        do throws(EngineIOError) {
            var decoder = try EngineIOPayloadDecoder(
                body, maxBytes: configuration.maxPayload, maxPackets: configuration.maxPacketsPerPost)
            while let packet = try decoder.next() { run { $0.received(packet, from: exchange, at: $1) } }
        } catch {
            failure = error
        }
        run { machine, _ in machine.postEnded(exchange, failure) }
    }
}
