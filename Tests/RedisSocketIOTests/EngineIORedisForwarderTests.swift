// A node that passes requests on, and one that answers them, message by message: EngineIORedisForwarder.swift.

import EngineIO
import HTTPTypes
import Logging
import NIOConcurrencyHelpers
import NIOCore
import RedisPubSub
import TestSupport
import Testing
import WebSockets

@testable import RedisSocketIO

/// A node whose Redis is the test.
private final class ForwardingNode {
    let redis = ScriptedRedis()
    let engine: EngineIOServer
    let forwarder: EngineIORedisForwarder
    let notes = Notes()
    let answers = NIOLockedValueBox<[EngineIOForwardedAnswer]>([])
    let other: EngineIONode

    init(_ configuration: EngineIORedisForwarderConfiguration = EngineIORedisForwarderConfiguration()) throws {
        let (redis, notes) = (redis, notes)
        let made = NIOLockedValueBox<EngineIORedisForwarder?>(nil)
        let node = try #require(EngineIONode("NODE-A"))
        var settings = EngineIOConfiguration()
        settings.forwarder = { engine in
            let forwarder = EngineIORedisForwarder(engine, link: redis, configuration, node: node, firstID: 7)
            made.withLockedValue { $0 = forwarder }
            return forwarder
        }
        engine = EngineIOServer(configuration: settings) { _ in NotingHandler(notes) }
        forwarder = try #require(made.withLockedValue { $0 })
        other = try #require(EngineIONode("NODE-B"))
        forwarder.received(.subscribed, of: .channel("socket.io-engine.io#NODE-A#"))
    }

    /// What it has said since this was last asked: the channel, and the message.
    func said() throws -> [String] { try redis.takeSaid().map { try Self.text($0) } }

    static func text(_ said: ScriptedRedis.Said) throws -> String {
        let message = try ForwardingMessage(said.bytes)
        return "\(said.channel) \(message.node) \(describe(message.content))"
    }

    private static func describe(_ content: ForwardingMessage.Content) -> String {
        switch content {
        case .request(let request, let id):
            switch request.kind {
            case .poll: "poll \(id) \(request.sessionID.prefix(6))"
            case .post(let body, _): "post \(id) \(request.sessionID.prefix(6)) \(String(buffer: body))"
            }
        case .answer(.packets(let payload, _), let id): "answer \(id) \(String(buffer: payload))"
        case .answer(let answer, let id): "answer \(id) \(answer)"
        default: "\(content)"
        }
    }

    func hear(_ content: ForwardingMessage.Content, from node: EngineIONode? = nil) {
        let bytes = ForwardingMessage(node: node ?? other, content).encoded
        let channel = "socket.io-engine.io#NODE-A#"
        forwarder.received(.message(channel: channel, bytes), of: .channel(channel))
    }

    func forward(_ sid: String = "NODE-BAAAAAAAAAAAAAA", _ kind: EngineIOForwardedRequest.Kind = .poll(acceptsGzip: false)) throws
        -> @Sendable () -> Void
    {
        let answers = answers
        return forwarder.forward(try #require(EngineIOForwardedRequest(sessionID: sid, kind))) { answer in
            answers.withLockedValue { $0.append(answer) }
        }
    }

    var answered: [EngineIOForwardedAnswer] { answers.withLockedValue { $0 } }

    /// Opens a session here, and gives its id.
    func open() throws -> String {
        let answer = NIOLockedValueBox("")
        let head = HTTPRequest(method: .get, scheme: "http", authority: "a", path: "/socket.io/?EIO=4&transport=polling")
        engine.handle(ServerRequest(head: head)) { _, body in answer.withLockedValue { $0 = String(buffer: body) } }
        return String(answer.withLockedValue { $0 }.dropFirst(#"0{"sid":""#.count).prefix(20))
    }

    func request(_ sid: String, _ id: UInt64, _ kind: EngineIOForwardedRequest.Kind = .poll(acceptsGzip: false)) throws
        -> ForwardingMessage.Content
    { .request(try #require(EngineIOForwardedRequest(sessionID: sid, kind)), id: id) }
}

private final class NotingHandler: EngineIOHandler {
    let notes: Notes
    init(_ notes: Notes) { self.notes = notes }
    func received(_ message: Message, from session: EngineIOSession) {
        notes.add("received \(message.text ?? "")")
        session.send(message)
    }
    func closed(_ session: EngineIOSession, _ closure: EngineIOClosure) { notes.add("closed: \(closure.reason)") }
}

@Suite struct EngineIORedisForwarderTests {
    private static let toB = "socket.io-engine.io#NODE-B# NODE-A"

    // MARK: The node that the client speaks to

    @Test func passesOnAndGivesTheAnswerBack() throws {
        let node = try ForwardingNode()
        #expect(node.redis.subscribed == [.channel("socket.io-engine.io#NODE-A#")])
        _ = try node.forward()
        _ = try node.forward("NODE-BAAAAAAAAAAAAAA", .post(ByteBuffer(string: "4a"), isBinary: false))
        #expect(try node.said() == ["\(Self.toB) poll 7 NODE-B", "\(Self.toB) post 8 NODE-B 4a"])
        node.hear(.answer(.ok, id: 8))
        node.hear(.answer(.packets(ByteBuffer(string: "4b"), isCompressed: false), id: 7))
        node.hear(.answer(.ok, id: 7))
        #expect(node.answered == [.ok, .packets(ByteBuffer(string: "4b"), isCompressed: false)], "once each")
    }

    @Test func anotherNodesAnswersDoNotCount() throws {
        let node = try ForwardingNode()
        _ = try node.forward()
        node.hear(.answer(.ok, id: 7), from: EngineIONode("NODE-C"))
        #expect(node.answered == [])
    }

    @Test func whoeverHasGoneIsMissedThere() throws {
        let node = try ForwardingNode()
        let cancel = try node.forward()
        cancel()
        cancel()
        #expect(try node.said() == ["\(Self.toB) poll 7 NODE-B", "\(Self.toB) cancel(id: 7)"])
        node.hear(.answer(.ok, id: 7))
        #expect(node.answered == [])
    }

    @Test func aNodeThatNobodyHearsIsGone() throws {
        let node = try ForwardingNode()
        _ = try (node.forward(), node.forward(), node.forward("NODE-CAAAAAAAAAAAAAA"))
        let said = node.redis.takeSaid()
        said[0].heard?(1)
        #expect(node.answered == [])
        said[1].heard?(0)
        #expect(node.answered == [.sessionUnknown, .sessionUnknown])
        said[2].heard?(nil)
        #expect(node.answered == [.sessionUnknown, .sessionUnknown, .sessionUnknown])
        #expect(node.forwarder.state.withLockedValue { $0.pendingBytes } == 0)
    }

    @Test func withoutRedisSessionsAreUnknownAtOnce() throws {
        let node = try ForwardingNode()
        _ = try node.forward()
        node.forwarder.received(.unsubscribed, of: .channel("socket.io-engine.io#NODE-A#"))
        #expect(node.answered == [.sessionUnknown])
        _ = try node.forward()
        #expect(node.answered == [.sessionUnknown, .sessionUnknown])
        node.forwarder.received(.subscribed, of: .channel("socket.io-engine.io#NODE-A#"))
        _ = try node.forward()
        #expect(node.answered.count == 2)
    }

    @Test func aNodeThatIsSilentIsGone() throws {
        let node = try ForwardingNode()
        _ = try node.forward()
        #expect(node.redis.timerCount == 1)
        node.redis.passTime()
        #expect(try node.said() == ["\(Self.toB) poll 7 NODE-B", "\(Self.toB) ping"])
        node.hear(.pong)
        node.redis.passTime()
        #expect(try node.said() == ["\(Self.toB) ping"])
        #expect(node.answered == [])
        node.redis.passTime()
        #expect(node.answered == [.sessionUnknown])
        #expect(try node.said() == ["\(Self.toB) cancel(id: 7)"])
        #expect(node.redis.timerCount == 0, "nothing is under way")
        _ = try node.forward()
        #expect(node.redis.timerCount == 1)
    }

    @Test func aNodeThatDiesWhileItHoldsAPollIsFound() throws {
        let node = try ForwardingNode()
        _ = try node.forward()
        node.redis.passTime()
        node.redis.takeSaid().last?.heard?(0)
        #expect(node.answered == [.sessionUnknown])
    }

    @Test func limitsHold() throws {
        var configuration = EngineIORedisForwarderConfiguration()
        configuration.maxRequests = 2
        configuration.maxPendingBytes = 200
        configuration.logger.logLevel = .critical
        let node = try ForwardingNode(configuration)
        let body = ByteBuffer(repeating: 52, count: 100)
        _ = try node.forward("NODE-BAAAAAAAAAAAAAA", .post(body, isBinary: false))
        _ = try node.forward("NODE-BAAAAAAAAAAAAAA", .post(body, isBinary: false))
        #expect(node.answered == [.overloaded], "Redis has not taken the first")
        node.redis.takeSaid().first?.heard?(1)
        _ = try (node.forward(), node.forward())
        #expect(node.answered == [.overloaded, .overloaded])
    }

    @Test func aNodeThatShutsDownAsksForItsPolls() throws {
        let node = try ForwardingNode()
        _ = try node.forward()
        _ = try node.forward("NODE-BAAAAAAAAAAAAAA", .post(ByteBuffer(), isBinary: false))
        _ = try node.said()
        node.forwarder.drain()
        #expect(try node.said() == ["\(Self.toB) release(id: 7)"])
    }

    // MARK: The node that has the session

    @Test func answersForAnotherNode() throws {
        let node = try ForwardingNode()
        let sid = try node.open()
        #expect(sid.hasPrefix("NODE-A"))
        node.hear(try node.request(sid, 1))
        #expect(try node.said() == [])
        node.hear(try node.request(sid, 2, .post(ByteBuffer(string: "4a"), isBinary: false)))
        #expect(try node.said() == ["\(Self.toB) answer 1 4a", "\(Self.toB) answer 2 ok"])
        #expect(node.notes.lines == ["received a"])
        #expect(node.forwarder.state.withLockedValue { $0.served.isEmpty })
    }

    @Test func twoPollsAtATimeAreRefused() throws {
        let node = try ForwardingNode()
        let sid = try node.open()
        node.hear(try node.request(sid, 1))
        node.hear(try node.request(sid, 1), from: EngineIONode("NODE-C"))
        #expect(try node.said() == ["\(Self.toB) answer 1 1", "socket.io-engine.io#NODE-C# NODE-A answer 1 refused"])
        #expect(node.notes.lines == ["closed: transport error"])
    }

    @Test func endsASessionWhosePollIsBrokenOff() throws {
        let node = try ForwardingNode()
        node.hear(try node.request(try node.open(), 1))
        node.hear(.cancel(id: 1), from: EngineIONode("NODE-C"))
        node.hear(.cancel(id: 2))
        #expect(node.notes.lines == [])
        node.hear(.cancel(id: 1))
        #expect(node.notes.lines == ["closed: transport error"])
        #expect(try node.said() == [], "nobody waits")
    }

    @Test func answersAPollThatIsReleased() throws {
        let node = try ForwardingNode()
        let sid = try node.open()
        node.hear(try node.request(sid, 1))
        node.hear(.release(id: 1))
        node.hear(.release(id: 1))
        #expect(try node.said() == ["\(Self.toB) answer 1 6"])
        node.hear(try node.request(sid, 2))
        #expect(try node.said() == [], "the session goes on")
    }

    @Test func saysThatItIsThere() throws {
        let node = try ForwardingNode()
        node.hear(.ping)
        #expect(try node.said() == ["\(Self.toB) pong"])
    }

    @Test func whatItHasNotIsUnknown() throws {
        let node = try ForwardingNode()
        node.hear(try node.request("NODE-AAAAAAAAAAAAAAA", 1))
        node.hear(try node.request("NODE-CAAAAAAAAAAAAAA", 2))
        #expect(try node.said() == ["\(Self.toB) answer 1 sessionUnknown", "\(Self.toB) answer 2 sessionUnknown"])
    }

    @Test func aNumberIsNotUsedTwice() throws {
        var configuration = EngineIORedisForwarderConfiguration()
        configuration.logger.logLevel = .critical
        let node = try ForwardingNode(configuration)
        let sid = try node.open()
        node.hear(try node.request(sid, 1))
        node.hear(try node.request(sid, 1))
        #expect(node.notes.lines == [])
        node.hear(.release(id: 1))
        #expect(try node.said() == ["\(Self.toB) answer 1 6"])
    }

    @Test func whatNoNodeSendsIsDropped() throws {
        var configuration = EngineIORedisForwarderConfiguration()
        configuration.logger.logLevel = .critical
        let node = try ForwardingNode(configuration)
        _ = try node.forward()
        _ = try node.said()
        let channel = "socket.io-engine.io#NODE-A#"
        for text in ["", "{}", "\u{1}\u{5}NODE-B\0\0\0\0\0\0\0\u{7}\u{9}"] {
            node.forwarder.received(.message(channel: channel, ByteBuffer(string: text)), of: .channel(channel))
        }
        #expect(node.answered == [])
        #expect(try node.said() == [])
    }
}
