// A client's session over real connections: what its requests carry, TLS, proxies, and how it ends. EngineIOClientSession.swift,
// EngineIOClientSession+Performing.swift, LongPoller.swift.

import HTTPTypes
import NIOConcurrencyHelpers
import NIOCore
import TestSupport
import Testing
import WebSockets

@testable import EngineIO

/// How a session's packets travel.
enum ClientWay: String, Sendable, CaseIterable, CustomTestStringConvertible {
    case polling, webSocket, upgrade

    var transports: [EngineIOTransport] {
        switch self {
        case .polling: [.polling]
        case .webSocket: [.webSocket]
        case .upgrade: [.polling, .webSocket]
        }
    }

    var testDescription: String { rawValue }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct EngineIOClientSessionTests {
    /// Notes what happens in a session.
    private final class Recorder: EngineIOClientHandler {
        let notes = Notes()
        private let failure = NIOLockedValueBox<EngineIOClientError?>(nil)

        var error: EngineIOClientError? { failure.withLockedValue { $0 } }

        func opened(_ session: EngineIOClientSession) { notes.add("opened") }
        func received(_ message: Message, from session: EngineIOClientSession) { notes.add("received \(message.text ?? "")") }
        func upgraded(_ session: EngineIOClientSession) { notes.add("upgraded") }
        func closed(_ session: EngineIOClientSession, _ closure: EngineIOClosure, _ error: EngineIOClientError?) {
            failure.withLockedValue { $0 = error }
            notes.add("closed: \(closure.reason)")
        }
    }

    /// Runs a session while the body runs.
    private func withSession(
        _ url: String, _ way: ClientWay, _ adjust: (inout EngineIOClientConfiguration) -> Void = { _ in },
        _ body: (EngineIOClientSession, Recorder) async throws -> Void
    ) async throws {
        var configuration = EngineIOClientConfiguration(transports: way.transports, timeout: .seconds(60))
        adjust(&configuration)
        let recorder = Recorder()
        let session = try EngineIOClientSession(url, configuration: configuration, handler: recorder)
        session.start()
        let result: Result<Void, any Error>
        do { result = .success(try await body(session, recorder)) } catch { result = .failure(error) }
        session.close()
        await session.waitUntilClosed()
        try result.get()
    }

    /// Has the server send something back, at the end by WebSocket if that is the way.
    private func echo(_ session: EngineIOClientSession, _ recorder: Recorder, _ way: ClientWay) async {
        session.send(.text("hello"))
        let lines = await recorder.notes.wait(way == .upgrade ? 3 : 2)
        #expect(lines.sorted() == (way == .upgrade ? ["opened", "received hello", "upgraded"] : ["opened", "received hello"]))
        #expect(session.transport == (way == .polling ? .polling : .webSocket))
    }

    /// Why no session came about.
    private func failure(
        _ url: String, _ way: ClientWay, _ adjust: (inout EngineIOClientConfiguration) -> Void = { _ in }
    ) async throws -> EngineIOClientError? {
        var error: EngineIOClientError?
        try await withSession(url, way, adjust) { _, recorder in
            let lines = await recorder.notes.wait(1)
            #expect(lines == ["closed: transport error"])
            error = recorder.error
        }
        return error
    }

    @Test func whatWasNeverStartedIsNotWaitedFor() async throws {
        let session = try EngineIOClientSession("http://localhost", handler: Recorder())
        session.close()
        await session.waitUntilClosed()
        #expect(session.opening == nil)
    }

    // MARK: What requests carry

    @Test(arguments: ClientWay.allCases) func everyRequestSaysWhoAsks(way: ClientWay) async throws {
        let seen = Notes()
        let token = try #require(HTTPField.Name("X-Token"))
        try await withEngine {
            $0.cookie = EngineIOCookie()
            $0.headers = { _, request in
                let fields = request.head.headerFields
                let query = Dictionary(request.queryItems) { $1 }
                // A request has one field of cookies (RFC 6265 §5.4).
                let cookies = fields[values: .cookie].joined(separator: " and ")
                seen.add("\(fields[token] ?? "") \(fields[.authorization] ?? "") \(query["room"] ?? "") \(query["a"] ?? "") \(cookies)")
            }
        } _: { bench in
            try await withSession("http://me:secret@127.0.0.1:\(bench.port)/?a=1", way) {
                $0.query = ["room": "5 & 6"]
                $0.headers = [token: "t", .cookie: "mine=1"]
            } _: { session, recorder in
                await echo(session, recorder, way)
                let first = "t Basic bWU6c2VjcmV0 5 & 6 1 mine=1"
                let lines = seen.lines
                #expect(lines.first == first)
                guard way != .webSocket else { return }
                let id = try #require(session.id)
                #expect(lines.count > 1 && lines.dropFirst().allSatisfy { $0 == "\(first); io=\(id)" }, "\(lines)")
            }
        }
    }

    @Test func anIdleConnectionIsNotKept() async throws {
        try await withEngine { bench in
            try await TunnelProxy.run(.http, to: bench.port) { proxy in
                try await withSession("http://server.test", .polling, { $0.proxy = proxy.asConfigured }) { session, recorder in
                    await echo(session, recorder, .polling)
                    // The POST's connection ends; the poll's stays.
                    while proxy.count > 1 { try await Task.sleep(for: .milliseconds(10)) }
                    session.send(.text("again"))
                    let lines = await recorder.notes.wait(3)
                    #expect(lines.last == "received again")
                }
            }
        }
    }

    // MARK: TLS

    private func withTLS(
        names: [String] = [], addresses: [[UInt8]] = [], _ body: (EngineBench, TestAuthority, Notes) async throws -> Void
    ) async throws {
        let (folder, authority, hosts) = (try TestFolder(), try TestAuthority(), Notes())
        let files = try authority.files(authority.identity(names: names, addresses: addresses), in: folder)
        try await withEngine {
            $0.headers = { _, request in hosts.add(request.head.authority ?? "") }
        } server: {
            $0.tls = ServerTLS(certificateChain: files.certificate, privateKey: files.key)
        } _: {
            try await body($0, authority, hosts)
        }
    }

    @Test(arguments: ClientWay.allCases) func tlsWithRootsOfItsOwn(way: ClientWay) async throws {
        try await withTLS(names: ["localhost"]) { bench, authority, _ in
            try await withSession("https://localhost:\(bench.port)", way, { $0.tls.roots = .pem(authority.root) }) { session, recorder in
                await echo(session, recorder, way)
            }
        }
        try await withTLS(addresses: [[127, 0, 0, 1]]) { bench, authority, _ in
            try await withSession("wss://127.0.0.1:\(bench.port)", way, { $0.tls.roots = .pem(authority.root) }) { session, recorder in
                await echo(session, recorder, way)
            }
        }
    }

    @Test(arguments: ClientWay.allCases, ["localhost", "127.0.0.1"]) func tlsForAnotherName(way: ClientWay, host: String) async throws {
        try await withTLS(names: ["other.example"]) { bench, authority, hosts in
            try await withSession("https://\(host):\(bench.port)", way) {
                $0.tls = ClientTLS(roots: .pem(authority.root), serverName: "Other.Example")
            } _: { session, recorder in
                await echo(session, recorder, way)
                let lines = hosts.lines
                #expect(lines.allSatisfy { $0 == "\(host):\(bench.port)" }, "\(lines)")
            }
        }
    }

    @Test(arguments: [ClientWay.polling, .webSocket]) func aRefusedCertificateIsATypedError(way: ClientWay) async throws {
        try await withTLS(names: ["other.example"]) { bench, authority, _ in
            let untrusted = try await failure("https://localhost:\(bench.port)", way)
            let mistaken = try await failure("https://localhost:\(bench.port)", way) { $0.tls.roots = .pem(authority.root) }
            let named = try await failure("https://localhost:\(bench.port)", way) {
                $0.tls = ClientTLS(roots: .pem(authority.root), serverName: "third.example")
            }
            for (error, text) in [(untrusted, "is not trusted"), (mistaken, "is not for"), (named, "is not for")] {
                #expect(error?.kind == (way == .polling ? .poll : .webSocket))
                #expect((error?.underlying as? ConnectError)?.kind == .tls)
                #expect(error?.description.contains(text) == true, "\(error as Any)")
            }
        }
    }

    @Test(arguments: [ClientWay.polling, .webSocket]) func unusableRootsAreATypedError(way: ClientWay) async throws {
        let error = try await failure("https://127.0.0.1:1", way) { $0.tls.roots = .file("/nonexistent.pem") }
        #expect((error?.underlying as? ConnectError)?.kind == .tlsConfiguration)
        #expect(error?.description.contains("/nonexistent.pem") == true)
    }

    @Test(arguments: [ClientWay.polling, .webSocket]) func aServerThatIsNotThere(way: ClientWay) async throws {
        let error = try await failure("http://127.0.0.1:1", way)
        #expect((error?.underlying as? ConnectError)?.kind == .unreachable)
        #expect(error?.description.contains("connection refused") == true)
    }

    // MARK: Proxies

    @Test(arguments: [TunnelProxy.Kind.http, .socks5], ClientWay.allCases) func throughAProxy(kind: TunnelProxy.Kind, way: ClientWay)
        async throws
    {
        try await withEngine { bench in
            try await TunnelProxy.run(kind, to: bench.port) { proxy in
                try await withSession("http://server.test:81", way, { $0.proxy = proxy.asConfigured }) { session, recorder in
                    await echo(session, recorder, way)
                }
                // RFC 7617: "me:secret"
                let line = kind == .http ? "CONNECT server.test:81 HTTP/1.1 bWU6c2VjcmV0" : "server.test:81"
                let lines = proxy.notes.lines
                #expect(!lines.isEmpty && lines.allSatisfy { $0 == line }, "\(lines)")
            }
        }
    }

    @Test(arguments: [TunnelProxy.Kind.http, .socks5], ClientWay.allCases) func tlsThroughAProxy(kind: TunnelProxy.Kind, way: ClientWay)
        async throws
    {
        try await withTLS(names: ["other.example"]) { bench, authority, _ in
            try await TunnelProxy.run(kind, to: bench.port) { proxy in
                try await withSession("https://server.test", way) {
                    $0.proxy = proxy.asConfigured
                    $0.tls = ClientTLS(roots: .pem(authority.root), serverName: "other.example")
                } _: { session, recorder in
                    await echo(session, recorder, way)
                }
                // What the certificate says is between the client and the server.
                #expect(proxy.notes.lines.allSatisfy { $0.contains("server.test:443") })
            }
        }
    }

    @Test(arguments: [ClientWay.polling, .webSocket]) func aProxyThatRefuses(way: ClientWay) async throws {
        try await TunnelProxy.run(.refusing, to: 1) { proxy in
            let error = try await failure("http://server.test", way) { $0.proxy = proxy.asConfigured }
            #expect((error?.underlying as? ConnectError)?.kind == .proxy)
            #expect(error?.description.contains("user name and password") == true, "\(error as Any)")
        }
    }

    @Test(arguments: [ClientWay.polling, .webSocket]) func anAddressIsNotCheckedThroughAProxy(way: ClientWay) async throws {
        let error = try await failure("https://192.0.2.1", way) { $0.proxy = .http(host: "127.0.0.1", port: 1) }
        #expect((error?.underlying as? ConnectError)?.kind == .tlsConfiguration)
    }
}
