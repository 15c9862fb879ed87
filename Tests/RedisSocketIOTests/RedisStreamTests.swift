// The stream between a node and Redis, answer by answer.

import Logging
import NIOConcurrencyHelpers
import NIOCore
import SocketIO
import Testing

@testable import RedisPubSub
@testable import RedisSocketIO

/// Notes what it is told.
private final class Recorder: StreamReceiver {
    private let lines = NIOLockedValueBox<[String]>([])
    var told: [String] { lines.withLockedValue { $0 } }

    private func note(_ line: String) { lines.withLockedValue { $0.append(line) } }
    func received(_ message: SocketIOClusterMessage, _ id: StreamID) { note("other \(Self.name(message.content)) \(id)") }
    func placed(_ action: StreamAction, _ id: StreamID?) {
        guard case .other(let content) = action else { return note("?") }
        note("own \(Self.name(content)) \(id?.description ?? "nowhere")")
    }

    private static func name(_ content: SocketIOClusterMessage.Content) -> String {
        if case .broadcast(let event, _, _) = content { event.first?.string ?? "?" } else { "?" }
    }
}

/// What is logged.
private struct Lines: LogHandler {
    let lines = NIOLockedValueBox<[String]>([])
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { lines.withLockedValue { $0.append("\(event.level): \(event.message)") } }
}

@Suite struct RedisStreamTests {
    private let redis = ScriptedCommands()
    private let receiver = Recorder()
    private let log = Lines()
    private static let none = RESPValue.array([])
    private static let lost = RedisError.connectionLost("cut")

    private func makeStream(_ change: (inout SocketIORedisStreamsConfiguration) -> Void = { _ in }) -> RedisStream {
        var settings = SocketIORedisStreamsConfiguration()
        let handler = log
        settings.logger = Logger(label: "test") { _ in handler }
        change(&settings)
        let stream = RedisStream(redis, settings)
        stream.register(receiver, for: "/", node: "me")
        return stream
    }

    /// A stream that is up, with its last entry `5-0`.
    private func makeStreamThatIsUp(_ change: (inout SocketIORedisStreamsConfiguration) -> Void = { _ in }) throws -> RedisStream {
        let stream = makeStream(change)
        try redis.answer("CLIENT", .success(.bulk(ByteBuffer(string: "txt:id=7 addr=127.0.0.1:5000 laddr=127.0.0.1:6379 fd=8"))))
        try redis.answer("XREVRANGE", .success(.array([entry("5-0", "before", node: "other")])))
        #expect(stream.isUp && redis.reads.count == 1 && redis.reads[0].last == "5-0")
        return stream
    }

    private func message(_ event: String, node: String = "me") -> SocketIOClusterMessage {
        SocketIOClusterMessage(
            node: node, namespace: "/", .broadcast(event: [.string(event)], SocketIOBroadcastOptions(), requestID: nil))
    }

    private func entry(_ id: String, _ event: String, node: String = "me") -> RESPValue {
        .array([.bulk(ByteBuffer(string: id)), .array(message(event, node: node).fields.map { .bulk($0) })])
    }

    private func read(_ entries: RESPValue...) throws {
        try redis.answerRead(.success(.map([.bulk(ByteBuffer(string: "socket.io")), .array(entries)])))
    }

    private func add(_ event: String, to stream: RedisStream) -> Bool {
        let message = message(event)
        return stream.add(message, local: .other(message.content))
    }

    private var written: [String] {
        redis.requests.filter { $0[0] == "XADD" }.map { words in ["a", "b", "c"].first { words.last?.contains("\"\($0)\"") == true } ?? "?"
        }
    }

    @Test func whatIsSaidHasItsPlaceWhenItIsRead() throws {
        let stream = try makeStreamThatIsUp()
        #expect(add("a", to: stream) && add("b", to: stream))
        #expect(written == ["a", "b"])
        try redis.answer("XADD", .success(.bulk(ByteBuffer(string: "6-0"))))
        #expect(receiver.told == [])
        try read(entry("6-0", "a"), entry("6-1", "x", node: "other"), entry("7-0", "b"))
        #expect(receiver.told == ["own a 6-0", "other x 6-1", "own b 7-0"])
        #expect(redis.reads[0].last == "7-0")
        #expect(redis.counts == [1, 3, 0])
    }

    @Test func whatWasWrittenIsNotWrittenAgain() throws {
        let stream = try makeStreamThatIsUp()
        #expect(add("a", to: stream) && add("b", to: stream))
        // Redis has written the first, and the connection is lost before it says so.
        for _ in 0..<2 { try redis.answer("XADD", .failure(Self.lost)) }
        #expect(!stream.isUp)
        #expect(add("c", to: stream))
        #expect(redis.requests.map { $0[0] } == ["CLIENT", "CLIENT", "XREVRANGE"])
        #expect(redis.requests[0] == ["CLIENT", "KILL", "ID", "7", "ADDR", "127.0.0.1:5000"])
        try redis.answer("XREVRANGE", .success(.array([entry("6-0", "a")])))
        // Not before all is read that was there.
        #expect(written == [] && !stream.isUp)
        try read(entry("6-0", "a"))
        #expect(written == ["b", "c"] && stream.isUp)
        #expect(receiver.told == ["own a 6-0"])
    }

    // What it had on its way may be written when the network is back, long after.
    @Test func theLostConnectionIsEndedHoweverLateThatIsPossible() throws {
        let stream = try makeStreamThatIsUp()
        let kill = ["CLIENT", "KILL", "ID", "7", "ADDR", "127.0.0.1:5000"]
        #expect(add("a", to: stream))
        try redis.answer("XADD", .failure(Self.lost))
        for _ in 0..<2 {
            #expect(redis.requests[0] == kill)
            for name in ["CLIENT", "CLIENT", "XREVRANGE"] { try redis.answer(name, .failure(.notConnected)) }
            redis.passTime()
        }
        #expect(redis.requests[0] == kill)
        try redis.answer("CLIENT", .success(.integer(1)))
        try redis.answer("CLIENT", .failure(Self.lost))
        try redis.answer("XREVRANGE", .failure(Self.lost))
        redis.passTime()
        #expect(redis.requests.map { $0[1] } == ["INFO", "socket.io"])
    }

    @Test func aConnectionThatIsLostWhileNothingIsSaidIsEndedAsWell() throws {
        let stream = try makeStreamThatIsUp()
        redis.lose()
        #expect(!stream.isUp)
        #expect(redis.requests.first == ["CLIENT", "KILL", "ID", "7", "ADDR", "127.0.0.1:5000"])
    }

    @Test func aConnectionThatIsLostBeforeAllIsReadIsEndedAsWell() throws {
        let stream = try makeStreamThatIsUp()
        redis.lose()
        try redis.answer("CLIENT", .success(.integer(1)))
        try redis.answer("CLIENT", .success(.bulk(ByteBuffer(string: "id=8 addr=127.0.0.1:5001"))))
        try redis.answer("XREVRANGE", .success(.array([entry("6-0", "x", node: "other")])))
        #expect(!stream.isUp && redis.requests.isEmpty)
        redis.lose()
        #expect(redis.requests.first == ["CLIENT", "KILL", "ID", "8", "ADDR", "127.0.0.1:5001"])
    }

    @Test func noMoreIsUnreadThanTheStreamKeeps() throws {
        let stream = try makeStreamThatIsUp { $0.maxLength = 4 }
        for event in ["a", "b", "c"] { #expect(add(event, to: stream)) }
        #expect(written == ["a", "b"])
        try read(entry("6-0", "a"))
        #expect(written == ["a", "b", "c"])
    }

    @Test func afterAnOutageTheOthersAreWaitedFor() throws {
        let stream = makeStream { $0.maxLength = 4 }
        for event in ["a", "b", "c"] { #expect(add(event, to: stream)) }
        try redis.answer("XREVRANGE", .success(Self.none))
        #expect(written == ["a", "b"])
        try read(entry("6-0", "a"), entry("7-0", "b"))
        #expect(written == ["a", "b"])
        redis.passTime()
        #expect(written == ["a", "b", "c"])
    }

    @Test func whatWasCutOffUnreadIsNotWrittenAgain() throws {
        let stream = try makeStreamThatIsUp()
        for event in ["a", "b", "c"] { #expect(add(event, to: stream)) }
        for id in ["6-0", "7-0"] { try redis.answer("XADD", .success(.bulk(ByteBuffer(string: id)))) }
        // The first was gone before this node came to it.
        try read(entry("7-0", "b"))
        #expect(receiver.told == ["own a 6-0", "own b 7-0"])
        // So was the third, whose answer comes late.
        try read(entry("9-0", "x", node: "other"))
        try redis.answer("XADD", .success(.bulk(ByteBuffer(string: "8-0"))))
        #expect(receiver.told == ["own a 6-0", "own b 7-0", "other x 9-0", "own c 8-0"])
        try redis.answerRead(.failure(Self.lost))
        redis.lose()
        for name in ["CLIENT", "CLIENT"] { try redis.answer(name, .failure(.notConnected)) }
        try redis.answer("XREVRANGE", .success(.array([entry("9-0", "x", node: "other")])))
        #expect(stream.isUp && written == [])
    }

    @Test func whatIsKnownToBeWrittenIsNotWrittenAgain() throws {
        let stream = try makeStreamThatIsUp()
        #expect(add("a", to: stream) && add("b", to: stream))
        try redis.answer("XADD", .success(.bulk(ByteBuffer(string: "6-0"))))
        try redis.answer("XADD", .failure(Self.lost))
        for name in ["CLIENT", "CLIENT"] { try redis.answer(name, .failure(.notConnected)) }
        // It was cut off from the stream, of which this node has read nothing meanwhile.
        try redis.answer("XREVRANGE", .success(.array([entry("9-0", "x", node: "other")])))
        try read(entry("9-0", "x", node: "other"))
        #expect(written == ["b"])
        #expect(receiver.told == ["other x 9-0", "own a 6-0"])
    }

    @Test func readsLessAtATimeAfterEachFailure() throws {
        let stream = try makeStreamThatIsUp { $0.readCount = 4 }
        #expect(redis.reads[0][2] == "4")
        for expected in ["2", "1", "1"] {
            try redis.answerRead(.failure(Self.lost))
            redis.passTime()
            try redis.answerRead(.success(.array([entry("5-0", "x", node: "other")])))
            try redis.answerRead(.success(.array([entry("5-0", "x", node: "other")])))
            #expect(redis.reads[0][2] == expected)
        }
        // One that was full: there may be more, and what it was may be gone.
        try read(entry("6-0", "x", node: "other"))
        #expect(redis.reads[0][0] == "XRANGE")
        try redis.answerRead(.success(.array([entry("8-0", "x", node: "other")])))
        #expect(redis.reads[0][0] == "XREAD" && redis.reads[0][2] == "2")
        #expect(log.lines.withLockedValue { $0.count } == 1)
        withExtendedLifetime(stream) {}
    }

    // Of two that are made at a time, one goes again.
    @Test func aNamespaceThatIsMadeTwiceIsHeardAllTheSame() throws {
        let stream = makeStream()
        try redis.answer("XREVRANGE", .success(Self.none))
        var other: Recorder? = Recorder()
        other.map { stream.register($0, for: "/", node: "late") }
        other = nil
        try read(entry("6-0", "x", node: "other"))
        #expect(receiver.told == ["other x 6-0"])
        stream.unregister("/", node: "late")
        try read(entry("7-0", "y", node: "other"))
        #expect(receiver.told == ["other x 6-0", "other y 7-0"])
    }

    @Test func redisThatCanNotBeAskedIsAskedAgain() throws {
        let stream = makeStream()
        #expect(add("a", to: stream))
        try redis.answer("XREVRANGE", .failure(.notConnected))
        #expect(!redis.requests.contains { $0[0] == "XREVRANGE" })
        redis.passTime()
        try redis.answer("XREVRANGE", .success(Self.none))
        #expect(written == ["a"])
    }

    @Test func whatRedisRefusesHasNoPlace() throws {
        let stream = try makeStreamThatIsUp()
        #expect(add("a", to: stream) && add("b", to: stream))
        try redis.answer("XADD", .failure(.refused("OOM command not allowed")))
        #expect(receiver.told == ["own a nowhere"] && stream.isUp)
        #expect(redis.counts == [0, 0, 1])
        try read(entry("6-0", "b"))
        #expect(receiver.told == ["own a nowhere", "own b 6-0"])
        #expect(
            log.lines.withLockedValue { $0 } == ["error: other nodes do not hear what was said: Redis refuses: OOM command not allowed"])
    }

    @Test func whatIsOverTheLimitIsDropped() throws {
        let stream = try makeStreamThatIsUp { $0.whileUnreachable = .keep(maxBytes: 1000) }
        #expect((0..<5).map { _ in add("a", to: stream) } == [true, true, false, false, false])
        #expect(redis.counts == [0, 0, 3])
        try read(entry("6-0", "a"))
        #expect(add("a", to: stream))
    }

    @Test func withoutKeepingNothingWaits() throws {
        let stream = makeStream { $0.whileUnreachable = .drop }
        #expect(!add("a", to: stream))
        try redis.answer("XREVRANGE", .success(Self.none))
        #expect(add("b", to: stream) && written == ["b"])
    }

    @Test func saysThatSomethingWasMissed() throws {
        let stream = try makeStreamThatIsUp()
        try redis.answerRead(.failure(Self.lost))
        redis.passTime()
        // What is kept begins behind what was read.
        #expect(redis.reads[0][0] == "XREVRANGE")
        try redis.answerRead(.success(.array([entry("20-0", "x", node: "other")])))
        #expect(redis.reads[0][0] == "XRANGE")
        try redis.answerRead(.success(.array([entry("9-0", "y", node: "other")])))
        #expect(log.lines.withLockedValue { $0.count } == 1)
        #expect(log.lines.withLockedValue { $0[0] }.contains("limit maxLength"))
        #expect(redis.reads[0].last == "5-0")
        withExtendedLifetime(stream) {}
    }

    @Test func readsOnWhereRedisIsIfItHasForgotten() throws {
        let stream = try makeStreamThatIsUp()
        try redis.answerRead(.failure(Self.lost))
        redis.passTime()
        try redis.answerRead(.success(.array([entry("3-0", "x", node: "other")])))
        try redis.answerRead(.success(.array([entry("1-0", "y", node: "other")])))
        #expect(log.lines.withLockedValue { $0[0] }.contains("Redis has lost a part of it"))
        #expect(redis.reads[0][0] == "XREAD" && redis.reads[0].last == "3-0")
        withExtendedLifetime(stream) {}
    }

    @Test func saysNothingIfNothingWasMissed() throws {
        let stream = try makeStreamThatIsUp()
        try redis.answerRead(.failure(Self.lost))
        redis.passTime()
        try redis.answerRead(.success(.array([entry("6-0", "x", node: "other")])))
        try redis.answerRead(.success(.array([entry("4-0", "y", node: "other")])))
        #expect(log.lines.withLockedValue { $0 } == [])
        #expect(redis.reads[0].last == "5-0")
        withExtendedLifetime(stream) {}
    }

    @Test func followsWhatWasSaidBefore() throws {
        let stream = try makeStreamThatIsUp()
        let done = NIOLockedValueBox(0)
        stream.afterwards { done.withLockedValue { $0 += 1 } }
        #expect(done.withLockedValue { $0 } == 1)
        #expect(add("a", to: stream))
        stream.afterwards { done.withLockedValue { $0 += 1 } }
        #expect(done.withLockedValue { $0 } == 1)
        try read(entry("6-0", "a"))
        #expect(done.withLockedValue { $0 } == 2)
    }

    @Test func followsAtTheLatestAtTheSecondTime() throws {
        let stream = try makeStreamThatIsUp()
        let done = NIOLockedValueBox(0)
        #expect(add("a", to: stream))
        stream.afterwards { done.withLockedValue { $0 += 1 } }
        redis.passTime()
        stream.afterwards { done.withLockedValue { $0 += 10 } }
        #expect(done.withLockedValue { $0 } == 0)
        redis.passTime()
        #expect(done.withLockedValue { $0 } == 1)
        redis.passTime()
        #expect(done.withLockedValue { $0 } == 11)
        // And never twice.
        try read(entry("6-0", "a"))
        #expect(done.withLockedValue { $0 } == 11)
    }

    @Test func aClientThatIsClosedLeavesNobodyWaiting() async throws {
        let stream = try makeStreamThatIsUp()
        #expect(add("a", to: stream))
        async let reached = stream.reached(StreamID(milliseconds: 9, sequence: 0))
        while stream.state.withLockedValue({ $0.waiters.isEmpty }) { await Task.yield() }
        try redis.answerRead(.failure(.closed))
        #expect(await !reached)
        #expect(receiver.told == ["own a nowhere"])
    }
}
