// Why a client has no connection, in words.

import HTTPTypes
import NIOCore
import Testing

@testable import WebSockets

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#elseif canImport(Glibc)
import Glibc
#endif

@Suite struct ConnectErrorTests {
    private let url: WebSocketURL

    init() throws { url = try WebSocketURL("ws://user:secret@example.com/chat") }

    @Test func saysWhereAndWhatWithoutCredentials() {
        let error = ConnectError(.timeout, url, "it took too long")
        #expect(error.description == "cannot connect to ws://example.com/chat: it took too long")
        #expect(!"\(error)".contains("secret"))
        #expect(error.kind == .timeout && error.underlying == nil)
    }

    @Test func putsTheSystemsErrorsIntoWords() {
        #expect(ConnectError.reason(IOError(errnoCode: ECONNREFUSED, reason: "connect")) == "connection refused; nothing listens there")
        #expect(ConnectError.reason(IOError(errnoCode: EHOSTUNREACH, reason: "connect")) == "no route to host")
        #expect(ConnectError.reason(ChannelError.connectTimeout(.seconds(1))) == "no answer in time")
        #expect(ConnectError.reason(CancellationError()) == "CancellationError()")
    }

    @Test func namesThePeerWhereOneAddressWasTried() {
        let error = ConnectError.unreachable(IOError(errnoCode: ECONNREFUSED, reason: "connect"), url, "example.com")
        #expect(error.kind == .unreachable && error.underlying is IOError)
        #expect(error.description.hasSuffix(": example.com: connection refused; nothing listens there"))
    }

    // MARK: Refusals

    private func refusal(_ status: HTTPResponse.Status, _ fields: HTTPFields = [:], _ body: String = "") -> String {
        HandshakeRefused(
            url: "ws://h/", response: HTTPResponse(status: status, headerFields: fields), body: ByteBuffer(string: body),
            isBodyTruncated: false
        ).description
    }

    @Test func saysWhatTheServerAnswered() {
        #expect(refusal(.unauthorized) == "ws://h/ opened no WebSocket: the server answered 401 Unauthorized")
        #expect(refusal(.init(code: 499)) == "ws://h/ opened no WebSocket: the server answered 499")
        #expect(refusal(.ok).hasSuffix("answered 200 OK, as to an ordinary request; is the path right?"))
        #expect(refusal(.init(code: 426, reasonPhrase: "x")).hasSuffix("answered 426 x"))
        let version = refusal(.init(code: 426, reasonPhrase: "x"), [.secWebSocketVersion: "8\u{9B}"])
        #expect(version.hasSuffix("answered 426 x, and speaks WebSocket version 8?"))
    }

    @Test func showsTheBeginningOfAPlainBody() {
        let plain: HTTPFields = [.contentType: "text/plain; charset=utf-8"]
        #expect(refusal(.forbidden, plain, "go away\nnow").hasSuffix("answered 403 Forbidden: go away"))
        #expect(refusal(.forbidden, plain).hasSuffix("answered 403 Forbidden"))
        #expect(refusal(.forbidden, [.contentType: "text/html"], "<p>").hasSuffix("answered 403 Forbidden"))
        #expect(refusal(.forbidden, plain, String(repeating: "x", count: 300)).hasSuffix(": " + String(repeating: "x", count: 200)))
    }

    /// It may be printed on a terminal, which obeys control characters.
    @Test(arguments: [("\u{1B}[2J", "?[2J"), ("a\u{9B}31m", "a?31m"), ("\u{7F}", "?"), ("a\tb", "a?b"), ("grüße €", "grüße €")])
    func shownTextIsFitForATerminal(text: String, shown: String) {
        #expect(HandshakeRefused.printable(text) == shown)
    }
}
