// Requests that a service answers, now or later: HTTPServerHandler+Services.swift, HTTPService.swift.

import HTTPTypes
import NIOConcurrencyHelpers
import NIOCore
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.serialized, .timeLimit(.minutes(1))) struct HTTPServerHandlerServicesTests {
    private let service = TestService()

    private func run(_ body: (Int) async throws -> Void) async throws {
        try await withServer(routes: { $0.mount(service) }) { port, _ in try await body(port) }
    }

    @Test func answersLaterFromAnyThread() async throws {
        try await run { port in
            let client = try await RawClient.connect(port: port)
            for _ in 0..<3 {
                try await client.send("GET /service/?wait HTTP/1.1\r\nHost: a\r\n\r\n")
                let respond = await service.waiting()
                respond(.text("late"))
                respond(.text("twice"))
                let (head, body) = try await client.readResponse()
                #expect(field("Connection", in: head) == "keep-alive")
                #expect(body == "late")
            }
            await client.close()
        }
    }

    @Test func answersBeforeTheBodyHasCome() async throws {
        try await run { port in
            let client = try await RawClient.connect(port: port)
            try await client.send("POST /service?early HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234")
            await service.wait("began")
            // The answer waits for the rest, and the connection goes on.
            try await client.send("56789GET /service?echo HTTP/1.1\r\nHost: a\r\n\r\n")
            let first = try await client.readResponse()
            let second = try await client.readResponse()
            #expect(first.body == "early")
            #expect(second.body == "")
            await client.close()
        }
    }

    @Test func theBodyIsTheServices() async throws {
        let said = try await answer(
            "POST /service?echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", routes: { $0.mount(service) })
        #expect(said.hasSuffix("\r\n\r\nhello"))
    }

    @Test(arguments: ["?echo", "?early"]) func aBodyOverItsLimitIsItsToRefuse(query: String) async throws {
        let said = try await answer(
            "POST /service\(query) HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", routes: { $0.mount(service) })
        #expect(said.hasPrefix(query == "?echo" ? "HTTP/1.1 413 " : "HTTP/1.1 200 "))
        #expect(field("Connection", in: said) == "close")
    }

    @Test func aClientThatGoesIsNoticed() async throws {
        try await run { port in
            let client = try await RawClient.connect(port: port)
            try await client.send("GET /service?wait HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = await service.waiting()
            await client.close()
            await service.wait("cancelled")
        }
    }

    @Test func whatIsNoHTTPIsNotTheServices() async throws {
        for text in ["GET /service HTTP/1.1\r\n\r\n", "GET /service HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"] {
            let said = try await answer(text, routes: { $0.mount(service) })
            #expect(said.hasPrefix("HTTP/1.1 400 "))
        }
        #expect(!service.notes.contains("began"))
    }

    @Test func anUpgradeToSomethingElseIsNone() async throws {
        let said = try await answer(
            "GET /service?echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
            routes: { $0.mount(service) })
        #expect(said.hasPrefix("HTTP/1.1 200 "))
    }

    @Test func itsWebSocketsHaveItsLimitsAndOrigins() async throws {
        try await run { port in
            let client = try await RawClient.open(port: port, path: "/service", fields: "Origin: https://friend.example\r\n")
            try await client.send(WireFrame.text(String(repeating: "x", count: 101)).encoded(masked: true))
            #expect(await client.read(4).suffix(2) == [3, 0xF1])
            await client.close()
            let other = try await RawClient.answer(port: port, to: RawClient.handshake("/service", "Origin: https://evil.example\r\n").utf8)
            #expect(other.hasPrefix("HTTP/1.1 403 "))
        }
    }
}

/// Answers by what the query says: `echo` with the body, `early` before the body has come, `wait` when the test does.
private final class TestService: HTTPService {
    typealias Respond = @Sendable (ServerResponse) -> Void

    let path = "/service"
    let connection = ConnectionConfiguration(limits: Limits(maxMessageSize: 100))
    private let noted = AsyncStream<String>.makeStream()
    private let kept = NIOLockedValueBox<[String]>([])
    private let waits = AsyncStream<Respond>.makeStream()

    var notes: [String] { kept.withLockedValue { $0 } }

    func note(_ what: String) {
        kept.withLockedValue { $0.append(what) }
        noted.continuation.yield(what)
    }

    func wait(_ what: String) async { for await note in noted.stream where note == what { return } }
    func waiting() async -> Respond {
        for await respond in waits.stream { return respond }
        return { _ in }
    }

    var decider: Route.Decider {
        .immediate { _ in .accept({ _ in TestEcho() }, usesInbox: false, subprotocol: nil, headerFields: [:], compression: nil) }
    }

    func allows(origin: String) -> Bool { origin == "https://friend.example" }
    func drain() { note("draining") }

    func begin(_ request: ServerRequest, respond: @escaping Respond) -> any HTTPServiceRequest {
        note("began")
        if request.hasQuery("early") { respond(.text("early")) }
        return Request(service: self, request: request, respond: respond)
    }

    private final class Request: HTTPServiceRequest {
        let maxBodyBytes = 100
        let service: TestService
        let request: ServerRequest
        let respond: Respond

        init(service: TestService, request: ServerRequest, respond: @escaping Respond) {
            self.service = service
            self.request = request
            self.respond = respond
        }

        func received(_ body: ByteBuffer) {
            if request.hasQuery("wait") { service.waits.continuation.yield(respond) } else { respond(ServerResponse(.ok, body: body)) }
        }

        func bodyOverLimit() { respond(ServerResponse(.contentTooLarge)) }
        func cancel() { service.note("cancelled") }
    }
}
