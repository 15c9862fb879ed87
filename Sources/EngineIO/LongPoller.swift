// The requests of long-polling: Engine.IO protocol 4, "HTTP long-polling". Async-http-client makes them, over TLS and proxies.

import AsyncHTTPClient
import HTTPTypes
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOHTTPCompression
import NIOSSL
import WebSocketCore
import WebSockets

/// Makes one session's requests; shut it down when the session is over.
final class LongPoller: Sendable {
    private let address: EngineIOClientAddress
    private let configuration: EngineIOClientConfiguration
    private let http: HTTPClient
    /// What stands in the place of the host: the name that the certificate must bear; nil where that is the host itself.
    private let checkedName: String?
    private let jar: NIOLockedValueBox<CookieJar>
    /// Whether a plaintext request was answered with TLS.
    private let hasSeenTLS: NIOLockedValueBox<Bool>
    private let number = NIOLockedValueBox(Int.random(in: 0..<(1 << 40)))

    /// Prepares; blocks on the files of certificates, if there are any.
    ///
    /// - Parameter jar: the cookies that the session has already.
    init(
        _ address: EngineIOClientAddress, _ configuration: EngineIOClientConfiguration, _ jar: CookieJar = CookieJar()
    ) throws(ConnectError) {
        self.jar = NIOLockedValueBox(jar)
        let hasSeenTLS = NIOLockedValueBox(false)
        self.hasSeenTLS = hasSeenTLS
        self.address = address
        self.configuration = configuration
        var settings = HTTPClient.Configuration()
        var other: String?
        if address.server.isSecure {
            settings.tlsConfiguration = try configuration.tls.configuration(address.server)
            // Async-http-client checks for the name in the address, which is then looked up as the host.
            let name = try configuration.tls.checkedName(address.server, throughProxy: configuration.proxy != nil)?.lowercased()
            if let name, name != address.server.host {
                settings.dnsOverride = [name: address.server.host]
                other = name
            }
        } else {
            settings.http1_1ConnectionDebugInitializer = { channel in
                channel.eventLoop.submit {
                    let detector = TLSDetector { hasSeenTLS.withLockedValue { $0 = true } }
                    try channel.pipeline.syncOperations.addHandler(detector, position: .first)
                }
            }
        }
        checkedName = other
        settings.httpVersion = .http1Only
        settings.timeout = .init(connect: TimeAmount(configuration.timeout))
        // A session's requests carry its id: they go nowhere else. The first one's redirects are followed by the session.
        settings.redirectConfiguration = .disallow
        // When to try again is for who reconnects to say.
        settings.connectionPool.retryConnectionEstablishment = false
        // Shorter than servers keep an idle connection (Gunicorn 2 s; Node and Uvicorn 5 s), as a request that crosses its end is lost.
        settings.connectionPool.idleTimeout = .seconds(1)
        settings.decompression = .enabled(limit: .size(configuration.maxMessageSize))
        settings.proxy = configuration.proxy.map(Self.proxy)
        http = HTTPClient(eventLoopGroupProvider: .shared(configuration.eventLoopGroup), configuration: settings)
    }

    private static func proxy(_ proxy: WebSockets.Proxy) -> HTTPClient.Configuration.Proxy {
        switch proxy.kind {
        case .socks5: return .socksServer(host: proxy.host, port: proxy.port)
        case .http(let credentials):
            let parts = credentials?.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let authorization = parts.map {
                HTTPClient.Authorization.basic(username: $0[0], password: $0.count > 1 ? $0[1] : "")
            }
            return .server(host: proxy.host, port: proxy.port, authorization: authorization)
        }
    }

    /// Ends all requests, and closes their connections.
    func shutDown() async { try? await http.shutdown() }

    /// What the WebSocket has to carry to be known as the same client's.
    var cookies: String? { jar.withLockedValue { $0.field } }

    /// The cookies, for a session that goes on at another address of the same origin.
    var cookieJar: CookieJar { jar.withLockedValue { $0 } }

    // MARK: Requests

    /// Polls.
    func poll(sid: String?) async throws(EngineIOClientError) -> [EngineIOPacket] {
        let body = try await request(.GET, sid, nil, .poll)
        do throws(EngineIOError) {
            return try EngineIOPayload.decode(body, maxBytes: configuration.maxMessageSize, maxPackets: configuration.maxPacketsPerPoll)
        } catch {
            throw EngineIOClientError(.invalidPacket, "\(error)", underlying: error)
        }
    }

    /// Sends packets.
    func post(_ packets: [Outgoing], sid: String?) async throws(EngineIOClientError) {
        _ = try await request(.POST, sid, Outgoing.payload(packets), .post)
    }

    private func request(
        _ method: HTTPMethod, _ sid: String?, _ body: ByteBuffer?, _ kind: EngineIOClientError.Kind
    ) async throws(EngineIOClientError) -> ByteBuffer {
        let request = request(method, sid, body)
        let answer: ByteBuffer
        let response: HTTPClientResponse
        do {
            // The machine's own deadlines come long before: a poll lasts as long as the server has nothing to say.
            response = try await http.execute(request, deadline: .now() + .hours(24), logger: configuration.logger)
            for cookie in response.headers["set-cookie"] where configuration.keepsCookies { jar.withLockedValue { $0.take(cookie) } }
            answer = try await response.body.collect(upTo: configuration.maxMessageSize)
        } catch {
            let underlying = explain(error, isFirst: sid == nil)
            throw EngineIOClientError(kind, "\(underlying)", underlying: underlying)
        }
        guard response.status == .ok else {
            let head = Self.head(response)
            let place = head.status.kind == .redirection ? Redirect.shown(head) : ""
            throw EngineIOClientError(kind, "the server answered \(head.status.code)\(place): \(Self.excerpt(answer))", response: head)
        }
        return answer
    }

    private func request(_ method: HTTPMethod, _ sid: String?, _ body: ByteBuffer?) -> HTTPClientRequest {
        let number = number.withLockedValue { number in
            number += 1
            return number
        }
        var request = HTTPClientRequest(url: address.polling(sid: sid, number: number, host: checkedName))
        request.method = method
        request.headers.add(name: "host", value: address.server.authority)
        request.headers.add(name: "accept-encoding", value: "gzip, deflate")
        if let body {
            request.headers.add(name: "content-type", value: "text/plain;charset=UTF-8")
            request.body = .bytes(body)
        }
        let fields = address.fields(cookies: cookies)
        for field in fields { request.headers.remove(name: field.name.canonicalName) }
        for field in fields { request.headers.add(name: field.name.canonicalName, value: field.value) }
        return request
    }

    /// Puts into words what the network, TLS or a proxy did, as a WebSocket's error does.
    private func explain(_ error: any Error, isFirst: Bool) -> any Error {
        if hasSeenTLS.withLockedValue({ $0 }) { return ConnectError.answeredWithTLS(address.server, underlying: error) }
        if let failure = ConnectError(explaining: error, address.server, proxy: configuration.proxy) { return failure }
        switch error as? HTTPClientError {
        case .remoteConnectionClosed: return ConnectError.closedWithoutAnswer(address.server, isFirst: isFirst, underlying: error)
        case .proxyAuthenticationRequired: return proxyError("wants a user name and password, or others than it got", error)
        case .invalidProxyResponse: return proxyError("refused, or does not speak HTTP", error)
        case .httpProxyHandshakeTimeout, .socksHandshakeTimeout: return proxyError("did not answer in time", error)
        default: return error
        }
    }

    private func proxyError(_ text: String, _ error: any Error) -> any Error {
        guard let proxy = configuration.proxy else { return error }
        return ConnectError(proxy: proxy, address.server, text, underlying: error)
    }

    /// The head in terms of swift-http-types.
    private static func head(_ response: HTTPClientResponse) -> HTTPResponse {
        HTTPResponse(HTTPResponseHead(version: response.version, status: response.status, headers: response.headers))
    }

    /// A line of what a stranger wrote, fit for a log.
    private static func excerpt(_ body: ByteBuffer) -> String {
        String(buffer: body).prefix(200).unicodeScalars
            .map { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) ? "?" : String($0) }
            .joined()
    }
}
