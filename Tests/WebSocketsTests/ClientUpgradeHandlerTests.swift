import HTTPTypes
import Logging
import NIOCore
import NIOEmbedded
import NIOHTTP1
import NIOSSL
import Testing
import WebSocketCore

@testable import WebSockets

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#elseif canImport(Glibc)
import Glibc
#endif

/// The handshake on a channel in memory, so that every split of the bytes can be tried.
@Suite struct ClientUpgradeHandlerTests {
    private static let frames: [UInt8] = [0x81, 2, 0x68, 0x69, 0x82, 1, 0xFF, 0x01, 1, 0x61, 0x80, 1, 0x62]
    private static let expected: [Message] = [.text("hi"), .binary([0xFF]), .text("ab")]

    @Test func sendsTheRequest() throws {
        let session = try Session()
        let sent = try #require(try session.channel.readOutbound(as: ByteBuffer.self))
        #expect(
            String(buffer: sent) == """
                GET /p?q=1 HTTP/1.1\r
                Host: example.com\r
                Upgrade: websocket\r
                Connection: Upgrade\r
                Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r
                Sec-WebSocket-Version: 13\r
                Sec-WebSocket-Protocol: chat\r
                X-One: 1\r
                \r

                """)
        session.end()
    }

    @Test func losesNothingBehindTheAnswerAtAnySplit() throws {
        let answer = Array(Session.agreement().utf8) + Self.frames
        for split in 0...answer.count {
            let session = try Session()
            try session.receive(answer[..<split])
            try session.receive(answer[split...])
            #expect(session.handler.messages == Self.expected, "split at \(split)")
            #expect(session.agreement?.subprotocol == "chat")
            session.end()
        }
    }

    @Test func losesNothingWhenTheConnectionEndsAtOnce() throws {
        let session = try Session()
        try session.receiveAndEnd(Array(Session.agreement().utf8) + Self.frames + [0x88, 2, 0x03, 0xF5])
        #expect(session.handler.messages == Self.expected)
        #expect(session.handler.closure == Closure(code: .tryAgainLater, initiator: .remote, isClean: true))
        session.end()
    }

    /// The end, or what breaks the connection, does not overtake what came before it (`EndGate`).
    @Test func losesNothingHoweverTheConnectionEnds() throws {
        let answer = Array(Session.agreement().utf8)
        let bytes = answer + Self.frames
        let endings: [(any Error)?] = [nil, NIOSSLError.uncleanShutdown, IOError(errnoCode: ECONNRESET, reason: "read")]
        for place in 0...bytes.count {
            let splits = place < answer.count ? [0] : [0, answer.count - 1, answer.count, place - 1].filter { $0 < place }
            for split in splits {
                for (index, error) in endings.enumerated() {
                    let session = try Session()
                    try session.receiveAndEnd(bytes[..<split], bytes[split..<place], error)
                    let comment: Comment = "\(place) bytes, split at \(split), ending \(index)"
                    #expect((session.agreement != nil) == (place >= answer.count), comment)
                    #expect((session.failure != nil) == (place < answer.count), comment)
                    let whole = try WireFrame.messages(in: WireFrame.all(in: Array(bytes[min(answer.count, place)..<place])))
                    #expect(session.handler.messages == Array(Self.expected.prefix(whole.count)), comment)
                    // A broken end is told as one.
                    #expect(place < answer.count || session.handler.closure?.code == .abnormalClosure, comment)
                    session.end()
                }
            }
        }
    }

    @Test func losesNothingByteByByte() throws {
        let session = try Session()
        for byte in Array(Session.agreement().utf8) + Self.frames { try session.receive([byte]) }
        #expect(session.handler.messages == Self.expected)
        session.end()
    }

    @Test func sendsFramesOnceTheHTTPHandlersHaveLeft() throws {
        let session = try Session(greeting: "x")
        _ = try session.channel.readOutbound(as: ByteBuffer.self)
        try session.receive(Array(Session.agreement().utf8))
        let sent = try #require(try session.channel.readOutbound(as: ByteBuffer.self))
        // FIN and text, masked, one byte
        #expect(sent.getBytes(at: 0, length: 2) == [0x81, 0x81])
        #expect(sent.readableBytes == 7)
        #expect(throws: (any Error).self) { try session.channel.pipeline.syncOperations.context(handlerType: HTTPRequestEncoder.self) }
        #expect(throws: (any Error).self) { try session.channel.pipeline.syncOperations.context(handlerType: ClientUpgradeHandler.self) }
        session.end()
    }

    @Test func passesOverInformationalAnswers() throws {
        let session = try Session()
        try session.receive(Array(("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + Session.agreement()).utf8) + Self.frames)
        #expect(session.handler.messages == Self.expected)
        session.end()
    }

    @Test(arguments: [
        ("Sec-WebSocket-Accept: AAAA", "accept"), ("Upgrade: h2c", "upgrade"), ("Connection: close", "connection"),
        ("Sec-WebSocket-Protocol: other", "subprotocol"), ("Sec-WebSocket-Extensions: permessage-deflate", "extensions"),
    ])
    func refusesAWrongAgreement(line: String, rule: String) throws {
        let session = try Session()
        try session.receive(Array(Session.agreement(replacing: line).utf8))
        #expect(session.failure.map { ($0 as? HandshakeFailure)?.rule.rawValue } == rule)
        session.end()
    }

    /// NIO's parser does not see an `upgrade` with a tab behind it, and reads on.
    @Test func takesNoHTTPForFrames() throws {
        let session = try Session()
        let answer = Session.agreement(replacing: "Connection:\tUpgrade\t") + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        try session.receive(Array(answer.utf8))
        #expect(session.failure != nil && session.agreement == nil)
        session.end()
    }

    @Test func refusesAnAgreementInHTTP10() throws {
        let session = try Session()
        try session.receive(Array(Session.agreement().replacing("HTTP/1.1", with: "HTTP/1.0").utf8))
        #expect((session.failure as? HandshakeFailure)?.rule.rawValue == "http_version")
        session.end()
    }

    @Test func carriesARefusalAtAnySplit() throws {
        let answer = Array("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 4\r\n\r\nnope".utf8)
        for split in 0...answer.count {
            let session = try Session()
            try session.receive(answer[..<split])
            try session.receive(answer[split...])
            let refusal = try #require(session.refusal, "split at \(split)")
            #expect(refusal.response.status.code == 401)
            #expect(refusal.response.status.reasonPhrase == "Unauthorized")
            #expect(refusal.response.headerFields[.wwwAuthenticate] == "Basic")
            #expect(String(buffer: refusal.body) == "nope")
            #expect(!refusal.isTruncated)
            session.end()
        }
    }

    @Test func readsABodyThatEndsWithTheConnection() throws {
        let session = try Session()
        try session.receive(Array("HTTP/1.0 503 No\r\n\r\nlater".utf8))
        #expect(session.refusal == nil)
        session.end()
        #expect(session.refusal.map { String(buffer: $0.body) } == "later")
        #expect(session.refusal?.isTruncated == false)
    }

    @Test func saysThatABodyIsCut() throws {
        let session = try Session()
        try session.receive(Array("HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\nhalf".utf8))
        session.end()
        #expect(session.refusal.map { String(buffer: $0.body) } == "half")
        #expect(session.refusal?.isTruncated == true)
    }

    @Test(arguments: [(65_536, false), (65_537, true), (200_000, true)])
    func keepsALimitedBody(size: Int, isTruncated: Bool) throws {
        let session = try Session()
        try session.receive(Array("HTTP/1.1 404 No\r\nContent-Length: \(size)\r\n\r\n".utf8))
        var left = size
        while left > 0 {
            try session.receive([UInt8](repeating: 0x61, count: min(left, 1000)))
            left -= 1000
        }
        #expect(session.refusal?.body.readableBytes == 65_536)
        #expect(session.refusal?.isTruncated == isTruncated)
        session.end()
    }

    @Test func doesNotWaitForABodyThatNobodyWants() throws {
        let session = try Session(skipsBody: true)
        try session.receive(Array("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 99\r\n\r\n".utf8))
        #expect(session.refusal?.response.headerFields[.location] == "/x")
        session.end()
    }

    @Test(arguments: ["HELLO\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 101 x\r\nno colon\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\u{0}"])
    func failsOnWhatIsNotHTTP(answer: String) throws {
        let session = try Session()
        try? session.receive(Array(answer.utf8))
        #expect(session.failure is HTTPParserError)
        session.end()
    }

    @Test(arguments: [(96, 1, true), (97, 1, false), (1, 16_000, true), (1, 17_000, false)])
    func limitsTheHead(fields: Int, length: Int, isTaken: Bool) throws {
        let session = try Session()
        let line = "X: " + String(repeating: "a", count: length) + "\r\n"
        // The agreement has four fields of its own with the subprotocol, and the limit is 100.
        let more = String(repeating: line, count: fields)
        try? session.receive(Array(Session.agreement(more: more).utf8))
        #expect((session.agreement != nil) == isTaken)
        if !isTaken { #expect(session.failure is HTTPParserError) }
        session.end()
    }

    @Test func failsWhenTheServerCloses() throws {
        let session = try Session()
        try session.receive(Array("HTTP/1.1 101 Swi".utf8))
        session.end()
        #expect(session.failure != nil)
    }

    @Test func survivesAHandlerThatCutsTheConnectionAtOnce() throws {
        let session = try Session(cutsAtOnce: true)
        try session.receive(Array(Session.agreement().utf8) + Self.frames)
        #expect(session.handler.messages == [])
        #expect(session.handler.closure?.code == .abnormalClosure)
        session.end()
    }
}

/// A client's handshake on a channel in memory.
private final class Session {
    let channel = EmbeddedChannel()
    let handler: Recorder
    private(set) var agreement: ClientHandshake.Agreement?
    private(set) var refusal: (response: HTTPResponse, body: ByteBuffer, isTruncated: Bool)?
    private(set) var failure: (any Error)?
    private let handshake: ClientHandshake

    init(greeting: String? = nil, skipsBody: Bool = false, cutsAtOnce: Bool = false) throws {
        handshake = try ClientHandshake(
            authority: "example.com", path: "/p?q=1", isSecure: false, subprotocols: ["chat"], additional: [.init("X-One")!: "1"],
            random: .zero)
        handler = Recorder(greeting: greeting, cutsAtOnce: cutsAtOnce)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 80)).wait()
        let upgrade = ClientUpgradeHandler(handshake, skipsBody: { _ in skipsBody }, onSecured: {}, report: { self.take($0) })
        try upgrade.addTo(channel.pipeline.syncOperations)
    }

    private func take(_ result: ClientUpgradeHandler.Result) {
        switch result {
        case .agreed(let agreement, _):
            self.agreement = agreement
            let socket = WebSocket(
                .init(request: handshake.request), role: .client, configuration: .init(),
                thread: EventThread(eventLoop: channel.eventLoop, statistics: Statistics(role: .client)), inbox: nil)
            try? channel.pipeline.syncOperations.addHandler(NIOTransport(socket: socket, handler: handler))
        case .refused(let response, let body, let isTruncated): refusal = (response, body, isTruncated)
        case .failed(let error): failure = error
        }
    }

    func receive(_ bytes: some Sequence<UInt8>) throws {
        try channel.writeInbound(ByteBuffer(bytes: bytes))
        channel.embeddedEventLoop.run()
    }

    /// What one look at the socket brings if the peer has ended the connection already.
    func receiveAndEnd(_ bytes: some Sequence<UInt8>) throws {
        try channel.writeInbound(ByteBuffer(bytes: bytes))
        channel.pipeline.fireChannelInactive()
        channel.embeddedEventLoop.run()
    }

    /// The same in two reads, after an error if there is one.
    func receiveAndEnd(_ first: ArraySlice<UInt8>, _ second: ArraySlice<UInt8>, _ error: (any Error)?) throws {
        for bytes in [first, second] { try channel.writeInbound(ByteBuffer(bytes: bytes)) }
        if let error { channel.pipeline.fireErrorCaught(error) }
        channel.close(promise: nil)
        channel.embeddedEventLoop.run()
    }

    func end() { _ = try? channel.finish(acceptAlreadyClosed: true) }

    static func agreement(replacing line: String? = nil, more: String = "") -> String {
        var lines = [
            "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: \(AcceptKey.accept(for: "AAAAAAAAAAAAAAAAAAAAAA=="))",
            "Sec-WebSocket-Protocol: chat",
        ]
        if let line {
            let name = line.prefix { $0 != ":" }
            lines.removeAll { $0.hasPrefix(name) }
            lines.append(line)
        }
        return "HTTP/1.1 101 Switching Protocols\r\n" + lines.joined(separator: "\r\n") + "\r\n" + more + "\r\n"
    }
}

private final class Recorder: WebSocketHandler {
    private let greeting: String?
    private let cutsAtOnce: Bool
    private(set) var messages: [Message] = []
    private(set) var closure: Closure?

    init(greeting: String?, cutsAtOnce: Bool) {
        self.greeting = greeting
        self.cutsAtOnce = cutsAtOnce
    }

    func opened(_ socket: WebSocket) {
        if let greeting { socket.trySend(.text(greeting)) }
        if cutsAtOnce { socket.terminate() }
    }
    func received(_ message: Message, from socket: WebSocket) { messages.append(message) }
    func closed(_ socket: WebSocket, _ closure: Closure) { self.closure = closure }
}
