// What is published to the subscribers of one thread, to the byte.

import NIOCore
import NIOPosix
import PubSub
import Synchronization
import Testing
import WebSocketCore
import WebSocketDeflate

@testable import WebSockets

@Suite struct ThreadTopicsTests {
    /// Benches on one thread; `turn` is one turn of it.
    private struct Room {
        let benches: [SocketBench]
        var first: SocketBench { benches[0] }

        init(
            _ count: Int, _ configuration: ConnectionConfiguration = .quiet, deflate: DeflateAgreement? = nil, maxBacklog: Int = 1 << 20
        ) {
            let first = SocketBench(configuration, deflate: deflate, maxBacklog: maxBacklog, handler: ClosureHandler())
            benches =
                [first] + (1..<count).map { _ in SocketBench(configuration, beside: first, deflate: deflate, handler: ClosureHandler()) }
            first.run()
        }

        func turn(_ body: () throws -> Void) rethrows {
            first.thread.beginTurn()
            try body()
            first.run()
        }

        func publish(_ text: String, to topic: String, key: String? = nil, except: SocketBench? = nil) {
            first.broker.publish(PreparedMessage(.text(text)), to: topic, key: key, except: except?.socket)
        }

        /// Publishes as another thread does.
        func post(_ text: String, to topic: String, key: String? = nil, except: SocketBench? = nil) {
            let delivery = Delivery(topic: topic, key: key, prepared: PreparedMessage(.text(text)), except: except?.socket)
            first.thread.topics?.mailbox.post(delivery, waking: first.thread)
        }

        /// What each peer has seen: the texts of data frames.
        var texts: [[String]] {
            get throws {
                try benches.map { try $0.frames.filter { $0.opcode < 8 }.map { String(decoding: $0.payload, as: UTF8.self) } }
            }
        }
    }

    // MARK: The burst

    @Test func whatATurnPublishesLeavesInOneWrite() throws {
        let room = Room(3)
        for bench in room.benches.prefix(2) { try bench.socket.subscribe("a") }
        let flushes = room.benches.map(\.transport.flushes)
        room.turn { for text in ["1", "2", "3"] { room.publish(text, to: "a") } }
        #expect(try room.texts == [["1", "2", "3"], ["1", "2", "3"], []])
        #expect(room.benches.map(\.transport.writes) == [1, 1, 0])
        #expect(zip(room.benches, flushes).map { $0.transport.flushes - $1 } == [1, 1, 0])
        #expect(try room.first.metrics.total("messages_sent") == 6)
        #expect(try room.first.metrics.total("bytes_sent") == 6)
    }

    @Test func nothingOvertakesWhatWasPublished() throws {
        let room = Room(2)
        for bench in room.benches {
            try bench.socket.subscribe("a")
            try bench.socket.subscribe("b")
        }
        room.turn {
            room.publish("1", to: "a")
            room.first.socket.trySend(.text("direct"))
            room.publish("2", to: "a")
            room.publish("3", to: "b")
            room.first.socket.trySend(PreparedMessage(.text("prepared")))
            room.publish("4", to: "a")
        }
        #expect(try room.texts == [["1", "direct", "2", "3", "prepared", "4"], ["1", "2", "3", "4"]])
    }

    @Test func aCloseComesAfterWhatWasPublished() throws {
        let room = Room(1)
        try room.first.socket.subscribe("a")
        room.turn {
            room.publish("1", to: "a")
            room.first.socket.close()
            room.publish("2", to: "a")
        }
        #expect(try room.first.frames == [.text("1"), .close(1000)])
    }

    @Test func whoSubscribesWithinATurnGetsWhatFollows() throws {
        let room = Room(3)
        try room.benches[0].socket.subscribe("a")
        try room.benches[1].socket.subscribe("a")
        try room.turn {
            room.publish("1", to: "a")
            try room.benches[2].socket.subscribe("a")
            room.publish("2", to: "a")
            room.benches[1].socket.unsubscribe("a")
            room.publish("3", to: "a")
        }
        #expect(try room.texts == [["1", "2", "3"], ["1", "2"], ["2", "3"]])
    }

    @Test func aLongBurstLeavesBeforeTheTurnEnds() throws {
        let room = Room(1)
        try room.first.socket.subscribe("a")
        let text = String(repeating: "x", count: 30_000)
        room.turn { for _ in 0..<5 { room.publish(text, to: "a") } }
        #expect(try room.texts == [[text, text, text, text, text]])
    }

    @Test func aMessageWaitsForTheEndOfOneThatLeavesPieceByPiece() throws {
        let room = Room(1)
        let (socket, gate) = (room.first.socket, Gate())
        try socket.subscribe("a")
        let outcome = room.first.begin { socket in
            try await socket.sendMessage(.text) { writer in
                try await writer.write("half ")
                await gate.wait()
                try await writer.write("whole")
            }
        }
        room.turn { room.publish("1", to: "a") }
        #expect(try room.texts == [["half "]])
        gate.open()
        while !outcome.hasEnded { room.first.run() }
        #expect(try room.texts == [["half ", "whole", "", "1"]])
    }

    @Test func aMessageInPiecesDoesNotOvertakeWhatWasPublished() throws {
        let room = Room(1)
        try room.first.socket.subscribe("a")
        let outcome = room.first.prepare { socket in
            socket.publish(.text("1"), to: "a", includingSelf: true)
            try await socket.sendMessage(.text) { writer in try await writer.write("piece") }
        }
        while !outcome.hasEnded { room.first.run() }
        #expect(try room.texts == [["1", "piece", ""]])
    }

    // MARK: Who gets what

    @Test func thePublisherCanBeLeftOut() throws {
        let room = Room(2)
        for bench in room.benches { try bench.socket.subscribe("a") }
        room.turn {
            room.publish("1", to: "a", except: room.benches[1])
            room.first.socket.publish(.text("2"), to: "a")
            room.first.socket.publish(.text("3"), to: "a", includingSelf: true)
        }
        #expect(try room.texts == [["1", "3"], ["2", "3"]])
    }

    @Test func aMessageComesOnceHoweverManyPatternsMatch() throws {
        let room = Room(2)
        let patterns = try ["a/+", "a/#", "#", "+/b"].map { try TopicPattern($0) }
        for pattern in patterns { try room.first.socket.subscribe(matching: pattern) }
        try room.first.socket.subscribe("a/b")
        try room.benches[1].socket.subscribe(matching: patterns[0])
        room.turn {
            room.publish("1", to: "a/b")
            room.publish("2", to: "a/b", except: room.benches[1])
            room.publish("3", to: "c")
        }
        #expect(try room.texts == [["1", "2", "3"], ["1"]])
        #expect(room.first.thread.topics?.subscriberCount(of: "a/b") == 2)
        #expect(room.first.thread.topics?.subscriberCount(of: "c") == 1)
        room.first.socket.unsubscribe(matching: patterns[2])
        #expect(room.first.thread.topics?.subscriberCount(of: "c") == 0)
        #expect(Set(room.first.socket.subscriptions) == Set([.topic("a/b")] + [0, 1, 3].map { .pattern(patterns[$0]) }))
    }

    @Test func everythingEndsWithTheConnection() throws {
        let room = Room(2)
        for bench in room.benches { try bench.socket.subscribe("a", as: PresenceMember(id: "ann")) }
        try room.first.socket.subscribe(matching: TopicPattern("#"))
        room.first.socket.terminate()
        room.first.run()
        #expect(room.first.thread.topics?.subscriberCount(of: "a") == 1)
        #expect(room.first.thread.topics?.mailbox.subscriptions.load(ordering: .relaxed) == 1)
        #expect(room.first.socket.subscriptions == [])
        #expect(room.first.broker.presence.members(of: "a").map(\.id) == ["ann"])
        try room.first.socket.subscribe("a")
        #expect(room.first.thread.topics?.subscriberCount(of: "a") == 1)
        room.benches[1].socket.terminate()
        room.first.run()
        #expect(room.first.broker.presence.members(of: "a") == [])
        #expect(room.first.thread.topics?.mailbox.subscriptions.load(ordering: .relaxed) == 0)
    }

    /// The connection ends while its handler awaits something else, before it subscribes to anything.
    @Test func aFirstSubscriptionOnAnEndedConnectionIsNone() throws {
        let room = Room(2)
        try room.benches[1].socket.subscribe("a")
        room.first.socket.terminate()
        room.first.run()
        try room.first.socket.subscribe("a", as: PresenceMember(id: "ghost"))
        #expect(room.first.thread.topics?.subscriberCount(of: "a") == 1)
        #expect(room.first.thread.topics?.mailbox.subscriptions.load(ordering: .relaxed) == 1)
        #expect(room.first.broker.presence.members(of: "a") == [])
        #expect(room.first.socket.subscriptions == [])
    }

    @Test func anotherMemberTakesThePlaceOfTheFormer() throws {
        let room = Room(1)
        let log = Box<[String]>([])
        room.first.broker.presence.observe { event in log.change { $0.append("\(event.kind) \(event.member.id)") } }
        try room.first.socket.subscribe("a", as: PresenceMember(id: "ann"))
        try room.first.socket.subscribe("a", as: PresenceMember(id: "ann", info: "renamed"))
        #expect(room.first.broker.presence.members(of: "a").map(\.info) == ["renamed"])
        try room.first.socket.subscribe("a", as: PresenceMember(id: "bob"))
        try room.first.socket.subscribe("a")
        #expect(log.value == ["joined ann", "joined bob", "left ann", "left bob"])
    }

    @Test func limitsAreTold() throws {
        var configuration = ConnectionConfiguration.quiet
        configuration.maxTopics = 2
        configuration.maxTopicLength = 3
        let room = Room(1, configuration)
        let socket = room.first.socket
        try socket.subscribe("a")
        try socket.subscribe("b")
        try socket.subscribe("b", whenSlow: .latest)
        #expect(throws: UsageError(.tooManyTopics)) { try socket.subscribe("c") }
        #expect(throws: UsageError(.topicTooLong)) { try socket.subscribe("abcd") }
        #expect(throws: UsageError(.topicTooLong)) { try socket.subscribe(matching: TopicPattern("a/b/c")) }
        socket.unsubscribe("a")
        try socket.subscribe("abc")
        #expect(Set(socket.subscriptions) == [.topic("b"), .topic("abc")])
    }

    @Test func aClientHasNoTopics() {
        let bench = SocketBench(role: .client)
        #expect(throws: UsageError(.topicsOfClient)) { try bench.socket.subscribe("a") }
        bench.socket.unsubscribe("a")
        bench.socket.publish(.text("1"), to: "a")
        #expect(bench.socket.subscriptions == [])
    }

    // MARK: Slow readers

    /// A room of two, of whom the first one's peer takes nothing, and has 1000 bytes waiting already.
    private func stalledRoom(_ policy: SlowConsumerPolicy, mark: Int = 500, maxSendBuffer: Int = 4_194_304) throws -> Room {
        var configuration = ConnectionConfiguration.quiet
        configuration.sendHighWaterMark = mark
        configuration.maxSendBuffer = maxSendBuffer
        let room = Room(2, configuration)
        for bench in room.benches { try bench.socket.subscribe("a", whenSlow: policy) }
        room.first.transport.stall()
        room.turn { room.first.socket.trySend(.text(String(repeating: "-", count: 1000))) }
        return room
    }

    private static func numbers(_ range: ClosedRange<Int>) -> [String] { range.map { String($0) } }

    /// What the first peer sees once it takes all, behind what waited.
    private func seenLater(_ room: Room) throws -> [String] {
        room.first.take()
        return Array(try room.texts[0].dropFirst())
    }

    @Test func theNewestIsDropped() throws {
        let room = try stalledRoom(.dropNewest)
        for text in Self.numbers(1...9) { room.turn { room.publish(text, to: "a") } }
        #expect(try room.texts[1] == Self.numbers(1...9))
        #expect(try seenLater(room) == [])
        room.turn { room.publish("10", to: "a") }
        #expect(try room.texts[0].last == "10")
        #expect(try room.first.metrics.total("publications_dropped", policy: "dropNewest") == 9)
    }

    @Test func theOldestAreDroppedWhole() throws {
        // Three bytes each on the wire, and 64 beside them: four of them are 268 bytes.
        let room = try stalledRoom(.dropOldest, mark: 268)
        for text in Self.numbers(1...9) { room.turn { room.publish(text, to: "a") } }
        #expect(try room.texts[1] == Self.numbers(1...9))
        #expect(try seenLater(room) == Self.numbers(6...9))
        #expect(try room.first.metrics.total("publications_dropped", policy: "dropOldest") == 5)
        room.turn { room.publish("x", to: "a") }
        #expect(try room.texts[0].last == "x")
    }

    @Test func ofEachKeyTheLatestIsKept() throws {
        let room = try stalledRoom(.latest)
        try room.first.socket.subscribe("b", whenSlow: .latest)
        for round in 1...5 {
            room.turn {
                for key in ["x", "y"] { room.publish("\(key)\(round)", to: "a", key: key) }
                room.publish("b\(round)", to: "b")
            }
        }
        #expect(try seenLater(room) == ["x5", "y5", "b5"])
        #expect(try room.texts[1] == (1...5).flatMap { ["x\($0)", "y\($0)"] })
        #expect(try room.first.metrics.total("publications_dropped", policy: "latest") == 12)
    }

    @Test func whatCanStillBeDroppedIsNotLeftToTheSystem() throws {
        let room = Room(1)
        for (policy, limits) in [(SlowConsumerPolicy.close, 0), (.dropOldest, 1), (.latest, 1)] {
            try room.first.socket.subscribe("\(policy)", whenSlow: policy)
            #expect(room.first.transport.unsentLimits == limits)
        }
    }

    @Test func manyKeysAreBounded() throws {
        let room = try stalledRoom(.latest, maxSendBuffer: 1100)
        for key in 0..<2000 { room.turn { room.publish("\(key)", to: "a", key: "\(key)") } }
        let kept = try seenLater(room)
        #expect(kept.last == "1999")
        // A key is "a", a zero and a number.
        #expect(kept.reduce(0) { $0 + 2 * $1.utf8.count + 4 + 64 } <= 1100)
        #expect(kept.count > 5)
        #expect(kept == Self.numbers((2000 - kept.count)...1999))
    }

    @Test func whoMustMissNothingIsCutOff() throws {
        let room = try stalledRoom(.close, maxSendBuffer: 1010)
        for text in Self.numbers(1...9) { room.turn { room.publish(text, to: "a") } }
        #expect(try room.texts[1] == Self.numbers(1...9))
        room.first.take()
        #expect(try room.first.frames.last == .close(1013, "reads too slowly"))
    }

    @Test func nothingFollowsTheCloseOfWhomTheBurstHasCutOff() throws {
        let room = try stalledRoom(.close, maxSendBuffer: 1010)
        room.turn {
            room.publish(String(repeating: "x", count: 100), to: "a")
            room.first.socket.trySend(PreparedMessage(.text("1")))
        }
        room.first.take()
        #expect(try room.first.frames.last?.opcode == 8)
    }

    @Test func eachPolicyDropsOnlyItsOwn() throws {
        let room = try stalledRoom(.latest, mark: 500)
        try room.first.socket.subscribe("log", whenSlow: .dropOldest)
        for key in 0..<20 { room.turn { room.publish("key \(key)", to: "a", key: "\(key)") } }
        for line in 0..<50 { room.turn { room.publish("line \(line)", to: "log") } }
        let seen = try seenLater(room)
        #expect(seen.filter { $0.hasPrefix("key") } == (0..<20).map { "key \($0)" })
        #expect(seen.filter { $0.hasPrefix("line") }.last == "line 49")
        #expect(seen.filter { $0.hasPrefix("line") }.count < 50)
    }

    @Test func pingsAreAnsweredWhileMessagesAreDropped() throws {
        let room = try stalledRoom(.dropOldest, mark: 12)
        for text in Self.numbers(1...9) { room.turn { room.publish(text, to: "a") } }
        room.first.receive(.ping([7]))
        room.first.take()
        #expect(try room.first.frames.contains(.pong([7])))
    }

    @Test func whatWaitsKeepsItsOrderWhenThereIsRoomAgain() throws {
        let room = try stalledRoom(.dropOldest, mark: 2000)
        room.turn { room.first.socket.trySend(.text(String(repeating: "-", count: 1100))) }
        for number in 1...20 { room.turn { room.publish("\(number)", to: "a") } }
        room.first.take(1900)
        for number in 21...30 { room.turn { room.publish("\(number)", to: "a") } }
        #expect(Array(try seenLater(room).dropFirst()) == Self.numbers(1...30))
    }

    // MARK: Compression

    private static let long = String(repeating: "{\"a\": 1, \"b\": \"text\"}", count: 100)

    @Test func aMessageIsCompressedOnceForAllWhoAgree() throws {
        let agreement = try #require(DeflateNegotiation.answer(ExtensionList.parse(["permessage-deflate"]), .shared))
        let room = Room(3, deflate: agreement)
        for bench in room.benches { try bench.socket.subscribe("a") }
        let plain = SocketBench(.quiet, beside: room.first, handler: ClosureHandler())
        try plain.socket.subscribe("a")
        let prepared = PreparedMessage(.text(Self.long))
        room.turn {
            room.publish("short", to: "a")
            room.first.broker.publish(prepared, to: "a", key: nil, except: nil)
        }
        #expect(prepared.compressed.made == 1)
        for bench in room.benches {
            let frames = try bench.frames
            #expect(frames.map(\.isCompressed) == [false, true])
            #expect(frames[1].payload.count < Self.long.utf8.count / 4)
            #expect(bench.transport.writes == 1)
        }
        #expect(try plain.frames == [.text("short"), .text(Self.long)])
    }

    @Test func whoRemembersIsSentItsOwn() throws {
        let agreement = try #require(DeflateNegotiation.answer(ExtensionList.parse(["permessage-deflate"]), .dedicated()))
        let room = Room(2, deflate: agreement)
        for bench in room.benches { try bench.socket.subscribe("a") }
        room.turn { for _ in 0..<2 { room.publish(Self.long, to: "a") } }
        for bench in room.benches {
            let frames = try bench.frames
            #expect(frames.map(\.isCompressed) == [true, true])
            // It repeats the first.
            #expect(frames[1].payload.count < frames[0].payload.count)
        }
    }

    // MARK: A thread that is too slow

    /// A room where two messages from other threads may wait, and four have come, each of a policy's subscribers beside one of the others.
    @Test func whatAThreadCanNotDeliverIsEachPolicysToJudge() throws {
        let policies: [SlowConsumerPolicy] = [.close, .dropNewest, .dropOldest, .latest]
        let size = Delivery(topic: "a", key: nil, prepared: PreparedMessage(.text("1")), except: nil).size
        let room = Room(5, maxBacklog: 3 * size)
        for (bench, policy) in zip(room.benches, policies) { try bench.socket.subscribe("a", whenSlow: policy) }
        try room.benches[4].socket.subscribe("b", whenSlow: .close)
        for text in ["1", "2", "3", "4"] { room.post(text, to: "a") }
        room.first.run()
        #expect(try room.texts == [[], ["4"], ["4"], ["4"], []])
        #expect(try room.first.frames == [.close(1013, "too much is published")])
        #expect(room.first.socket.closeCause.map { "\($0)" }?.contains("limit maxPublicationBacklog") == true)
        #expect(room.benches[4].socket.readyState == .open)
        for policy in ["dropNewest", "dropOldest", "latest"] {
            #expect(try room.first.metrics.total("publications_dropped", policy: policy) == 3)
        }
        #expect(try room.first.metrics.total("sends_dropped") == 3)
    }

    @Test func whoSubscribesBySeveralPatternsMissesAMessageOnce() throws {
        let room = Room(1, maxBacklog: 1)
        for pattern in ["#", "+"] { try room.first.socket.subscribe(matching: TopicPattern(pattern), whenSlow: .dropOldest) }
        for text in ["1", "2", "3"] { room.post(text, to: "a") }
        room.first.run()
        #expect(try room.texts == [["3"]])
        #expect(try room.first.metrics.total("publications_dropped", policy: "dropOldest") == 2)
    }

    @Test func theOneWhoWasLeftOutHasMissedNothing() throws {
        let room = Room(2, maxBacklog: 1)
        for bench in room.benches { try bench.socket.subscribe("a", whenSlow: .close) }
        for text in ["1", "2", "3"] { room.post(text, to: "a", except: room.first) }
        room.first.run()
        #expect(room.benches.map(\.socket.readyState) == [.open, .closing])
    }

    @Test func whereNobodyKnowsWhoMissedSomethingAllAreToldWhoMust() throws {
        let room = Room(3, maxBacklog: 1)
        try room.benches[0].socket.subscribe("0", whenSlow: .close)
        try room.benches[1].socket.subscribe("0", whenSlow: .latest)
        for topic in 1...1100 { room.post("x", to: "\(topic)") }
        room.first.run()
        #expect(room.benches.map(\.socket.readyState) == [.closing, .open, .open])
    }

    /// What was collected before the thread looks into its mailbox comes first.
    @Test func whatWasMissedIsToldAfterWhatWasCollected() throws {
        let room = Room(1, maxBacklog: 1)
        try room.first.socket.subscribe("a", whenSlow: .close)
        room.turn {
            room.publish("1", to: "a")
            for text in ["2", "3"] { room.post(text, to: "a") }
            room.publish("4", to: "a")
        }
        #expect(room.first.socket.readyState == .closing)
        #expect(try room.first.frames.last?.opcode == 8)
    }

    // MARK: Changes from other threads

    /// However often other threads change their mind, a filter waits once, and more than `maxTopics` of them wait as one.
    @Test func changesThatWaitAreFew() async throws {
        var configuration = ConnectionConfiguration.quiet
        configuration.maxTopics = 3
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let bench = try await loop.submit { [configuration] in SocketBench(configuration, on: loop, handler: ClosureHandler()) }.get()
        let (socket, mailbox) = (bench.socket, try #require(bench.thread.topics?.mailbox))
        /// How many subscribers and changes the thread has.
        func count() -> Int { mailbox.subscriptions.load(ordering: .relaxed) }
        func counts(_ names: [String]) async throws -> [Int] {
            try await loop.submit { names.map { bench.thread.topics?.subscriberCount(of: $0) ?? -1 } }.get()
        }
        try socket.subscribe("before")
        #expect(try await counts(["before"]) == [1])
        let (blocked, release) = (ThreadGate(), ThreadGate())
        loop.execute {
            blocked.open()
            release.wait()
        }
        await offload { blocked.wait() }
        for _ in 0..<100 {
            try socket.subscribe("a")
            socket.unsubscribe("a")
        }
        try socket.subscribe("a")
        #expect(count() == 2)
        socket.unsubscribe("before")
        for topic in 0..<100 {
            try socket.subscribe("\(topic)")
            if topic < 99 { socket.unsubscribe("\(topic)") }
        }
        // Of "a", "before", "0" and "1", which was one too many to be told apart.
        #expect(count() == 5)
        release.open()
        #expect(try await counts(["a", "99", "before", "0", "98"]) == [1, 1, 0, 0, 0])
        #expect(count() == 2)
        // And afterwards one by one again.
        socket.unsubscribe("a")
        #expect(try await counts(["a", "99"]) == [0, 1])
        try await loop.submit { socket.terminate() }.get()
    }
}
