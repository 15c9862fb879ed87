// What a benchmark prints, from given measurements.

import Foundation
import Testing
import WebSocketCore

@testable import duplex

struct BenchResultTests {
    private func measured(_ kind: BenchPlan.Kind, _ change: (inout BenchPlan) -> Void = { _ in }) -> BenchMeasurement {
        var plan = BenchPlan(kind: kind, url: "ws://user:secret@a/", connections: 100)
        plan.seconds = 2
        plan.warmUp = 1
        change(&plan)
        var tally = LoadTally()
        tally.measuredTime = 2
        tally.messages = 2_469_134
        tally.sentMeasured = 24_691
        tally.fromDue.record(from: 0, to: 812_000)
        tally.fromSent.record(from: 0, to: 400_000)
        var measured = BenchMeasurement(plan, address: "ws://a/", server: nil)
        measured.add(tally)
        return measured
    }

    private func keys(_ result: BenchResult) throws -> Set<String> {
        let object = try JSONSerialization.jsonObject(with: Data(try result.json().utf8))
        return Set(try #require(object as? [String: Any]).keys)
    }

    private let common: Set = [
        "kind", "url", "connections", "threads", "seconds", "isInterrupted", "errors", "client", "notes", "problems", "latencyMicroseconds",
    ]
    private let messages: Set = ["size", "warmUpSeconds", "messages", "messagesPerSecond", "megabytesPerSecond", "sentPerSecond"]

    @Test func keysOfTheJSON() throws {
        let handshakes: Set = ["handshakes", "handshakesPerSecond"]
        #expect(try keys(BenchResult(measured(.echo))) == common.union(messages).union(["depth"]))
        #expect(
            try keys(BenchResult(measured(.latency) { $0.rate = 10 }))
                == common.union(messages).union(["rate", "latencyAsSentMicroseconds"]))
        #expect(try keys(BenchResult(measured(.broadcast))) == common.union(messages).union(["depth", "publishers"]))
        #expect(try keys(BenchResult(measured(.handshake))) == common.union(handshakes).union(["warmUpSeconds"]))
        #expect(try keys(BenchResult(measured(.idle))) == common.union(handshakes))
    }

    @Test func theJSONIsOneLineWithoutCredentials() throws {
        let json = try BenchResult(measured(.echo)).json()
        #expect(json.hasSuffix("}\n") && !json.dropLast().contains("\n"))
        #expect(json.contains(#""url":"ws://a/""#))
        #expect(json.contains(#""messagesPerSecond":1234567"#))
        #expect(!json.contains("secret"))
    }

    @Test func theServersFigures() throws {
        var held = measured(.idle)
        held = BenchMeasurement(held.plan, address: "ws://a/", server: ServerProcess(pid: 7))
        (held.memoryBefore, held.memoryAfter, held.held, held.serverCPUTime) = (1_000_000, 1_060_000, 100, 0.5)
        let server = try #require(BenchResult(held).server)
        #expect((server.pid, server.residentBytes, server.residentBytesPerConnection, server.cpuSeconds) == (7, 1_060_000, 600, 0.5))
    }

    // MARK: The table

    @Test func tableOfAnEcho() {
        #expect(
            BenchResult(measured(.echo)).table(.plain) == """
                echo ws://a/: 100 connections, 20 bytes, depth 1, 2.0 s, 1 thread

                       messages/s  MB/s     p50     p90     p99   p99.9     max  errors
                delay   1,234,567  24.7  812 µs  812 µs  812 µs  812 µs  812 µs       0

                """)
    }

    @Test func tableAtARate() {
        #expect(
            BenchResult(measured(.latency) { $0.rate = 1000 }).table(.plain) == """
                latency ws://a/: 100 connections, 20 bytes, 1,000 messages/s asked for, 2.0 s, 1 thread

                                messages/s  MB/s     p50     p90     p99   p99.9     max  errors
                from when due    1,234,567  24.7  812 µs  812 µs  812 µs  812 µs  812 µs       0
                from when sent                    400 µs  400 µs  400 µs  400 µs  400 µs

                """)
    }

    @Test func tableOfABroadcastThatLostSome() {
        var broadcast = measured(.broadcast) { $0.publishers = 2 }
        broadcast.tally.sent = 24_692
        broadcast.tally.received = 2_469_100
        #expect(
            BenchResult(broadcast).table(.plain) == """
                broadcast ws://a/: 100 connections, 2 publishers, 20 bytes, depth 1, 2.0 s, 1 thread

                       published/s  deliveries/s  MB/s     p50     p90     p99   p99.9     max  errors
                delay       12,346     1,234,567  24.7  812 µs  812 µs  812 µs  812 µs  812 µs     100

                """)
        #expect(BenchResult(broadcast).problems == ["100 messages did not come within 2.0 s after the end"])
    }

    @Test func tableOfHandshakesAndOfNothing() {
        let table = BenchResult(measured(.handshake)).table(.plain)
        #expect(table.contains("handshakes/s     p50"))
        var idle = measured(.idle)
        idle.tally.fromDue = Latencies()
        #expect(BenchResult(idle).table(.plain).contains("delay  2,469,134     1,234,567    –    –    –      –    –       0\n"))
    }

    @Test func coloursAreForTerminals() {
        var busy = measured(.echo)
        busy.isInterrupted = true
        let style = Style(isTerminal: true, hasColour: true)
        #expect(BenchResult(busy).table(style).contains("\u{1B}[33mended early, by an interrupt\u{1B}[0m\n"))
    }

    // MARK: In words

    @Test func whoInterruptsBeforeAnAnswerIsToldNothingOfTheServer() {
        var early = measured(.latency) { $0.rate = 1 }
        early.tally.messages = 0
        #expect(BenchResult(early).problems == ["nothing came back in 2 s: the server at this address has to send back what it gets"])
        early.isInterrupted = true
        #expect(BenchResult(early).problems == [])
    }

    @Test func aTimeTooShortForOneHandshakeIsTold() {
        var short = measured(.handshake)
        short.tally.messages = 0
        #expect(
            BenchResult(short).problems == [
                "no handshake was done in 2.0 s: the server is too slow for so short a time, or does not answer"
            ])
        short.isInterrupted = true
        #expect(BenchResult(short).problems == [])
    }

    @Test func aMomentSaysNothingOfTheBottleneck() {
        var moment = measured(.echo)
        moment.busiest = (0.9, 0.9)
        #expect(BenchResult(moment).client.isBottleneck)
        moment.tally.measuredTime = 0.01
        #expect(!BenchResult(moment).client.isBottleneck)
    }

    @Test func problems() {
        var measured = measured(.echo)
        measured.tally.refuse(BenchError("no"))
        measured.tally.refuse(BenchError("no, again"))
        measured.tally.lose(Closure(code: .messageTooBig, reason: "", initiator: .remote, isClean: true))
        #expect(
            BenchResult(measured).problems == [
                "2 handshakes failed, the first as: no",
                "1 connections were lost, the first was closed by the server: 1009 (message too big)",
            ])
        #expect(BenchResult(measured).errors.total == 3)
    }

    @Test(
        arguments: [
            (0.95, 0.0, 1, 4, "give it more --threads"), (0.95, 0.0, 4, 4, "measure from another machine"),
            (0.5, 0.45, 1, 4, "waited 45 % for a processor"), (0.5, 0.3, 1, 4, nil),
        ] as [(Double, Double, Int, Int, String?)])
    func bottleneck(_ busy: Double, _ waiting: Double, _ threads: Int, _ cores: Int, _ expected: String?) {
        var measured = measured(.echo) { $0.threads = threads }
        measured.busiest = (busy, waiting)
        let note = Bottleneck.note(measured, cores: cores)
        if let expected { #expect(note?.contains(expected) == true) } else { #expect(note == nil) }
        #expect(BenchResult(measured, cores: cores).client.isBottleneck == (expected != nil))
    }

    @Test func aRateThatWasNotKept() {
        var measured = measured(.latency) { $0.rate = 1000 }
        measured.tally.lag.record(from: 0, to: 5_000_000)
        #expect(Bottleneck.note(measured, cores: 1) == nil, "one message is not one in a hundred")
        measured.tally.lag = Latencies()
        for _ in 0..<199 { measured.tally.lag.record(from: 0, to: 10_000) }
        measured.tally.lag.record(from: 0, to: 5_000_000)
        #expect(Bottleneck.note(measured, cores: 1) == nil, "one message of two hundred is late")
        for _ in 0..<4 { measured.tally.lag.record(from: 0, to: 5_000_000) }
        #expect(Bottleneck.note(measured, cores: 1)?.contains("left over 5.00 ms late") == true)
        measured.tally.fromDue.record(from: 0, to: 60_000_000)
        #expect(Bottleneck.note(measured, cores: 1) == nil, "the server takes far longer")
        measured.tally.fromDue = Latencies()
        measured.tally.fromDue.record(from: 0, to: 6_000_000)
        #expect(Bottleneck.note(measured, cores: 1) != nil)
        measured.tally.heldBack = 1
        #expect(Bottleneck.note(measured, cores: 1) == nil, "they waited for the server to read")
        #expect(BenchResult(measured).notes == ["the server did not read as fast as the rate asks for: messages had to wait"])
    }

    @Test func theBusiestThreadCounts() {
        var measured = measured(.echo)
        for cpu in [0.2, 1.9, 0.7] {
            var tally = LoadTally()
            (tally.measuredTime, tally.cpuTime, tally.messages, tally.waitTime) = (2, cpu, 1, 0.04)
            measured.add(tally)
        }
        #expect(measured.busiest == (0.95, 0.02))
        #expect(measured.tally.messages == 2_469_137)
        #expect(measured.tally.measuredTime == 2)
    }
}
