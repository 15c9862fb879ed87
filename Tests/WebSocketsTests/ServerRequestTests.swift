// What is asked and what is answered.

import HTTPTypes
import NIOCore
import Testing

@testable import WebSockets

@Suite struct ServerRequestTests {
    private func request(_ path: String?) -> ServerRequest {
        ServerRequest(
            head: HTTPRequest(method: .get, scheme: "http", authority: "a", path: path), body: ByteBuffer(), remoteAddress: nil,
            isSecure: false)
    }

    @Test(arguments: [("/", "/"), ("/a/b", "/a/b"), ("/a?b=c", "/a"), ("/?", "/"), ("/a?b?c", "/a")])
    func thePathIsWithoutTheQuery(_ path: String, _ expected: String) { #expect(request(path).path == expected) }

    @Test(arguments: [
        ("/a?b=c", "c"), ("/a?x=1&b=c&b=d", "c"), ("/a?b=", ""), ("/a?b", ""), ("/a?b=c=d", "c=d"), ("/a?%62=%C3%BC+x", "ü x"), ("/a", nil),
        ("/a?bb=c", nil), ("/a?b=%zz", nil), ("/a?&&b=c", "c"), ("/?b=c?d", "c?d"),
    ])
    func theQueryIsDecoded(_ path: String, _ expected: String?) { #expect(request(path).query("b") == expected) }

    @Test func aRequestWithoutAPathIsOfTheRoot() { #expect(request(nil).path == "/") }

    @Test func responsesSayTheirType() {
        let types = [ServerResponse.text("a"), .html("a"), .json("a")].map { $0.head.headerFields[.contentType] }
        #expect(types == ["text/plain; charset=utf-8", "text/html; charset=utf-8", "application/json"])
        for response in [ServerResponse.text("grüße"), .html("grüße"), .json("grüße")] {
            #expect(response.head.status == .ok)
            // A browser must not read something else into it.
            #expect(response.head.headerFields[.xContentTypeOptions] == "nosniff")
            #expect(String(buffer: response.body) == "grüße")
        }
    }

    @Test func aStatusAloneIsAWholeRefusal() throws {
        guard case .reject(let response) = Upgrade<Void>.reject(.unauthorized).decision else {
            Issue.record("a refusal became something else")
            return
        }
        #expect(response.head.status == .unauthorized)
        #expect(String(buffer: response.body) == "Unauthorized\n")
    }
}
