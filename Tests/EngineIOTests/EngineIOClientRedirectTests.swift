// A session's first request is redirected: EngineIOClientAddress.swift, EngineIOClientSession+Performing.swift.

import HTTPTypes
import NIOConcurrencyHelpers
import NIOCore
import TestSupport
import Testing
import WebSockets

@testable import EngineIO

@Suite(.serialized, .timeLimit(.minutes(1))) struct EngineIOClientRedirectTests {
    private static let ways: [ClientWay] = ClientWay.allCases

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
            notes.add("closed")
        }
    }

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

    /// Runs a server that answers every request by 302 to where the closure says, and notes its credentials.
    private func redirecting(
        to location: @escaping @Sendable (ServerRequest) -> [String], status: HTTPResponse.Status = .found,
        _ body: (Int, Notes) async throws -> Void
    ) async throws {
        let seen = Notes()
        let server = WebSocketServer(port: 0, configuration: .init(threads: 1, drainTimeout: .zero))
        let answer: @Sendable (ServerRequest) -> ServerResponse = { request in
            seen.add("\(request.head.headerFields[.authorization] ?? "-") \(request.head.headerFields[.cookie] ?? "-")")
            var response = ServerResponse(status)
            for value in location(request) { response.head.headerFields.append(HTTPField(name: .location, value: value)) }
            return response
        }
        server.http { answer($0) }
        server.webSocket("/old/", upgrade: { request -> Upgrade<Never> in .reject(answer(request)) }) { (_: WebSocket, _: Never) in }
        let run = Task { try await server.run() }
        let result: Result<Void, any Error>
        do { result = .success(try await body(try await server.waitUntilListening().port ?? 0, seen)) } catch { result = .failure(error) }
        run.cancel()
        _ = try? await run.value
        try result.get()
    }

    /// A path of WebSockets alone, or of plain HTTP alone: whichever the first request is.
    private static func path(_ way: ClientWay) -> String { way == .webSocket ? "/old/" : "/plain/" }

    private static func query(_ request: ServerRequest) -> Substring { (request.head.path ?? "").drop { $0 != "?" } }

    @Test(arguments: ways, [true, false]) func theSessionGoesOnWhereItLeads(way: ClientWay, keepsQuery: Bool) async throws {
        let seen = Notes()
        try await withEngine {
            $0.headers = { _, request in
                let fields = request.head.headerFields
                seen.add("\(fields[.authorization] ?? "-") \(fields[.cookie] ?? "-") \(request.query("room") ?? "-")")
            }
        } _: { bench in
            try await redirecting {
                ["http://127.0.0.1:\(bench.port)/socket.io/\(keepsQuery ? Self.query($0) : "")"]
            } _: { port, asked in
                try await withSession("http://me:secret@127.0.0.1:\(port)", way) {
                    $0.path = Self.path(way)
                    $0.query = ["room": "5"]
                    $0.headers = [.cookie: "mine=1"]
                } _: { session, recorder in
                    session.send(.text("hello"))
                    let lines = await recorder.notes.wait(way == .upgrade ? 3 : 2)
                    #expect(lines.contains("received hello") && lines.contains("opened"), "\(lines)")
                    #expect(session.otherOrigin == "http://127.0.0.1:\(bench.port)")
                }
                // RFC 7617: "me:secret". The first request alone is asked there.
                #expect(asked.lines == ["Basic bWU6c2VjcmV0 mine=1"])
                // Credentials do not go to another origin; the query does if the server has put it there.
                #expect(seen.lines.allSatisfy { $0 == "- - \(keepsQuery ? "5" : "-")" }, "\(seen.lines)")
            }
        }
    }

    @Test(arguments: [ClientWay.polling, .webSocket]) func oneRedirectTooMany(way: ClientWay) async throws {
        try await redirecting(to: { [$0.head.path ?? ""] }) { port, asked in
            for limit in [5, 1] {
                try await withSession("http://127.0.0.1:\(port)", way, { ($0.path, $0.maxRedirects) = (Self.path(way), limit) }) {
                    _, recorder in
                    #expect(await recorder.notes.wait(1) == ["closed"])
                    let error = recorder.error
                    #expect((error?.underlying as? ConnectError)?.kind == .redirect)
                    #expect(error?.status == 302)
                    #expect(error?.description.contains("over \(limit) redirects") == true, "\(error as Any)")
                }
            }
            #expect(asked.lines.count == 6 + 2)
        }
    }

    @Test(arguments: [ClientWay.polling, .webSocket]) func whatIsNotFollowedIsShown(way: ClientWay) async throws {
        try await redirecting(to: { _ in ["https://b.example/x?token=secret"] }) { port, _ in
            try await withSession("http://127.0.0.1:\(port)", way, { ($0.path, $0.maxRedirects) = (Self.path(way), 0) }) { _, recorder in
                #expect(await recorder.notes.wait(1) == ["closed"])
                let text = recorder.error?.description ?? ""
                #expect(text.contains("302") && text.contains("(Location: https://b.example/x?…)") && !text.contains("secret"), "\(text)")
            }
        }
        for (places, text) in [
            ([], "0 Location fields"), (["/a", "/b?c"], "2 Location fields, instead of one (Location: /a, /b?…)"),
            (["ftp://x/?secret"], "(Location: ftp://x/?…)"),
        ] {
            try await redirecting(to: { _ in places }) { port, _ in
                try await withSession("http://127.0.0.1:\(port)", way, { $0.path = Self.path(way) }) { _, recorder in
                    #expect(await recorder.notes.wait(1) == ["closed"])
                    #expect(recorder.error?.description.contains(text) == true, "\(recorder.error as Any)")
                }
            }
        }
    }

    // MARK: The address

    private func redirected(
        _ url: String, _ location: String, _ adjust: (inout EngineIOClientConfiguration) -> Void = { _ in }
    ) throws -> EngineIOClientAddress {
        var configuration = EngineIOClientConfiguration()
        adjust(&configuration)
        return try EngineIOClientAddress(url, configuration)
            .redirected(by: HTTPResponse(status: .found, headerFields: [.location: location]))
    }

    @Test func aRedirectOfThePathKeepsAll() throws {
        let address = try redirected("http://me:x@a/?q=1", "/new/?EIO=4&transport=polling&t=abc&q=2&r=3") { $0.query = ["s": "4"] }
        #expect(address.webSocket(sid: "i") == "ws://a/new/?q=2&r=3&s=4&EIO=4&transport=websocket&sid=i")
        #expect(address.polling(sid: nil, number: 1) == "http://a/new/?q=2&r=3&s=4&EIO=4&transport=polling&t=1")
        #expect(address.headers[.authorization] == "Basic bWU6eA==")
        #expect(try redirected("http://a", "next").webSocket(sid: nil) == "ws://a/socket.io/next?EIO=4&transport=websocket")
    }

    @Test func anotherOriginGetsNeitherCredentialsNorQuery() throws {
        for location in ["http://b/", "https://a/", "http://a:81/"] {
            let address = try redirected("http://me:x@a", location) {
                $0.query = ["token": "secret"]
                $0.headers = [.authorization: "secret", .cookie: "secret", .origin: "http://o"]
            }
            #expect(!address.webSocket(sid: nil).contains("secret"))
            #expect(address.headers[.authorization] == nil && address.headers[.cookie] == nil)
            #expect(address.headers[.origin] == "http://o")
        }
        #expect(try redirected("http://a", "http://you:y@b/").headers[.authorization] == "Basic eW91Onk=")
    }

    @Test func neverFromTLSToPlaintext() {
        let error = #expect(throws: ConnectError.self) { try redirected("https://a", "http://a/?token=secret") }
        #expect(error?.kind == .redirect)
        #expect(error?.description.contains("which is not encrypted") == true && error?.description.contains("secret") == false)
    }

    // MARK: TLS and plaintext

    @Test(arguments: [ClientWay.polling, .webSocket]) func plaintextToAPortWithTLS(way: ClientWay) async throws {
        let (folder, authority) = (try TestFolder(), try TestAuthority())
        let files = try authority.files(authority.identity(names: ["localhost"]), in: folder)
        try await withEngine(server: { $0.tls = ServerTLS(certificateChain: files.certificate, privateKey: files.key) }) { bench in
            try await withSession("http://127.0.0.1:\(bench.port)", way) { _, recorder in
                #expect(await recorder.notes.wait(1) == ["closed"])
                #expect(recorder.error?.description.contains("try wss://") == true, "\(recorder.error as Any)")
            }
        }
    }

    @Test(arguments: [ClientWay.polling, .webSocket]) func plaintextThatIsAnsweredByAnAlert(way: ClientWay) async throws {
        // What OpenSSL's servers send to a plaintext request: a fatal alert, "unexpected message".
        try await AlertingServer.run { port in
            try await withSession("http://127.0.0.1:\(port)", way) { _, recorder in
                #expect(await recorder.notes.wait(1) == ["closed"])
                let error = recorder.error
                #expect(error?.description.contains("answered with TLS bytes (a TLS alert)") == true, "\(error as Any)")
                #expect(error?.description.contains("try wss://") == true)
            }
        }
    }
}
