import EngineIO
import NIOCore
import TestSupport
import Testing

@testable import RedisSocketIO

@Suite struct ForwardingMessageTests {
    private static let id: UInt64 = 0x0102_0304_0506_0708
    private static let head = "AAAAAB\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}\u{8}"
    private static let none = "AAAAAB" + String(repeating: "\0", count: 8)
    private static let sid = "BBBBBB-_345678901234"

    private static func messages() throws -> [(ForwardingMessage.Content, String)] {
        func request(_ kind: EngineIOForwardedRequest.Kind) throws -> ForwardingMessage.Content {
            .request(try #require(EngineIOForwardedRequest(sessionID: sid, kind)), id: id)
        }
        func answer(_ answer: EngineIOForwardedAnswer) -> ForwardingMessage.Content { .answer(answer, id: id) }
        let body = ByteBuffer(string: "4ä")
        return [
            (try request(.poll(acceptsGzip: false)), "\u{1}\u{1}\(head)\(sid)\u{0}"),
            (try request(.poll(acceptsGzip: true)), "\u{1}\u{1}\(head)\(sid)\u{1}"),
            (try request(.post(body, isBinary: false)), "\u{1}\u{2}\(head)\(sid)\u{0}4ä"),
            (try request(.post(ByteBuffer(), isBinary: true)), "\u{1}\u{2}\(head)\(sid)\u{1}"),
            (.cancel(id: id), "\u{1}\u{3}\(head)"),
            (.release(id: id), "\u{1}\u{4}\(head)"),
            (answer(.packets(body, isCompressed: false)), "\u{1}\u{5}\(head)\u{0}4ä"),
            (answer(.packets(body, isCompressed: true)), "\u{1}\u{5}\(head)\u{1}4ä"),
            (answer(.ok), "\u{1}\u{5}\(head)\u{2}"),
            (answer(.refused), "\u{1}\u{5}\(head)\u{3}"),
            (answer(.badRequest), "\u{1}\u{5}\(head)\u{4}"),
            (answer(.contentTooLarge), "\u{1}\u{5}\(head)\u{5}"),
            (answer(.sessionUnknown), "\u{1}\u{5}\(head)\u{6}"),
            (.ping, "\u{1}\u{6}\(none)"),
            (.pong, "\u{1}\u{7}\(none)"),
        ]
    }

    @Test func messagesAreTheseBytes() throws {
        let node = try #require(EngineIONode("AAAAAB"))
        for (content, text) in try Self.messages() {
            let message = ForwardingMessage(node: node, content)
            #expect(String(buffer: message.encoded) == text)
            #expect(try ForwardingMessage(ByteBuffer(string: text)) == message)
        }
    }

    /// Whoever can write to Redis can write anything.
    @Test func whatNoNodeSendsIsRefused() throws {
        for (content, text) in try Self.messages() {
            let bytes = Array(text.utf8)
            for count in 0..<bytes.count {
                // A body may be any bytes, so that a part of one is one.
                let isBody =
                    switch content {
                    case .request(let request, _): if case .post = request.kind { count >= 37 } else { false }
                    case .answer(.packets, _): count >= 17
                    default: false
                    }
                if !isBody { #expect(throws: ForwardingError.self) { try ForwardingMessage(ByteBuffer(bytes: bytes[..<count])) } }
            }
            let hasBody =
                switch content {
                case .request(let request, _): if case .post = request.kind { true } else { false }
                case .answer(.packets, _): true
                default: false
                }
            if !hasBody { #expect(throws: ForwardingError.self) { try ForwardingMessage(ByteBuffer(bytes: bytes + [0])) } }
        }
    }

    @Test(
        arguments: [
            "\u{2}\u{6}\(none)", "\u{0}\u{6}\(none)", "\u{1}\u{0}\(none)", "\u{1}\u{8}\(none)", "\u{1}\u{6}\(head)", "\u{1}\u{7}\(head)",
            "\u{1}\u{3}AAAA=B\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}\u{8}", "\u{1}\u{5}\(head)\u{7}", "\u{1}\u{1}\(head)\(sid)\u{2}",
            "\u{1}\u{2}\(head)BBBBBB-_34567890123=\u{0}", "\u{1}\u{1}\(head)BBBBBB-_345678901é\u{0}", "{}", #"{"uid":"x"}"#,
        ])
    func whatIsWrongIsRefused(text: String) {
        #expect(throws: ForwardingError.self) { try ForwardingMessage(ByteBuffer(string: text)) }
    }

    @Test func anyBytesAreReadOrRefused() throws {
        var generator = SeededGenerator(seed: 8)
        let messages = try Self.messages().map { Array($0.1.utf8) }
        for _ in 0..<20_000 {
            var bytes = messages.randomElement(using: &generator) ?? []
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: .min ... .max, using: &generator)
            }
            // What is read is what is written.
            if let message = try? ForwardingMessage(ByteBuffer(bytes: bytes)) { #expect(message.encoded == ByteBuffer(bytes: bytes)) }
        }
    }
}
