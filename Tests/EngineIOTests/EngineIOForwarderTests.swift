// Requests that come to the wrong node: EngineIOForwarder.swift, EngineIOServer+Forwarding.swift, EngineIOAnswer.swift. The nodes are in one
// program and call each other; that they can be told by messages is tested with RedisSocketIO.

import HTTPTypes
import NIOConcurrencyHelpers
import NIOCore
import Testing
import WebSockets

@testable import EngineIO

/// Passes requests on to the servers of one list.
private final class ListForwarder: EngineIOForwarder {
    typealias List = NIOLockedValueBox<[EngineIONode: EngineIOServer]>

    let node = EngineIONode()
    private let list: List
    private let waiting = NIOLockedValueBox<[EngineIOExchange]>([])
    /// What it has passed on.
    let passed = NIOLockedValueBox<[EngineIOForwardedRequest]>([])

    init(_ list: List, _ engine: EngineIOServer) {
        self.list = list
        list.withLockedValue { $0[node] = engine }
    }

    func forward(
        _ request: EngineIOForwardedRequest, answered: @escaping @Sendable (EngineIOForwardedAnswer) -> Void
    ) -> @Sendable () -> Void {
        passed.withLockedValue { $0.append(request) }
        guard let engine = list.withLockedValue({ $0[request.node] }) else {
            answered(.sessionUnknown)
            return {}
        }
        let exchange = engine.serve(request, answered: answered)
        waiting.withLockedValue { $0.append(exchange) }
        return { exchange.cancel() }
    }

    func drain() { for exchange in waiting.withLockedValue({ $0 }) { exchange.release() } }
}

/// Two nodes, and what their sessions saw.
private final class Pair {
    let journal = Journal()
    let servers: [EngineIOServer]
    private let list = ListForwarder.List([:])

    init(_ adjust: (inout EngineIOConfiguration) -> Void = { _ in }) {
        var configuration = EngineIOConfiguration()
        adjust(&configuration)
        configuration.forwarder = { [list] in ListForwarder(list, $0) }
        let journal = journal
        servers = (0..<2).map { _ in
            EngineIOServer(configuration: configuration) { session in
                journal.add(session)
                return EchoHandler(journal)
            }
        }
    }

    deinit { list.withLockedValue { $0 = [:] } }

    var session: EngineIOSession { get throws { try #require(journal.sessions.first) } }
    func passed(by node: Int) -> [EngineIOForwardedRequest] {
        (servers[node].forwarder as? ListForwarder)?.passed.withLockedValue { $0 } ?? []
    }

    /// Sends a request to a node; its answer may come later.
    func ask(
        _ node: Int, _ method: HTTPRequest.Method, _ query: String, _ body: String = "", fields: HTTPFields = [:]
    ) -> Answer {
        let head = HTTPRequest(
            method: method, scheme: "http", authority: "a", path: "/socket.io/?EIO=4&transport=polling\(query)", headerFields: fields)
        let answer = Answer()
        answer.exchange = servers[node].handle(ServerRequest(head: head, body: ByteBuffer(string: body))) { answer.take($0, $1) }
        return answer
    }

    func open() throws -> String { try sid(in: ask(0, .get, "").body) }
}

/// What comes of a request.
private final class Answer: Sendable {
    private let parts = NIOLockedValueBox<(HTTPResponse, ByteBuffer)?>(nil)
    private let kept = NIOLockedValueBox<EngineIOExchange?>(nil)

    var exchange: EngineIOExchange? {
        get { kept.withLockedValue { $0 } }
        set { kept.withLockedValue { $0 = newValue } }
    }
    func take(_ head: HTTPResponse, _ body: ByteBuffer) { parts.withLockedValue { $0 = (head, body) } }
    /// nil while there is none.
    var status: Int? { parts.withLockedValue { $0?.0.status.code } }
    var fields: HTTPFields { parts.withLockedValue { $0?.0.headerFields ?? [:] } }
    var body: String { parts.withLockedValue { $0.map { String(buffer: $0.1) } ?? "" } }
    var bytes: ByteBuffer { parts.withLockedValue { $0?.1 ?? ByteBuffer() } }
}

@Suite(.timeLimit(.minutes(1))) struct EngineIOForwarderTests {
    @Test func aSessionIsServedByEitherNode() throws {
        let pair = Pair()
        let sid = try pair.open()
        #expect(pair.ask(1, .post, "&sid=\(sid)", "4a\u{1E}4b").body == "ok")
        let poll = pair.ask(1, .get, "&sid=\(sid)")
        #expect(poll.status == 200)
        #expect(poll.body == "4a\u{1E}4b")
        #expect(poll.fields[.contentType] == "text/plain; charset=UTF-8")
        #expect(poll.fields[.cacheControl] == "no-store")
        #expect(pair.ask(0, .post, "&sid=\(sid)", "4c").body == "ok")
        #expect(pair.ask(0, .get, "&sid=\(sid)").body == "4c")
        #expect(pair.journal.lines == ["opened", "received a", "received b", "received c"])
        #expect(pair.passed(by: 0) == [], "what is here is not passed on")
        let ask = pair.passed(by: 1)
        #expect(ask.map(\.kind) == [.post(ByteBuffer(string: "4a\u{1E}4b"), isBinary: false), .poll(acceptsGzip: false)])
        #expect(ask.allSatisfy { $0.sessionID == sid })
        #expect(pair.servers.map(\.sessionCount) == [1, 0])
    }

    @Test func aPollWaitsAtTheOtherNode() throws {
        let pair = Pair()
        let sid = try pair.open()
        let poll = pair.ask(1, .get, "&sid=\(sid)")
        #expect(poll.status == nil)
        try pair.session.send(.text("late"))
        #expect(poll.body == "4late")
    }

    @Test(arguments: [[0, 1], [1, 0], [1, 1]]) func twoPollsAtATimeEndTheSession(nodes: [Int]) throws {
        let pair = Pair()
        let sid = try pair.open()
        let (first, second) = (pair.ask(nodes[0], .get, "&sid=\(sid)"), pair.ask(nodes[1], .get, "&sid=\(sid)"))
        #expect(first.body == "1")
        #expect(second.status == 400)
        #expect(second.body == "")
        #expect(pair.journal.lines == ["opened", "closed: transport error"])
        let third = pair.ask(1, .get, "&sid=\(sid)")
        #expect(third.status == 400)
        #expect(third.body == #"{"code":1,"message":"Session ID unknown"}"#)
        #expect(third.fields[.contentType] == "application/json")
    }

    @Test func aClientThatGoesIsMissedByTheOtherNode() throws {
        let pair = Pair()
        let poll = pair.ask(1, .get, "&sid=\(try pair.open())")
        poll.exchange?.cancel()
        #expect(pair.journal.lines == ["opened", "closed: transport error"])
        #expect(poll.status == nil)
    }

    @Test func aNodeThatShutsDownHasItsPollsAnswered() throws {
        let pair = Pair()
        let sid = try pair.open()
        let poll = pair.ask(1, .get, "&sid=\(sid)")
        pair.servers[1].drain()
        #expect(poll.body == "6")
        #expect(pair.ask(0, .post, "&sid=\(sid)", "4a").body == "ok")
        #expect(pair.ask(0, .get, "&sid=\(sid)").body == "4a", "the session goes on")
    }

    @Test func mistakesAreAnsweredAsOnOneNode() throws {
        for node in 0..<2 {
            let pair = Pair { $0.maxPayload = 10 }
            let sid = try pair.open()
            #expect(pair.ask(node, .post, "&sid=\(sid)", "4" + String(repeating: "a", count: 10)).status == 413)
            #expect(pair.ask(node, .put, "&sid=\(sid)").status == 400)
            #expect(pair.journal.lines == ["opened"])
            let bad = pair.ask(node, .post, "&sid=\(sid)", "9")
            #expect(bad.status == 400)
            #expect(bad.body == "")
            #expect(pair.journal.lines == ["opened", "closed: parse error"])
        }
    }

    @Test func aBinaryPostIsRefused() throws {
        let pair = Pair()
        let sid = try pair.open()
        #expect(pair.ask(1, .post, "&sid=\(sid)", "4a", fields: [.contentType: "application/octet-stream"]).status == 400)
        #expect(pair.journal.lines == ["opened", "closed: transport error"])
    }

    @Test func anotherNodesAnswersAreCompressedIfTheClientTakesIt() throws {
        let pair = Pair { $0.compressionThreshold = 100 }
        let sid = try pair.open()
        let text = String(repeating: "a", count: 1000)
        for (accepts, encoding) in [("gzip", "gzip"), ("br", nil)] {
            try pair.session.send(.text(text))
            let poll = pair.ask(1, .get, "&sid=\(sid)", fields: [.acceptEncoding: accepts])
            #expect(poll.fields[.contentEncoding] == encoding)
            #expect(poll.bytes.readableBytes == (encoding == nil ? 1001 : poll.bytes.readableBytes))
            #expect(encoding == nil || poll.bytes.readableBytes < 100)
        }
    }

    @Test func theNodeThatIsAskedAddsWhatConcernsTheClient() throws {
        let pair = Pair {
            $0.cors = EngineIOCORS(origins: .any)
            $0.headers = { fields, request in fields[.init("x-path") ?? .age] = request.path }
        }
        let poll = pair.ask(1, .post, "&sid=\(try pair.open())", "4a")
        #expect(poll.fields[values: .accessControlAllowOrigin] == ["*"])
        #expect(poll.fields[values: .init("x-path") ?? .age] == ["/socket.io/"])
    }

    @Test func sessionsOfNodesThatNobodyKnowsAreUnknown() throws {
        let pair = Pair()
        #expect(pair.ask(1, .get, "&sid=AAAAAAAAAAAAAAAAAAAA").body == #"{"code":1,"message":"Session ID unknown"}"#)
        #expect(pair.ask(1, .get, "&sid=AAAA").body == #"{"code":1,"message":"Session ID unknown"}"#)
        // Its own name, and an id that is none: it is not asked twice.
        let own = try #require(pair.servers[1].forwarder?.node.description)
        #expect(pair.ask(1, .get, "&sid=\(own)AAAAAAAAAAAAAA").status == 400)
        #expect(pair.passed(by: 1).count == 1)
    }

    @Test func aNodesNameIsSixCharacters() throws {
        for _ in 0..<100 {
            let node = EngineIONode()
            #expect(node.description.utf8.count == 6)
            #expect(EngineIONode(node.description) == node)
            let ids = (0..<10).map { _ in SessionID(node: node) }
            #expect(Set(ids).count == 10)
            for id in ids {
                #expect(id.node == node)
                #expect(id.text.hasPrefix(node.description))
                #expect(SessionID(id.text) == id)
            }
        }
        for text in ["", "AAAAA", "AAAAAAA", "AAAAA=", "AAAAÄ"] { #expect(EngineIONode(text) == nil) }
        #expect(EngineIOForwardedRequest(sessionID: "AAAA", .poll(acceptsGzip: false)) == nil)
    }

    /// Beside its node's name, all of an id's bits are random.
    @Test func anIDsOtherBitsAreAllUsed() {
        let node = EngineIONode()
        let ids = (0..<10_000).map { _ in SessionID(node: node).text }
        for position in 6..<20 { #expect(Set(ids.map { Array($0.utf8)[position] }).count == 64) }
    }
}
