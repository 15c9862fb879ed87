import Testing

@testable import WebSockets

@Suite struct WebSocketURLTests {
    @Test(arguments: [
        ("ws://example.com", false, "example.com", 80, "/", "example.com"),
        ("wss://example.com", true, "example.com", 443, "/", "example.com"),
        ("http://example.com/a", false, "example.com", 80, "/a", "example.com"),
        ("https://example.com/a", true, "example.com", 443, "/a", "example.com"),
        ("WSS://Example.COM/A", true, "example.com", 443, "/A", "example.com"),
        ("ws://example.com:80/", false, "example.com", 80, "/", "example.com"),
        ("ws://example.com:443/", false, "example.com", 443, "/", "example.com:443"),
        ("ws://example.com:/", false, "example.com", 80, "/", "example.com"),
        ("ws://example.com?q", false, "example.com", 80, "/?q", "example.com"),
        ("ws://h/a/../b?x=%2f&y=//@:[]|{}", false, "h", 80, "/a/../b?x=%2f&y=//@:[]|{}", "h"),
        ("ws://[::1]:9001/x", false, "::1", 9001, "/x", "[::1]:9001"),
        ("wss://[2001:DB8::A]", true, "2001:db8::a", 443, "/", "[2001:db8::a]"),
        ("ws://127.0.0.1:65535", false, "127.0.0.1", 65535, "/", "127.0.0.1:65535"),
        ("ws://a_b-c~d.e", false, "a_b-c~d.e", 80, "/", "a_b-c~d.e"),
    ])
    func parses(text: String, isSecure: Bool, host: String, port: Int, path: String, authority: String) throws {
        let url = try WebSocketURL(text)
        #expect(url.isSecure == isSecure)
        #expect(url.host == host)
        #expect(url.port == port)
        #expect(url.path == path)
        #expect(url.authority == authority)
        #expect(url.credentials == nil)
        #expect(url.description == "\(isSecure ? "wss" : "ws")://\(authority)\(path)")
    }

    @Test(arguments: [
        ("ws://user:pass@h/", "user:pass"), ("ws://user@h/", "user:"), ("ws://us%40er:p%3Aa%20s@h/", "us@er:p:a s"),
        ("ws://%C3%A4:@h", "ä:"), ("ws://:@h", ":"), ("ws://h/@", nil), ("ws://h?@", nil),
    ])
    func readsCredentials(text: String, credentials: String?) throws {
        #expect(try WebSocketURL(text).credentials == credentials)
    }

    @Test(arguments: [
        ("", "must begin with"), ("example.com", "must begin with"), ("ws:/h", "must begin with"), ("ftp://h", "scheme"),
        ("://h", "scheme"), ("ws://", "no host"), ("ws:///path", "no host"), ("ws://:80", "no host"), ("ws://user@", "no host"),
        ("ws://h/#f", "fragment"), ("ws://h#", "fragment"), ("ws://h/a b", "space"), (" ws://h", "space"), ("ws://h/\r\nX: y", "control"),
        ("ws://h/\u{0}", "control"), ("ws://h/\u{7f}", "control"), ("ws://hä", "ASCII"), ("ws://h/ä", "ASCII"),
        ("ws://h:0", "port"), ("ws://h:65536", "port"), ("ws://h:+80", "port"), ("ws://h:8a", "port"), ("ws://h:000080", "port"),
        ("ws://h:80:80", "port"), ("ws://[::1", "no ]"), ("ws://[::1]80", "other than a port"), ("ws://[127.0.0.1]", "IPv6"),
        ("ws://[fe80::1%25lo]", "IPv6"), ("ws://[::g]", "IPv6"), ("ws://a@b@c/", "two @"), ("ws://%zz@h", "hexadecimal"),
        ("ws://%ff@h", "UTF-8"), ("ws://h%41", "host may have"), ("ws://h\\evil", "host may have"), ("ws://::1", "no host"),
    ])
    func refuses(text: String, reason: String) {
        let error = #expect(throws: InvalidURL.self) { try WebSocketURL(text) }
        #expect(error?.description.contains(reason) == true, "\(error as Any)")
    }

    @Test func refusesLongHosts() throws {
        #expect(throws: Never.self) { try WebSocketURL("ws://" + String(repeating: "a", count: 253)) }
        #expect(throws: InvalidURL.self) { try WebSocketURL("ws://" + String(repeating: "a", count: 254)) }
    }

    @Test func keepsPasswordsToItself() {
        let error = #expect(throws: InvalidURL.self) { try WebSocketURL("ws://user:secret@h/#f") }
        #expect(error?.url == "ws://user:…@h/#f")
        #expect("\(String(describing: try? WebSocketURL("ws://user:secret@h/")))".contains("secret") == false)
    }

    @Test func tellsOriginsApart() throws {
        let url = try WebSocketURL("ws://h/a")
        #expect(url.isSameOrigin(as: try WebSocketURL("ws://H:80/b")))
        for other in ["wss://h", "ws://h:81", "ws://h2", "wss://h:80"] {
            #expect(!url.isSameOrigin(as: try WebSocketURL(other)), "\(other)")
        }
    }
}
