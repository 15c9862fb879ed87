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
        /// Its session is on another node, which will be asked once the body is there.
        case forward(EngineIOForwardedRequest)
        /// Another node has been asked; what tells it that the client has gone.
        case forwarded(cancel: @Sendable () -> Void)
    }

    /// Who takes the answer.
    private enum Asker {
        case client(Respond)
        case node(@Sendable (EngineIOForwardedAnswer) -> Void)
    }

    private struct Contents {
        var asker: Asker?
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
        contents = NIOLockedValueBox(Contents(asker: .client(respond)))
    }

    /// Makes one of a request that has come to another node.
    init(
        _ server: EngineIOServer, _ request: EngineIOForwardedRequest, _ answered: @escaping @Sendable (EngineIOForwardedAnswer) -> Void
    ) {
        self.server = server
        fields = [:]
        let takesGzip = if case .poll(let acceptsGzip) = request.kind { acceptsGzip } else { false }
        acceptsGzip = server.configuration.compressionThreshold != nil && takesGzip
        contents = NIOLockedValueBox(Contents(asker: .node(answered)))
    }

    /// Says what it is for; false if it is over already.
    @discardableResult
    func begin(_ purpose: Purpose) -> Bool {
        contents.withLockedValue { contents in
            guard contents.asker != nil else { return false }
            contents.purpose = purpose
            return true
        }
    }

    /// Whether somebody still waits for the answer.
    public var isWaiting: Bool { contents.withLockedValue { $0.asker != nil } }

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
        case .forward(let request): forward(request, body)
        case .forwarded, nil: break
        }
    }

    private func forward(_ request: EngineIOForwardedRequest, _ body: ByteBuffer) {
        guard let forwarder = server.forwarder, let request = request.with(body) else { return refuse(.sessionUnknown) }
        let cancel = forwarder.forward(request) { self.answer(EngineIOAnswer($0)) }
        // The client may have gone meanwhile.
        if !begin(.forwarded(cancel: cancel)) { cancel() }
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
        answer(.contentTooLarge)
    }

    /// The client has gone, or its connection has; nothing can be answered any more.
    public func cancel() {
        let purpose = contents.withLockedValue { contents in
            defer { contents = Contents() }
            return contents.asker == nil ? nil : contents.purpose
        }
        switch purpose {
        case .poll(let session), .post(let session): session.run { machine, _ in machine.cancelled(self) }
        case .forwarded(let cancel): cancel()
        case .handshake, .forward, nil: break
        }
    }

    /// Whoever carries it can wait no longer, though the client does: a poll that waits is answered, and the client polls again.
    public func release() {
        guard case .poll(let session) = contents.withLockedValue({ $0.purpose }) else { return }
        session.run { machine, _ in machine.released(self) }
    }

    // MARK: The answer

    /// Answers, the first time.
    func answer(_ answer: EngineIOAnswer) {
        let (asker, cookie) = contents.withLockedValue { contents in
            defer { contents = Contents() }
            return (contents.asker, contents.cookie)
        }
        switch asker {
        case .client(let respond):
            var (head, body) = answer.response
            head.headerFields.append(contentsOf: fields)
            if let cookie { head.headerFields.append(HTTPField(name: .setCookie, value: cookie)) }
            respond(head, body)
        case .node(let answered): answered(answer.forwarded)
        case nil: break
        }
    }

    /// Answers with what went wrong, as Node does.
    func refuse(_ refusal: EngineIORefusal) { answer(.refusal(refusal)) }

    func respond(_ reply: EngineIOSession.Machine.Reply) {
        switch reply {
        case .packets(let packets):
            let payload = Outgoing.payload(packets)
            let compressed = compressed(payload, packets)
            answer(.packets(compressed ?? payload, isCompressed: compressed != nil))
        case .ok: answer(.ok)
        case .badRequest: answer(.empty)
        }
    }

    private func compressed(_ payload: ByteBuffer, _ packets: [Outgoing]) -> ByteBuffer? {
        guard acceptsGzip, let threshold = server.configuration.compressionThreshold, payload.readableBytes >= threshold,
            packets.contains(where: \.allowsCompression)
        else { return nil }
        return Gzip.compress(payload)
    }
}

extension EngineIOForwardedRequest {
    /// The same with its body.
    fileprivate func with(_ body: ByteBuffer) -> Self? {
        guard case .post(_, let isBinary) = kind else { return self }
        return Self(sessionID: sessionID, .post(body, isBinary: isBinary))
    }
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
