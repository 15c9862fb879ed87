// Which proxy a client connects through.

import Testing

@testable import WebSockets

@Suite struct ProxyTests {
    @Test func isDescribedWithoutCredentials() {
        #expect(
            Proxy.http(host: "proxy.example", port: 3128, user: "user", password: "secret").description == "HTTP proxy proxy.example:3128")
        #expect(Proxy.socks5(host: "127.0.0.1", port: 1080).description == "SOCKS5 proxy 127.0.0.1:1080")
    }

    /// A password without a user is none; a user may have an empty password.
    @Test func joinsUserAndPassword() {
        #expect(Proxy.http(host: "h", port: 1, user: "user", password: "pass:word").kind == .http(credentials: "user:pass:word"))
        #expect(Proxy.http(host: "h", port: 1, user: "user").kind == .http(credentials: "user:"))
        #expect(Proxy.http(host: "h", port: 1, password: "secret").kind == .http(credentials: nil))
    }
}
