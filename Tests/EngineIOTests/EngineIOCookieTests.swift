// The cookie with the session's id: EngineIOCookie.swift.

import Testing

@testable import EngineIO

@Suite(.serialized, .timeLimit(.minutes(1))) struct EngineIOCookieTests {
    @Test func hasNodesDefaults() { #expect(EngineIOCookie().field("ID") == "io=ID; Path=/; HttpOnly; SameSite=Lax") }

    @Test func hasAllThatIsSet() {
        let cookie = EngineIOCookie(
            name: "sid", path: "/a", domain: "a.example", isHTTPOnly: false, isSecure: true, sameSite: EngineIOCookie.SameSite.none,
            maxAge: 60)
        #expect(cookie.field("ID") == "sid=ID; Max-Age=60; Domain=a.example; Path=/a; Secure; SameSite=None")
        #expect(EngineIOCookie(path: nil, isHTTPOnly: false, sameSite: nil).field("ID") == "io=ID")
    }

    @Test func isSetWithThePollingHandshakeOnly() async throws {
        try await withEngine {
            $0.cookie = EngineIOCookie()
        } _: { bench in
            let opened = try await bench.get("&transport=polling")
            let sid = try sid(in: opened.body)
            #expect(opened.field("Set-Cookie") == "io=\(sid); Path=/; HttpOnly; SameSite=Lax")
            #expect(try await bench.post(sid, "4a").field("Set-Cookie") == nil)
            #expect(try await bench.poll(sid).field("Set-Cookie") == nil)
        }
        try await withEngine({ _ in }) { bench async throws in
            #expect(try await bench.get("&transport=polling").field("Set-Cookie") == nil)
        }
    }
}
