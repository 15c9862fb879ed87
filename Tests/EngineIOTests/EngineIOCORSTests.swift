// Pages of other sites: EngineIOCORS.swift.

import HTTPTypes
import NIOCore
import Testing
import WebSocketCore
import WebSockets

@testable import EngineIO

@Suite(.serialized, .timeLimit(.minutes(1))) struct EngineIOCORSTests {
    private static let page = "Origin: https://page.example\r\n"
    private let site = Origin("https://page.example").map { Set([$0]) } ?? []

    // Row S11 of the bad inputs.
    @Test func nothingIsSaidUnlessAskedFor() async throws {
        try await withEngine({ _ in }) { bench in
            let response = try await bench.get("&transport=polling", fields: Self.page)
            #expect(response.field("Access-Control-Allow-Origin") == nil)
            #expect(response.field("Vary") == nil)
            #expect(
                try await HTTPAnswer.to("OPTIONS", bench.query("&transport=polling"), port: bench.port, fields: Self.page).status == 400)
        }
    }

    @Test func anAllowedSiteMayReadEveryAnswer() async throws {
        try await withEngine {
            $0.cors = EngineIOCORS(origins: .these(site), allowsCredentials: true)
        } _: { bench in
            for more in ["&transport=polling", "&transport=none", "&transport=polling&sid=x"] {
                let response = try await bench.get(more, fields: Self.page)
                #expect(response.field("Access-Control-Allow-Origin") == "https://page.example")
                #expect(response.field("Access-Control-Allow-Credentials") == "true")
                #expect(response.field("Vary") == "Origin")
            }
            let other = try await bench.get("&transport=polling", fields: "Origin: https://page.example.evil\r\n")
            #expect(other.field("Access-Control-Allow-Origin") == nil)
            #expect(other.field("Vary") == "Origin")
        }
    }

    @Test func aBodyThatIsTooLargeIsAnsweredReadably() async throws {
        try await withEngine {
            $0.cors = EngineIOCORS(origins: .any)
            $0.maxPayload = 10
        } _: { bench in
            let response = try await bench.post(try await bench.open(), "012345678901", fields: Self.page)
            #expect(response.status == 413)
            #expect(response.field("Access-Control-Allow-Origin") == "*")
        }
    }

    @Test func aPreflightRequestIsAnswered() async throws {
        try await withEngine {
            $0.cors = EngineIOCORS(origins: .these(site), maxAge: 60)
        } _: { bench in
            let fields = Self.page + "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-a, x-b\r\n"
            let response = try await HTTPAnswer.to("OPTIONS", bench.query("&transport=polling"), port: bench.port, fields: fields)
            #expect(response.status == 204)
            #expect(response.field("Access-Control-Allow-Origin") == "https://page.example")
            #expect(response.field("Access-Control-Allow-Methods") == "GET,HEAD,PUT,PATCH,POST,DELETE")
            #expect(response.field("Access-Control-Allow-Headers") == "x-a, x-b")
            #expect(response.field("Access-Control-Max-Age") == "60")
            #expect(response.body == "")
        }
    }

    @Test func thePreflightCanNameTheFields() throws {
        let name = try #require(HTTPField.Name("X-Mine"))
        let cors = EngineIOCORS(origins: .any, allowedHeaders: [name, .contentType], methods: [.get, .post])
        let request = HTTPRequest(
            method: .options, scheme: nil, authority: nil, path: "/", headerFields: [.accessControlRequestHeaders: "x-a"])
        let fields = cors.preflightFields(for: request)
        #expect(fields[.accessControlAllowHeaders] == "X-Mine,Content-Type")
        #expect(fields[.accessControlAllowMethods] == "GET,POST")
        #expect(fields[.vary] == nil)
    }

    @Test func originsAreCompared() throws {
        #expect(EngineIOCORS(origins: .any).allows("anything"))
        #expect(EngineIOCORS(origins: .these(site)).allows("https://page.example:443"))
        for other in ["http://page.example", "https://page.example:444", "https://a.page.example", "null", ""] {
            #expect(!EngineIOCORS(origins: .these(site)).allows(other))
        }
        let matching = EngineIOCORS(origins: .matching { $0.host.hasSuffix(".page.example") })
        #expect(matching.allows("https://a.page.example"))
        #expect(!matching.allows("https://apage.example"))
        #expect(!matching.allows("null"))
    }

    // MARK: WebSocket

    private func handshake(_ bench: EngineBench, _ fields: String, gives status: String) async throws {
        let client = try await RawClient.connect(port: bench.port)
        try await client.send(RawClient.handshake(bench.query("&transport=websocket"), fields))
        let head = try await client.readHead()
        await client.close()
        #expect(head.hasPrefix("HTTP/1.1 \(status) "))
    }

    @Test func aForeignPageOpensNoWebSocket() async throws {
        try await withEngine({ _ in }) { bench in
            try await handshake(bench, Self.page, gives: "403")
            try await handshake(bench, "Origin: http://127.0.0.1\r\n", gives: "101")
        }
    }

    @Test func anAllowedPageOpensWebSocketsToo() async throws {
        try await withEngine {
            $0.cors = EngineIOCORS(origins: .these(site))
        } _: { bench in
            try await handshake(bench, Self.page, gives: "101")
            try await handshake(bench, "Origin: http://127.0.0.1\r\n", gives: "101")
            try await handshake(bench, "Origin: https://evil.example\r\n", gives: "403")
            try await handshake(bench, Self.page + "Origin: https://evil.example\r\n", gives: "403")
        }
    }
}
