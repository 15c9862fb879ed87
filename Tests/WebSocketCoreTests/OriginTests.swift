// Web origins and their comparison (RFC 6454; bad input H14).

import Testing

@testable import WebSocketCore

@Suite struct OriginTests {
    @Test func parsesOrigins() throws {
        let plain = try #require(Origin("https://Example.COM"))
        #expect(plain.scheme == "https" && plain.host == "example.com" && plain.port == 443)
        #expect(Origin("HTTPS://example.com:443") == plain)
        #expect(Origin("http://example.com")?.port == 80)
        #expect(Origin("http://localhost:8080")?.port == 8080)
        #expect(Origin("http://[::1]:8080")?.host == "[::1]")
        #expect(Origin("http://[2001:DB8::1]")?.host == "[2001:db8::1]")
        #expect(Origin("http://[::ffff:127.0.0.1]")?.port == 80)
        #expect(Origin("chrome-extension://abcdefghijklmnop")?.port == nil)
        #expect(Origin("http://a:65535")?.port == 65535)
    }

    @Test func writesThemAsBrowsersDo() {
        for text in ["https://example.com", "http://localhost:8080", "http://[::1]:81", "moz-extension://0a-1b"] {
            #expect(Origin(text)?.description == text)
        }
        #expect(Origin("HTTP://A:80")?.description == "http://a")
    }

    @Test(arguments: [
        "", "null", "example.com", "//example.com", "https:example.com", "https:/example.com", "https://", "https:///", "://a", "1a://b",
        "https://a/", "https://a/b", "https://a?b", "https://a#b", "https://u@a", "https://u:p@a", "https://a b", " https://a",
        "https://a ",
        "https://a:", "https://a:b", "https://a:0", "https://a:080", "https://a:65536", "https://a:123456", "https://a:-1", "https://a:+1",
        "https://a:1:2", "https://[::1", "https://::1", "https://[::1]a", "https://[]", "https://[a]", "https://[g::]", "https://a,b",
        "https://a%2eb", "https://\u{e9}", "https://a\u{0}", "https://a\\b", "https://a, https://b", "h\u{e9}://a",
    ])
    func refuses(text: String) {
        // An empty port is no port (RFC 3986 §3.2.3); everything else here is no origin.
        #expect(Origin(text) == (text == "https://a:" ? Origin("https://a") : nil))
    }

    private func isSame(_ origin: String, _ host: String, secure: Bool = false, strictly: Bool = false) -> Bool {
        Origin.isSameOrigin(origin: origin, host: host, isSecure: secure, strictly: strictly)
    }

    @Test func comparesSchemeHostAndPort() {
        #expect(isSame("http://good", "good"))
        #expect(isSame("http://GOOD", "good:80"))
        #expect(isSame("http://good:80", "Good"))
        #expect(isSame("http://good:8080", "good:8080"))
        #expect(isSame("http://[::1]:8080", "[::1]:8080"))
        #expect(isSame("https://good", "good", secure: true))
        #expect(isSame("https://good:8443", "good:8443", secure: true))
    }

    @Test(arguments: [
        "https://good.evil", "http://good.evil", "http://evil", "http://evil.good", "http://goo", "http://goodd", "http://good.", "null",
        "",
        "http://good:81", "http://good:8080", "ws://good", "file://good", "http://good/", "http://good@evil", "http://evil@good",
        "http://good, http://good", "good", "chrome-extension://good",
    ])
    func refusesOthers(origin: String) {
        #expect(!isSame(origin, "good"))
        #expect(!isSame(origin, "good", strictly: true))
        #expect(!isSame(origin, "good", secure: true))
    }

    @Test func refusesWhateverHasNoHost() {
        for host in ["", ":80", "good/", "good:x", "good, good"] { #expect(!isSame("http://good", host), "\(host)") }
    }

    /// The table in the documentation of `isSameOrigin`.
    @Test func knowsTheProxyThatEndsTLS() {
        #expect(isSame("https://good", "good"))
        #expect(isSame("https://good", "good:443"))
        #expect(isSame("https://good:8443", "good:8443"))
        #expect(!isSame("https://good", "good:80"))
        #expect(!isSame("https://good:8443", "good"))
        #expect(!isSame("https://good.evil", "good"))
        #expect(!isSame("https://good", "good", strictly: true))
        #expect(!isSame("http://good", "good", secure: true))
        #expect(!isSame("http://good:443", "good:443", secure: true))
    }
}
