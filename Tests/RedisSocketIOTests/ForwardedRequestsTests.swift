import EngineIO
import NIOConcurrencyHelpers
import NIOCore
import Testing

@testable import RedisSocketIO

@Suite struct ForwardedRequestsTests {
    private var requests = ForwardedRequests(limit: 4, pollTime: .seconds(50), postTime: .seconds(5), firstID: .max)
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func request(_ node: String, isPost: Bool = false) throws -> EngineIOForwardedRequest {
        try #require(
            EngineIOForwardedRequest(
                sessionID: node + "AAAAAAAAAAAAAA", isPost ? .post(ByteBuffer(), isBinary: false) : .poll(acceptsGzip: true)))
    }

    private mutating func add(_ node: String, isPost: Bool = false) throws -> UInt64? {
        requests.add(try request(node, isPost: isPost), now: start) { _ in }
    }

    @Test mutating func numbersGoOnAndAroundUpToTheLimit() throws {
        #expect(try (0..<5).map { _ in try add("AAAAAA") } == [.max, 0, 1, 2, nil])
        #expect(requests.remove(0) != nil)
        #expect(requests.remove(0) == nil)
        #expect(try add("AAAAAA") == 3)
        #expect(requests.count == 4)
    }

    @Test mutating func onlyTheNodeItselfAnswers() throws {
        let id = try #require(try add("AAAAAA"))
        #expect(requests.remove(id, answeredBy: EngineIONode("AAAAAB") ?? EngineIONode()) == nil)
        #expect(requests.remove(id, answeredBy: EngineIONode("AAAAAA") ?? EngineIONode()) != nil)
        #expect(requests.isEmpty)
    }

    @Test mutating func aNodeThatIsGoneTakesItsRequestsAlong() throws {
        _ = try (add("AAAAAA"), add("AAAAAB"), add("AAAAAA"))
        #expect(requests.removeAll(of: EngineIONode("AAAAAA") ?? EngineIONode()).count == 2)
        #expect(requests.count == 1)
        #expect(requests.removeAll().count == 1)
        #expect(requests.check(now: start).asked.isEmpty)
    }

    @Test mutating func aNodeIsAskedUntilItIsSilent() throws {
        let node = try #require(EngineIONode("AAAAAA"))
        _ = try add("AAAAAA")
        for _ in 0..<3 {
            let check = requests.check(now: start)
            #expect(check.asked == [node])
            #expect(check.failed.isEmpty)
            requests.heard(node)
        }
        // What comes later counts as little as what came before: it is silent since it was asked.
        #expect(requests.check(now: start).asked == [node])
        _ = try add("AAAAAA")
        let check = requests.check(now: start)
        #expect(check.asked == [])
        #expect(check.failed.map(\.id).sorted() == [0, .max])
        #expect(requests.isEmpty)
    }

    @Test mutating func whatTakesTooLongFails() throws {
        let node = try #require(EngineIONode("AAAAAA"))
        let (poll, post) = try (add("AAAAAA"), add("AAAAAA", isPost: true))
        #expect(requests.check(now: start + .seconds(5) - .nanoseconds(1)).failed.isEmpty)
        requests.heard(node)
        #expect(requests.check(now: start + .seconds(5)).failed.map(\.id) == [post])
        requests.heard(node)
        #expect(requests.check(now: start + .seconds(50)).failed.map(\.id) == [poll])
        #expect(requests.isEmpty)
    }

    @Test mutating func onlyPollsAreReleased() throws {
        _ = try (add("AAAAAA"), add("AAAAAB", isPost: true))
        #expect(requests.polls.map(\.node.description) == ["AAAAAA"])
    }
}
