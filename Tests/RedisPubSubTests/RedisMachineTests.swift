import NIOCore
import TestSupport
import Testing

@testable import RedisPubSub

@Suite struct RedisMachineTests {
    private let a = RedisTarget.channel("a")
    private func at(_ seconds: Double) -> NIODeadline { .uptimeNanoseconds(0) + .nanoseconds(Int64(seconds * 1e9)) }

    private func machine(
        _ role: RedisMachine.Role = .commands, url: String = "redis://h", _ change: (inout RedisConfiguration) -> Void = { _ in }
    ) throws -> RedisMachine {
        var settings = RedisConfiguration(url: try RedisURL(url))
        settings.reconnectInitial = .seconds(1)
        settings.reconnectMaximum = .seconds(8)
        change(&settings)
        return RedisMachine(role, settings)
    }

    /// A machine that is greeted, with its actions and output taken.
    private func ready(
        _ role: RedisMachine.Role = .commands, version: Int = 3, _ change: (inout RedisConfiguration) -> Void = { _ in }
    ) throws -> RedisMachine {
        var machine = try machine(role, change)
        machine.start(now: at(0))
        machine.connected(now: at(0))
        if version == 3 {
            machine.hears(.map([]), at(0))
        } else {
            machine.hears(.error("ERR unknown command 'HELLO'"), at(0))
            machine.hears(.simple("PONG"), at(0))
        }
        #expect(machine.state == .ready)
        _ = machine.takeOutput()
        _ = machine.takeActions()
        return machine
    }

    private func confirmation(_ kind: String, _ name: String) -> [RESPValue] { [bulk(kind), bulk(name), .integer(1)] }
    private func bulk(_ text: String) -> RESPValue { .bulk(ByteBuffer(string: text)) }

    // MARK: The greeting

    @Test func greetsInRESP3() throws {
        var machine = try machine()
        #expect(machine.deadline == nil)
        machine.start(now: at(0))
        #expect(machine.takeActions() == [.connect])
        #expect(machine.deadline == at(5))
        machine.connected(now: at(1))
        #expect(machine.said() == "HELLO 3 SETNAME duplex")
        machine.hears(.map([bulk("proto"), .integer(3)]), at(1))
        #expect(machine.takeActions() == [.becameReady(version: 3)])
        #expect(machine.state == .ready)
    }

    @Test(arguments: [2, 3]) func asksWhetherItIsTheMasterIfASentinelHasSaidSo(version: Int) throws {
        for role in ["master", "slave"] {
            var machine = try machine(url: "redis+sentinel://h/m")
            machine.start(now: at(0))
            machine.connected(now: at(1))
            #expect(machine.said() == "HELLO 3 SETNAME duplex")
            if version == 3 { machine.hears(.map([]), at(1)) } else { machine.hears(.error("ERR unknown command"), at(1)) }
            #expect(machine.said() == (version == 3 ? "ROLE" : "ROLE|PING"))
            _ = machine.takeActions()
            machine.hears(.array([bulk(role), .integer(0), .array([])]), at(1))
            if version == 2 && role == "master" { machine.hears(.simple("PONG"), at(1)) }
            let actions = machine.takeActions()
            guard role == "slave" else {
                #expect(actions == [.becameReady(version: version)])
                continue
            }
            #expect(actions.first == .cut)
            #expect("\(actions)".contains("no master"))
            #expect(machine.state != .ready)
        }
    }

    @Test func greetsWithPasswordAndDatabase() throws {
        var machine = try machine(url: "redis://ada:secret@h/3")
        machine.start(now: at(0))
        machine.connected(now: at(0))
        #expect(machine.said() == "HELLO 3 AUTH ada secret SETNAME duplex")
        machine.hears(.map([]), at(0))
        #expect(machine.said() == "SELECT 3")
        #expect(machine.state == .greeting)
        machine.hears(.simple("OK"), at(0))
        #expect(machine.state == .ready)
    }

    @Test func fallsBackToRESP2() throws {
        var machine = try machine(url: "redis://:secret@h/3")
        machine.start(now: at(0))
        machine.connected(now: at(0))
        #expect(machine.said() == "HELLO 3 AUTH default secret SETNAME duplex")
        machine.hears(.error("ERR unknown command 'HELLO'"), at(0))
        #expect(machine.said() == "AUTH secret|SELECT 3|PING")
        for answer in ["OK", "OK", "PONG"] { machine.hears(.simple(answer), at(0)) }
        #expect(machine.takeActions() == [.connect, .becameReady(version: 2)])
    }

    @Test(arguments: [
        "WRONGPASS invalid username-password pair or user is disabled.", "LOADING Redis is loading the dataset in memory",
    ]) func isRefused(text: String) throws {
        var machine = try machine(url: "redis://:secret@h")
        machine.start(now: at(0))
        machine.connected(now: at(0))
        _ = machine.takeActions()
        machine.hears(.error(text), at(0))
        #expect(machine.takeActions() == [.cut, .becameLost("Redis refuses: \(text)")])
    }

    @Test func isRefusedWithoutAPassword() throws {
        var machine = try machine()
        machine.start(now: at(0))
        machine.connected(now: at(0))
        machine.hears(.error("NOAUTH HELLO must be called with the client already authenticated"), at(0))
        machine.hears(.error("NOAUTH Authentication required."), at(0))
        #expect(machine.takeActions() == [.connect, .cut, .becameLost("Redis refuses: NOAUTH Authentication required.")])
    }

    // MARK: Losing it

    @Test func waitsLongerWithEachFailure() throws {
        var machine = try machine()
        machine.start(now: at(0))
        var now = 0.0
        for wait in [1.0, 2, 4, 8, 8] {
            machine.lost("refused", now: at(now), random: 1)
            #expect(machine.state == .waiting(until: at(now + wait)))
            machine.tick(now: at(now + wait - 0.001), random: 1)
            #expect(machine.state == .waiting(until: at(now + wait)))
            machine.tick(now: at(now + wait), random: 1)
            #expect(machine.state == .connecting)
            now += wait
        }
        // Jitter: a part of the wait, and never none.
        machine.lost("refused", now: at(now), random: 0.5)
        #expect(machine.state == .waiting(until: at(now + 4)))
        machine.tick(now: at(now + 4), random: 0)
        machine.lost("refused", now: at(100), random: 0)
        #expect(machine.state == .waiting(until: at(100.08)))
    }

    @Test func forgetsFailuresOnceAConnectionHasLasted() throws {
        var machine = try ready()
        machine.lost("gone", now: at(1), random: 1)
        machine.tick(now: at(2), random: 1)
        machine.connected(now: at(2))
        machine.hears(.map([]), at(2))
        machine.lost("gone", now: at(9.9), random: 1)
        #expect(machine.state == .waiting(until: at(11.9)))
        machine.tick(now: at(12), random: 1)
        machine.connected(now: at(12))
        machine.hears(.map([]), at(12))
        machine.lost("gone", now: at(20), random: 1)
        #expect(machine.state == .waiting(until: at(21)))
    }

    @Test func givesUpOnOneThatDoesNotGreet() throws {
        for isConnected in [false, true] {
            var machine = try machine()
            machine.start(now: at(0))
            if isConnected { machine.connected(now: at(4)) }
            machine.tick(now: at(4.9), random: 0)
            #expect(machine.takeActions() == [.connect])
            machine.tick(now: at(5), random: 0)
            let reason = "it did not answer within 5.0 seconds (limit connectTimeout)"
            #expect(machine.takeActions() == [.cut, .becameLost(reason)])
        }
    }

    @Test func pingsInSilenceAndGivesUpWithoutAnAnswer() throws {
        var machine = try ready()
        #expect(machine.deadline == at(5))
        machine.tick(now: at(4.9), random: 0)
        #expect(machine.said() == "")
        machine.tick(now: at(5), random: 0)
        #expect(machine.said() == "PING")
        #expect(machine.deadline == at(10))
        machine.hears(.simple("PONG"), at(6))
        #expect(machine.deadline == at(11))
        machine.tick(now: at(11), random: 0)
        machine.tick(now: at(15.9), random: 0)
        #expect(machine.takeActions() == [])
        machine.tick(now: at(16), random: 0)
        #expect(machine.takeActions() == [.cut, .becameLost("it did not answer a command within 5.0 seconds (limit replyTimeout)")])
    }

    @Test func oneThatAnswersSlowlyIsThere() throws {
        var machine = try ready()
        for id in 1...3 { machine.request(id, RedisCommand("PING"), now: at(0)) }
        for (id, time) in [(1, 4.0), (2, 8.0)] {
            machine.tick(now: at(time - 0.1), random: 0)
            machine.hears(.simple("PONG"), at(time))
            #expect(machine.takeActions() == [.answered(id, .success(.simple("PONG")))])
        }
        #expect(machine.deadline == at(13))
        machine.tick(now: at(13), random: 0)
        #expect(machine.takeActions().first == .cut)
    }

    @Test(arguments: [
        "LOADING Redis is loading the dataset in memory", "READONLY You can't write against a read only replica.", "MASTERDOWN",
    ])
    func oneThatCanNotServeNowIsLost(text: String) throws {
        var machine = try ready()
        for id in 1...2 { machine.request(id, RedisCommand("PING"), now: at(0)) }
        machine.hears(.error(text), at(1))
        let lost = "Redis refuses: \(text)"
        let failure = Result<RESPValue, RedisError>.failure(.connectionLost(lost))
        #expect(machine.takeActions() == [.cut, .answered(1, failure), .answered(2, failure), .becameLost(lost)])
    }

    @Test func aCommandWithoutAnAnswerHasFailed() throws {
        var machine = try ready()
        machine.request(7, RedisCommand("PUBSUB", "NUMSUB", "x"), now: at(0))
        #expect(machine.publish(ByteBuffer(string: "x"), to: "c", now: at(1)) == .sent)
        machine.lost("gone", now: at(2), random: 0)
        #expect(machine.takeActions() == [.answered(7, .failure(.connectionLost("gone"))), .becameLost("gone")])
        #expect(machine.droppedPublications == 1)
        machine.request(8, RedisCommand("PING"), now: at(2))
        #expect(machine.takeActions() == [.answered(8, .failure(.notConnected))])
    }

    @Test func nothingFollowsTheEnd() throws {
        var machine = try ready(.subscriptions)
        machine.subscribe(to: a, now: at(0))
        machine.hears(.push(confirmation("subscribe", "a")), at(0))
        machine.request(1, RedisCommand("PING"), now: at(0))
        _ = machine.takeActions()
        machine.close()
        #expect(machine.takeActions() == [.answered(1, .failure(.closed)), .unsubscribed(a), .cut])
        machine.lost("late", now: at(1), random: 0)
        machine.tick(now: at(99), random: 0)
        machine.subscribe(to: a, now: at(99))
        #expect(machine.publish(ByteBuffer(), to: "c", now: at(99)) == .dropped)
        #expect(machine.takeActions() == [])
        #expect(machine.deadline == nil)
    }

    // MARK: Publishing

    @Test func whatWaitsForRedisIsBounded() throws {
        var machine = try ready { $0.maxPendingBytes = 300 }
        let payload = ByteBuffer(string: String(repeating: "x", count: 20))
        #expect(machine.publish(payload, to: "c", now: at(0)) == .sent)
        #expect(machine.publish(payload, to: "c", now: at(0)) == .sent)
        #expect(machine.publish(payload, to: "c", now: at(0)) == .dropped)
        #expect(machine.droppedPublications == 1)
        machine.hears(.integer(0), at(0))
        #expect(machine.publish(payload, to: "c", now: at(0)) == .sent)
        // An answer that is an error counts as well.
        machine.hears(.error("NOPERM no"), at(0))
        #expect(machine.takeActions() == [.refused("NOPERM no")])
        #expect(machine.droppedPublications == 2)
        #expect(machine.publish(payload, to: "c", now: at(0)) == .sent)
    }

    @Test func publicationsAreDroppedWhileThereIsNoConnection() throws {
        var machine = try machine()
        #expect(machine.publish(ByteBuffer(string: "x"), to: "c", now: at(0)) == .dropped)
        #expect(machine.droppedPublications == 1)
    }

    @Test func orTheLatestAreKept() throws {
        let size = RedisCommand.publish(ByteBuffer(string: "1"), to: "c").size
        var machine = try machine { $0.whileUnreachable = .keep(maxBytes: 2 * size + 1) }
        machine.start(now: at(0))
        for text in ["1", "2", "3"] { #expect(machine.publish(ByteBuffer(string: text), to: "c", now: at(0)) == .kept) }
        #expect(machine.publish(ByteBuffer(string: String(repeating: "x", count: 500)), to: "c", now: at(0)) == .dropped)
        #expect(machine.droppedPublications == 2)
        machine.connected(now: at(1))
        machine.hears(.map([]), at(1))
        #expect(machine.said() == "HELLO 3 SETNAME duplex|PUBLISH c 2|PUBLISH c 3")
    }

    @Test func whatIsPublishedWhileItFirstConnectsIsSent() throws {
        var machine = try machine()
        machine.start(now: at(0))
        #expect(machine.publish(ByteBuffer(string: "1"), to: "c", now: at(0)) == .kept)
        machine.connected(now: at(0))
        #expect(machine.publish(ByteBuffer(string: "2"), to: "c", now: at(0)) == .kept)
        machine.flush(1)
        _ = machine.takeOutput()
        machine.hears(.map([]), at(0))
        #expect(machine.said() == "PUBLISH c 1|PUBLISH c 2")
        machine.hears(.integer(0), at(0))
        #expect(!machine.takeActions().contains(.flushed(1)))
        machine.hears(.integer(0), at(0))
        #expect(machine.takeActions() == [.flushed(1)])
        // Once an attempt has ended, Redis can be reached or not.
        machine.lost("gone", now: at(1), random: 0)
        #expect(machine.publish(ByteBuffer(string: "3"), to: "c", now: at(1)) == .dropped)
    }

    @Test func orDroppedWhenThatFails() throws {
        var machine = try machine()
        machine.start(now: at(0))
        #expect(machine.publish(ByteBuffer(string: "1"), to: "c", now: at(0)) == .kept)
        #expect(machine.publishReliably(.publish(ByteBuffer(string: "2"), to: "c"), now: at(0)) == .kept)
        machine.lost("refused", now: at(0), random: 0)
        #expect(machine.droppedPublications == 1)
        machine.tick(now: at(10), random: 0)
        machine.connected(now: at(10))
        machine.hears(.map([]), at(10))
        #expect(machine.said() == "HELLO 3 SETNAME duplex|PUBLISH c 2")
    }

    /// Publications of both kinds, requests, flushes, answers, losses and new connections in any order: a flush ends when all that came before it has, what
    /// is reliable is sent once and in order, and nothing ends without being answered or counted.
    @Test func flushesEndWithAllThatCameBefore() throws {
        for round in 0..<200 {
            let seed = UInt64.random(in: 0 ... .max)
            var random = SeededGenerator(seed: seed)
            let size = RedisCommand.publish(ByteBuffer(string: "10"), to: "c").size
            let keeps = round % 2 == 0
            var machine = try machine { if keeps { $0.whileUnreachable = .keep(maxBytes: 3 * size) } }
            machine.start(now: at(0))
            var run = FlushRun()
            for _ in 0..<60 { run.step(&machine, &random, at(0)) }
            while machine.state != .ready { run.connect(&machine, at(0)) }
            run.nextFlush += 1
            run.flushes[run.nextFlush] = run.reliable.count
            machine.flush(run.nextFlush)
            run.takeAll(&machine)
            while !run.wire.isEmpty { run.answer(&machine, at(0)) }
            #expect(run.problems == [], "seed \(seed)")
            #expect(run.flushes.isEmpty, "seed \(seed)")
            #expect(machine.outstanding == 0, "seed \(seed)")
            #expect(run.published == run.acknowledged + machine.droppedPublications, "seed \(seed)")
            #expect(run.reliable == run.reliablySent, "seed \(seed)")
            #expect(machine.endedReliableBytes == run.reliableBytes, "seed \(seed)")
        }
    }

    // MARK: Subscriptions

    @Test(arguments: [2, 3]) func subscribes(version: Int) throws {
        func from(_ values: [RESPValue]) -> RESPValue { version == 3 ? .push(values) : .array(values) }
        var machine = try ready(.subscriptions, version: version)
        machine.subscribe(to: a, now: at(0))
        machine.subscribe(to: .pattern("b*"), now: at(0))
        #expect(machine.said() == "SUBSCRIBE a|PSUBSCRIBE b*")
        machine.hears(from(confirmation("subscribe", "a")), at(0))
        machine.hears(from([bulk("message"), bulk("a"), bulk("1")]), at(0))
        machine.hears(from(confirmation("psubscribe", "b*")), at(0))
        machine.hears(from([bulk("pmessage"), bulk("b*"), bulk("bc"), bulk("2")]), at(0))
        #expect(
            machine.takeActions() == [
                .subscribed(a), .message(a, channel: "a", ByteBuffer(string: "1")), .subscribed(.pattern("b*")),
                .message(.pattern("b*"), channel: "bc", ByteBuffer(string: "2")),
            ])
        machine.unsubscribe(from: a, now: at(1))
        #expect(machine.deadline == at(5))
        machine.tick(now: at(5.5), random: 0)
        #expect(machine.said() == "PING")
        machine.hears(version == 3 ? .simple("PONG") : .array([bulk("pong"), bulk("")]), at(5.5))
        #expect(machine.deadline == at(6))
        machine.tick(now: at(6), random: 0)
        #expect(machine.said() == "UNSUBSCRIBE a")
        machine.hears(from(confirmation("unsubscribe", "a")), at(6))
        #expect(machine.takeActions() == [.unsubscribed(a)])
    }

    @Test func subscribesAgainOnTheNextConnection() throws {
        var machine = try ready(.subscriptions)
        machine.subscribe(to: a, now: at(0))
        machine.hears(.push(confirmation("subscribe", "a")), at(0))
        machine.lost("gone", now: at(1), random: 0)
        #expect(machine.takeActions() == [.subscribed(a), .unsubscribed(a), .becameLost("gone")])
        machine.subscribe(to: .channel("b"), now: at(1))
        machine.tick(now: at(2), random: 0)
        machine.connected(now: at(2))
        _ = machine.takeOutput()
        machine.hears(.map([]), at(2))
        #expect(Set(machine.said().split(separator: "|")) == ["SUBSCRIBE a", "SUBSCRIBE b"])
    }

    @Test func goesOnWhenASubscriptionIsRefused() throws {
        var machine = try ready(.subscriptions)
        machine.subscribe(to: a, now: at(0))
        machine.subscribe(to: .channel("b"), now: at(0))
        machine.hears(.error("NOPERM No permissions to access a channel"), at(0))
        machine.hears(.push(confirmation("subscribe", "b")), at(0))
        #expect(machine.takeActions() == [.refused("NOPERM No permissions to access a channel"), .subscribed(.channel("b"))])
    }

    @Test func endsAConnectionThatSaysWhatItWasNotAsked() throws {
        let nonsense: [(RESPValue, String)] = [
            (.simple("OK"), "an answer to nothing"), (.push(confirmation("subscribe", "x")), "a confirmation of nothing"),
            (.push([bulk("subscribe")]), "a confirmation without a name"),
        ]
        for (value, what) in nonsense {
            var machine = try ready(.subscriptions)
            machine.hears(value, at(0))
            #expect(machine.takeActions() == [.cut, .becameLost("Redis sent what it was not asked for: \(what)")])
        }
        var machine = try ready(.subscriptions)
        machine.subscribe(to: a, now: at(0))
        machine.hears(.push(confirmation("subscribe", "b")), at(0))
        #expect(machine.state == .waiting(until: at(0.01)))
    }

    @Test func leavesOutWhatItDoesNotKnow() throws {
        var machine = try ready(.subscriptions)
        for values in [
            [], [bulk("invalidate"), .null], [.integer(1)], [bulk("message"), bulk("a")], [bulk("message"), bulk("a"), .integer(1)],
        ] {
            machine.hears(.push(values), at(0))
        }
        machine.hears(.push([bulk("message"), .bulk(ByteBuffer(bytes: [0xFF])), bulk("x")]), at(0))
        #expect(machine.takeActions() == [])
        #expect(machine.state == .ready)
    }
}

extension RedisMachine {
    fileprivate mutating func hears(_ value: RESPValue, _ now: NIODeadline) { received(value, now: now, random: 0) }

    /// The commands that it wants written, with `|` between.
    fileprivate mutating func said() -> String {
        guard let output = takeOutput() else { return "" }
        var parser = RESPParser()
        parser.append(output)
        var commands: [String] = []
        while case .array(let values)? = try? parser.next() { commands.append(values.compactMap(\.text).joined(separator: " ")) }
        return commands.joined(separator: "|")
    }
}

/// One run of a machine with a Redis that answers in order, and what has become of what was said.
private struct FlushRun {
    /// What Redis has got on this connection and not answered.
    var wire: [String] = []
    var published = 0
    var acknowledged = 0
    /// The reliable ones, in order, and those of them that were sent.
    var reliable: [String] = []
    var reliablySent: [String] = []
    var reliableBytes = 0
    /// The reliable ones that have ended.
    var ended: Set<String> = []
    /// The flushes that wait, and how many reliable publications came before each.
    var flushes: [Int: Int] = [:]
    var nextFlush = 0
    var problems: [String] = []

    mutating func step(_ machine: inout RedisMachine, _ random: inout SeededGenerator, _ now: NIODeadline) {
        switch Int.random(in: 0..<10, using: &random) {
        case 0, 1:
            published += 1
            _ = machine.publish(ByteBuffer(string: "\(published)"), to: "plain", now: now)
        case 2, 3:
            published += 1
            let command = RedisCommand.publish(ByteBuffer(string: "\(published)"), to: "reliable")
            reliable.append("\(published)")
            reliableBytes += command.size
            _ = machine.publishReliably(command, now: now)
        case 4: machine.request(published, RedisCommand("GET", "x"), now: now)
        case 5:
            nextFlush += 1
            flushes[nextFlush] = reliable.count
            machine.flush(nextFlush)
        case 6:
            if machine.state == .ready || machine.state == .greeting || machine.state == .connecting {
                takeAll(&machine)
                for command in wire { end(command) }
                wire = []
                machine.lost("gone", now: now, random: 0)
            }
        case 7: connect(&machine, now)
        default: answer(&machine, now)
        }
        takeAll(&machine)
    }

    /// The next step to a connection.
    mutating func connect(_ machine: inout RedisMachine, _ now: NIODeadline) {
        switch machine.state {
        case .waiting(let until): machine.tick(now: until, random: 0)
        case .connecting: machine.connected(now: now)
        case .greeting:
            _ = machine.takeOutput()
            machine.received(.map([]), now: now, random: 0)
        case .idle, .ready, .closed: break
        }
        takeAll(&machine)
    }

    mutating func answer(_ machine: inout RedisMachine, _ now: NIODeadline) {
        guard machine.state == .ready, !wire.isEmpty else { return }
        let command = wire.removeFirst()
        end(command)
        if command.hasPrefix("PUBLISH") { acknowledged += 1 }
        machine.received(.integer(1), now: now, random: 0)
        takeAll(&machine)
    }

    private mutating func end(_ command: String) {
        if command.hasPrefix("PUBLISH reliable "), let number = command.split(separator: " ").last { ended.insert(String(number)) }
    }

    mutating func takeAll(_ machine: inout RedisMachine) {
        if machine.state == .ready {
            for command in machine.said().split(separator: "|") where !command.isEmpty && !command.hasPrefix("HELLO") {
                wire.append(String(command))
                if command.hasPrefix("PUBLISH reliable "), let number = command.split(separator: " ").last {
                    reliablySent.append(String(number))
                }
            }
        }
        for case .flushed(let id) in machine.takeActions() {
            guard let before = flushes.removeValue(forKey: id) else {
                problems.append("flush \(id) ended twice")
                continue
            }
            if !reliable.prefix(before).allSatisfy(ended.contains) { problems.append("flush \(id) ended too early") }
        }
    }
}
