// Which requests are served, and what the others are told: EngineIOServer+Requests.swift, EngineIORefusal.swift, EngineIOExchange.swift.

import HTTPTypes
import NIOCore
import Testing
import WebSocketCore
import WebSockets

@testable import EngineIO

@Suite(.serialized, .timeLimit(.minutes(1))) struct EngineIOServerRequestsTests {
    @Test func anUnknownSessionIsNamedInTheLog() async throws {
        try await withEngine({ _ in }) { bench in
            let response = try await bench.poll("AAAAAAAAAAAAAAAAAAAA")
            #expect(response.status == 400)
            #expect(response.field("Content-Type") == "application/json")
            #expect(response.body == #"{"code":1,"message":"Session ID unknown"}"#)
            let line = try #require(bench.log.shown.first)
            #expect(line.text.contains("sticky sessions"))
            #expect(line.metadata["sid"] == "AAAAAAAAAAAAAAAAAAAA")
        }
    }

    @Test(arguments: ["__proto__", "toString", "%00", "%zz", "AAAAAAAAAAAAAAAAAAAAA", "%F0%9F%98%80"]) func anyOtherSIDIsUnknown(
        sid: String
    ) async throws {
        try await withEngine({ _ in }) { bench in
            let response = try await bench.poll(sid)
            #expect(response.status == 400)
        }
    }

    @Test func aWebSocketDoesNotBeginWithoutAnUpgrade() async throws {
        try await withEngine({ _ in }) { bench in
            let response = try await bench.get("&transport=websocket")
            #expect(response.status == 400)
            #expect(response.body == #"{"code":3,"message":"Bad request"}"#)
        }
    }

    @Test func aSessionKnowsOnlyGetAndPost() async throws {
        try await withEngine({ _ in }) { bench in
            let sid = try await bench.open()
            let response = try await HTTPAnswer.to("PUT", bench.query("&transport=polling&sid=\(sid)"), port: bench.port, body: "4a")
            #expect(response.status == 400)
            #expect(response.body == #"{"code":3,"message":"Bad request"}"#)
            #expect(try await bench.post(sid, "4a").body == "ok")
        }
    }

    @Test func aTransportCanBeTurnedOff() async throws {
        try await withEngine {
            $0.transports = [.polling]
        } _: { bench in
            #expect(try await bench.get("&transport=polling").body.contains(#""upgrades":[]"#))
            let said = try await RawClient.answer(port: bench.port, to: RawClient.handshake(bench.query("&transport=websocket")).utf8)
            #expect(said.hasSuffix("\r\n\r\nTransport unknown"))
        }
        try await withEngine {
            $0.transports = [.webSocket]
        } _: { bench async throws in
            #expect(try await bench.get("&transport=polling").body == #"{"code":0,"message":"Transport unknown"}"#)
            #expect(await (try bench.webSocket()).next()?.hasPrefix("0{") == true)
        }
    }

    @Test(arguments: ["/socket.io", "/socket.io/"]) func theSlashAtTheEndMakesNoDifference(path: String) async throws {
        try await withEngine({ _ in }) { bench async throws in
            #expect(try await HTTPAnswer.to("GET", path + "?EIO=4&transport=polling", port: bench.port).status == 200)
            #expect(try await HTTPAnswer.to("GET", "/socket.iox?EIO=4&transport=polling", port: bench.port).body == "elsewhere")
        }
    }

    @Test func anotherPathCanBeHad() async throws {
        try await withEngine {
            $0.path = "/a/b"
        } _: { bench in
            let response = try await HTTPAnswer.to("GET", "/a/b/?EIO=4&transport=polling", port: bench.port)
            #expect(response.status == 200)
            #expect(try await HTTPAnswer.to("GET", "/socket.io/?EIO=4&transport=polling", port: bench.port).body == "elsewhere")
        }
    }

    // MARK: The answers' header fields

    @Test func answersAreNotKept() async throws {
        try await withEngine({ _ in }) { bench in
            let opened = try await bench.get("&transport=polling")
            #expect(opened.field("Content-Type") == "text/plain; charset=UTF-8")
            #expect(opened.field("Cache-Control") == "no-store")
            let posted = try await bench.post(try sid(in: opened.body), "4a")
            #expect(posted.field("Content-Type") == "text/html")
            #expect(posted.field("Cache-Control") == "no-store")
            #expect(posted.field("Connection") == "keep-alive")
        }
    }

    @Test func theProgramCanAddFields() async throws {
        let hook: @Sendable (inout HTTPFields, ServerRequest) -> Void = { fields, request in
            fields[.server] = request.query("sid") == nil ? "first" : "later"
        }
        try await withEngine {
            $0.headers = hook
        } _: { bench in
            let opened = try await bench.get("&transport=polling")
            #expect(opened.field("Server") == "first")
            #expect(try await bench.post(try sid(in: opened.body), "4a").field("Server") == "later")
            #expect(try await bench.get("").field("Server") == "first")
            let client = try await RawClient.open(port: bench.port, path: bench.query("&transport=websocket"))
            await client.close()
        }
    }

    // MARK: Who may open a session

    @Test func theProgramDecides() async throws {
        let allow: @Sendable (ServerRequest) async -> EngineIODecision = { request in
            await Task.yield()
            switch request.query("token") {
            case "good": return .accept
            case "why": return .refuse(message: #"not "you""#)
            default: return .refuse()
            }
        }
        try await withEngine {
            $0.allowRequest = allow
        } _: { bench in
            let refused = try await bench.get("&transport=polling")
            #expect(refused.status == 403)
            #expect(refused.body == #"{"code":4,"message":"Forbidden"}"#)
            #expect(try await bench.get("&transport=polling&token=why").body == #"{"code":4,"message":"not \"you\""}"#)
            let sid = try sid(in: try await bench.get("&transport=polling&token=good").body)
            // It is asked about a session's first request only.
            #expect(try await bench.post(sid, "4a").body == "ok")
            _ = try await bench.upgraded(sid)
            let said = try await RawClient.answer(
                port: bench.port, to: RawClient.handshake(bench.query("&transport=websocket&token=why")).utf8)
            #expect(said.hasPrefix("HTTP/1.1 400 "))
            #expect(said.hasSuffix("\r\n\r\nnot \"you\""))
        }
    }

    @Test func sessionsAreLimited() async throws {
        try await withEngine {
            $0.maxSessions = 1
        } _: { bench in
            let sid = try await bench.open()
            let refused = try await bench.get("&transport=polling")
            #expect(refused.status == 503)
            #expect(bench.log.shown.first?.text.contains("maxSessions, 1") == true)
            let said = try await RawClient.answer(port: bench.port, to: RawClient.handshake(bench.query("&transport=websocket")).utf8)
            #expect(said.hasPrefix("HTTP/1.1 503 "))
            #expect(try await bench.post(sid, "1").body == "ok")
            #expect(try await bench.get("&transport=polling").status == 200)
            #expect(bench.engine.sessionCount == 1)
        }
    }

    @Test func aMessageForTheClientIsJSON() {
        #expect(EngineIORefusal.forbidden("a\"\\\n\u{1}é").json == #"{"code":4,"message":"a\"\\\u000a\u0001é"}"#)
    }

    // MARK: Bodies

    // Row S1 of the bad inputs (CVE-2020-36048): nothing of it is kept, as its length says it all.
    @Test func aBodyOverTheLimitIsRefusedBeforeItComes() async throws {
        try await withEngine {
            $0.maxPayload = 1000
        } _: { bench in
            let sid = try await bench.open()
            let client = try await RawClient.connect(port: bench.port)
            let path = bench.query("&transport=polling&sid=\(sid)")
            try await client.send("POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
            #expect(try await client.readResponse().head.hasPrefix("HTTP/1.1 413 "))
            await client.close()
            let line = try #require(bench.log.shown.first { $0.metadata["sid"] != nil })
            #expect(line.metadata["sid"] == "\(sid)")
            #expect(line.metadata["maxPayload"] == "1000")
            // The session goes on, as on Node.
            #expect(try await bench.post(sid, "4" + String(repeating: "x", count: 999)).body == "ok")
        }
    }

    @Test func aBodyWithoutALengthIsCutOffAtTheLimit() async throws {
        try await withEngine {
            $0.maxPayload = 1000
        } _: { bench in
            let sid = try await bench.open()
            let client = try await RawClient.connect(port: bench.port)
            let path = bench.query("&transport=polling&sid=\(sid)")
            try await client.send("POST \(path) HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in 0..<3 { try? await client.send("200\r\n" + String(repeating: "2", count: 512) + "\r\n") }
            #expect(try await client.readResponse().head.hasPrefix("HTTP/1.1 413 "))
            await client.close()
        }
    }

    @Test func theServersOwnLimitDoesNotHold() async throws {
        try await withEngine({ _ in }, server: { $0.maxBodyBytes = 10 }) { bench in
            let sid = try await bench.open()
            #expect(try await bench.post(sid, "4" + String(repeating: "x", count: 100_000)).body == "ok")
            #expect(try await HTTPAnswer.to("POST", "/other", port: bench.port, body: "01234567890").status == 413)
        }
    }

    @Test func packetsOfAPostAreLimited() async throws {
        try await withEngine {
            $0.maxPacketsPerPost = 2
        } _: { bench in
            let sid = try await bench.open()
            #expect(try await bench.post(sid, "4a\u{1E}4b\u{1E}4c").status == 400)
            #expect(await bench.journal.wait(4) == ["opened", "received a", "received b", "closed: parse error"])
            #expect(bench.log.shown.last?.metadata["detail"]?.contains("maxPacketsPerPost") == true)
        }
    }

    // Row S6 of the bad inputs (CVE-2026-59725).
    @Test func aBinaryPostEndsTheSession() async throws {
        try await withEngine({ _ in }) { bench in
            let sid = try await bench.open()
            let response = try await bench.post(sid, "4a", fields: "Content-Type: application/octet-stream\r\n")
            #expect(response.status == 400)
            #expect(response.body == "")
            #expect(await bench.journal.wait(2) == ["opened", "closed: transport error"])
        }
    }

    @Test func twoPostsAtATimeEndTheSession() async throws {
        try await withEngine({ _ in }) { bench in
            let sid = try await bench.open()
            let first = try await RawClient.connect(port: bench.port)
            let path = bench.query("&transport=polling&sid=\(sid)")
            try await first.send("POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            #expect(try await first.readHead().hasPrefix("HTTP/1.1 100 "))
            let second = try await bench.post(sid, "4b")
            #expect(second.status == 400)
            #expect(second.field("Connection") == "keep-alive")
            try await first.send("4a\u{1E}4b")
            #expect(try await first.readResponse().head.hasPrefix("HTTP/1.1 200 "))
            await first.close()
            #expect(await bench.journal.wait(2) == ["opened", "closed: transport error"])
        }
    }

    @Test func aBrokenPostEndsTheSession() async throws {
        try await withEngine({ _ in }) { bench in
            let sid = try await bench.open()
            let client = try await RawClient.connect(port: bench.port)
            let path = bench.query("&transport=polling&sid=\(sid)")
            try await client.send("POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            _ = try await client.readHead()
            await client.close()
            #expect(await bench.journal.wait(2) == ["opened", "closed: transport error"])
        }
    }

    // MARK: Any HTTP server

    @Test func requestsCanComeFromAnyServer() async throws {
        let journal = Journal()
        let engine = EngineIOServer { session in
            journal.add(session)
            return EchoHandler(journal)
        }
        func ask(_ method: HTTPRequest.Method, _ more: String, _ body: String = "") async -> (HTTPResponse, String) {
            await withCheckedContinuation { continuation in
                let head = HTTPRequest(method: method, scheme: "http", authority: "a", path: "/socket.io/?EIO=4&transport=polling\(more)")
                engine.handle(ServerRequest(head: head, body: ByteBuffer(string: body))) { head, body in
                    continuation.resume(returning: (head, String(buffer: body)))
                }
            }
        }
        let sid = try sid(in: await ask(.get, "").1)
        #expect(await ask(.post, "&sid=\(sid)", "4a").1 == "ok")
        #expect(await ask(.get, "&sid=\(sid)").1 == "4a")
        let request = ServerRequest(head: HTTPRequest(method: .get, scheme: "http", authority: "a", path: "/?transport=polling&sid=\(sid)"))
        let exchange = engine.handle(request) { _, _ in Issue.record("a cancelled request was answered") }
        exchange.cancel()
        #expect(await journal.wait(3) == ["opened", "received a", "closed: transport error"])
        #expect(engine.sessionCount == 0)
    }

    @Test func aBodyThatCameWholeIsLimitedToo() async throws {
        let engine = EngineIOServer(configuration: EngineIOConfiguration(maxPayload: 10)) { _ in EchoHandler(Journal()) }
        let head = HTTPRequest(method: .get, scheme: "http", authority: "a", path: "/?EIO=4&transport=polling")
        let status = await withCheckedContinuation { continuation in
            engine.handle(ServerRequest(head: head, body: ByteBuffer(repeating: 1, count: 11))) { head, _ in
                continuation.resume(returning: head.status)
            }
        }
        #expect(status == .contentTooLarge)
    }
}
