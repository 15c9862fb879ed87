// What is written of those who may come back, and in which order, whatever becomes of the connection.

import Logging
import NIOCore
import SocketIO
import Testing

@testable import RedisPubSub
@testable import RedisSocketIO

@Suite struct StreamSessionsTests {
    private let redis = ScriptedCommands()
    private let sessions: StreamSessions

    init() { sessions = StreamSessions(redis, prefix: "s:", lifetime: .seconds(7), Logger(label: "test")) }

    private func session(_ rooms: Set<String>) -> SocketIOSession { SocketIOSession(id: "id", privateID: "p", rooms: rooms, data: nil) }

    /// What waits for Redis's answer: the rooms that are kept, or `DEL`.
    private func written() throws -> [String] {
        try redis.requests.map { words in
            guard words[0] == "SET" else { return words.joined(separator: " ") }
            #expect(words[1] == "s:p" && words[3...4] == ["PX", "7000"])
            return (words.count > 5 ? "\(words[5]) " : "")
                + (try SocketIOSession(encoded: ByteBuffer(string: words[2]), privateID: "p").rooms.sorted().joined(separator: " "))
        }
    }

    @Test func whatHappensInAShortTimeIsWrittenOnce() throws {
        sessions.keep(session(["a"]))
        sessions.keep(session(["a", "b"]))
        #expect(try written() == [])
        redis.passTime()
        #expect(try written() == ["a b"])
    }

    @Test func whoMayComeBackIsFoundAllTheWhile() throws {
        sessions.forget("p")
        redis.passTime()
        #expect(try written() == [])
        sessions.keep(session(["a"]))
        for _ in 0..<3 { redis.passTime() }
        #expect(try written() == ["PEXPIRE s:p 7000"])
    }

    // The client may be on another node by now, which has written more.
    @Test func whoLeavesIsNotWrittenAgain() throws {
        sessions.keep(session(["a"]))
        redis.passTime()
        try redis.answer("SET", .success(.simple("OK")))
        sessions.forget("p")
        sessions.keep(session(["a"]))
        redis.passTime()
        #expect(try written() == ["PEXPIRE s:p 7000"])
        // Redis does not have it any more.
        try redis.answer("PEXPIRE", .success(.integer(0)))
        #expect(try written() == ["NX a"])
    }

    @Test func whoLeavesBeforeItIsWrittenIsWritten() throws {
        sessions.keep(session(["a"]))
        sessions.forget("p")
        sessions.keep(session(["a", "b"]))
        redis.passTime()
        #expect(try written() == ["a b"])
    }

    @Test func whoLeavesWhileTheWriteFailsIsWritten() throws {
        sessions.keep(session(["a"]))
        redis.passTime()
        sessions.forget("p")
        sessions.keep(session(["a"]))
        try redis.answer("SET", .failure(.connectionLost("cut")))
        redis.passTime()
        #expect(try written() == ["a"])
    }

    @Test func whoLeavesWhileTheWriteFailsIsWrittenAlsoIfThatIsFoundOutBetween() throws {
        sessions.keep(session(["a"]))
        redis.passTime()
        sessions.forget("p")
        try redis.answer("SET", .failure(.connectionLost("cut")))
        sessions.keep(session(["a"]))
        redis.passTime()
        #expect(try written() == ["a"])
    }

    @Test func whoMayBeAwayForEverIsKeptAsLongAsRedisCanCount() throws {
        let sessions = StreamSessions(redis, prefix: "s:", lifetime: .seconds(Int64.max), Logger(label: "test"))
        sessions.keep(session(["a"]))
        redis.passTime()
        #expect(redis.requests.map { $0.last } == ["9007199254740992"])
    }

    @Test func whoHasLeftIsForgotten() throws {
        sessions.keep(session(["a"]))
        sessions.forget("p")
        for _ in 0..<3 { redis.passTime() }
        #expect(try written() == ["DEL s:p"])
    }

    @Test func ofSeveralThatFailTheLastIsWritten() throws {
        for rooms in [["a"], ["b"], ["c"]] as [Set<String>] {
            sessions.keep(session(rooms))
            redis.passTime()
        }
        #expect(try written() == ["a", "b", "c"])
        for _ in 0..<3 { try redis.answer("SET", .failure(.connectionLost("cut"))) }
        redis.passTime()
        #expect(try written() == ["c"])
    }

    @Test func whatComesLaterIsNotUndone() throws {
        sessions.keep(session(["a"]))
        redis.passTime()
        sessions.keep(session(["b"]))
        try redis.answer("SET", .failure(.notConnected))
        redis.passTime()
        #expect(try written() == ["b"])
    }

    @Test func whatRedisRefusesIsNotRepeated() throws {
        sessions.keep(session(["a"]))
        redis.passTime()
        try redis.answer("SET", .failure(.refused("OOM")))
        redis.passTime()
        #expect(try written() == [])
    }
}
