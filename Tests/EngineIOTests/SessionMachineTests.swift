// A session's state machine: SessionMachine.swift. Its upgrade is tested in SessionMachineUpgradeTests.swift.

import NIOCore
import Testing
import WebSocketCore
import WebSockets

@testable import EngineIO

@Suite struct SessionMachineTests {
    private let a = Name("a")
    private let b = Name("b")
    private let c = Name("c")
    private let socket = Name("socket")

    // MARK: Opening

    @Test func theHandlerKnowsBeforeTheClient() {
        let bench = MachineBench()
        bench.machine.open(polling: a, EngineIOPacket(.open, "{}"), at: bench.now)
        #expect(bench.done() == ["opened", "a <- 0{}"])
        let other = MachineBench()
        other.machine.open(webSocket: socket, EngineIOPacket(.open, "{}"), at: other.now)
        #expect(other.done() == ["opened", "socket <- 0{}"])
    }

    // MARK: Long-polling

    @Test func aPollTakesWhatIsThere() {
        let bench = MachineBench.polling()
        #expect(bench.send("1") == [])
        #expect(bench.send("2", "3") == [])
        #expect(bench.poll(a) == ["a <- 41|42|43"])
        #expect(bench.poll(b) == [])
    }

    @Test func aPollWaitsForWhatComes() {
        let bench = MachineBench.polling()
        #expect(!bench.isWritable)
        #expect(bench.poll(a) == [])
        #expect(bench.isWritable)
        #expect(bench.send("1", "2") == ["a <- 41|42"])
        #expect(!bench.isWritable)
        #expect(bench.send("3") == [])
    }

    @Test func anAnswerHoldsOnlySoManyPackets() {
        let bench = MachineBench.polling { $0.maxPacketsPerPoll = 3 }
        _ = bench.send("1", "2", "3", "4")
        #expect(bench.poll(a) == ["a <- 41|42|43"])
        #expect(bench.poll(b) == ["b <- 44"])
    }

    @Test func anAnswerHoldsOnlySoManyBytesButAlwaysOnePacket() {
        let bench = MachineBench.polling { $0.maxPayload = 7 }
        _ = bench.send("12", "34", "5", "123456789", "6")
        #expect(bench.poll(a) == ["a <- 412|434"])
        #expect(bench.poll(b) == ["b <- 45"])
        #expect(bench.poll(c) == ["c <- 4123456789"])
        #expect(bench.poll(a) == ["a <- 46"])
    }

    @Test func twoPollsAtATimeEndTheSession() {
        let bench = MachineBench.polling()
        _ = bench.poll(a)
        #expect(bench.poll(b) == ["a <- 1", "closed: transport error", "b <- 400"])
        #expect(bench.poll(c) == ["c <- 400"])
    }

    @Test func aBrokenPollEndsTheSession() {
        let bench = MachineBench.polling()
        _ = bench.poll(a)
        bench.machine.cancelled(b)
        #expect(bench.done() == [])
        bench.machine.cancelled(a)
        #expect(bench.done() == ["closed: transport error"])
    }

    @Test func anAnsweredPollMayGo() {
        let bench = MachineBench.polling()
        _ = bench.poll(a)
        _ = bench.send("1")
        bench.machine.cancelled(a)
        #expect(bench.done() == [])
    }

    @Test func aPostIsTakenApart() {
        let bench = MachineBench.polling()
        #expect(
            bench.post(a, .message("1"), EngineIOPacket(.binary([2])), .message("3")) == [
                "received 1", "received [2]", "received 3", "a <- ok",
            ])
    }

    @Test func twoPostsAtATimeEndTheSession() {
        let bench = MachineBench.polling()
        #expect(bench.beginPost(a))
        #expect(!bench.beginPost(b))
        #expect(bench.done() == ["closed: transport error", "b <- 400"])
        bench.machine.received(.message("1"), from: a, at: bench.now)
        bench.machine.postEnded(a, nil)
        #expect(bench.done() == ["a <- ok"])
    }

    // Row S6 of the bad inputs (CVE-2026-59725).
    @Test func aBinaryPostEndsTheSession() {
        let bench = MachineBench.polling()
        #expect(!bench.beginPost(a, isBinary: true))
        #expect(bench.done() == ["closed: transport error", "a <- 400"])
    }

    @Test func aBadPostEndsTheSession() {
        let bench = MachineBench.polling()
        _ = bench.poll(a)
        #expect(bench.beginPost(b))
        bench.machine.received(.message("1"), from: b, at: bench.now)
        bench.machine.postEnded(b, EngineIOError(.unknownType, "'a'"))
        #expect(bench.done() == ["received 1", "a <- 1", "closed: parse error", "b <- 400"])
    }

    @Test func aBrokenPostEndsTheSession() {
        let bench = MachineBench.polling()
        #expect(bench.beginPost(a))
        bench.machine.cancelled(a)
        #expect(bench.done() == ["closed: transport error"])
    }

    @Test func aPostThatIsTooLargeLeavesTheSession() {
        let bench = MachineBench.polling()
        #expect(bench.beginPost(a))
        bench.machine.postRefused(a)
        #expect(bench.post(b, .message("1")) == ["received 1", "b <- ok"])
    }

    @Test func whatNobodyPollsIsLimited() {
        let bench = MachineBench.polling { $0.maxBufferedBytes = 1000 }
        for _ in 0..<8 { #expect(bench.send(String(repeating: "x", count: 50)) == []) }
        #expect(bench.send(String(repeating: "x", count: 50)) == ["closed: transport error"])
        #expect(bench.send("y") == [])
        #expect(bench.phase == .closed)
    }

    @Test func whatAPollTakesIsNotLimited() {
        let bench = MachineBench.polling { $0.maxBufferedBytes = 10 }
        _ = bench.poll(a)
        #expect(bench.send("0123456789") == ["a <- 40123456789"])
    }

    // MARK: WebSocket

    @Test func messagesGoAtOnce() {
        let bench = MachineBench.webSocket(socket)
        #expect(bench.isWritable)
        #expect(bench.send("1", "2") == ["socket <- 41|42"])
        #expect(bench.receive(.message("3"), on: socket) == ["received 3"])
        #expect(bench.directSocket === socket)
    }

    @Test func whatIsNoPacketEndsTheSession() {
        let bench = MachineBench.webSocket(socket)
        bench.machine.received(.failure(EngineIOError(.emptyPacket)), on: socket, at: bench.now)
        #expect(bench.done() == ["close socket", "closed: parse error"])
        bench.machine.received(.failure(EngineIOError(.emptyPacket)), on: socket, at: bench.now)
        #expect(bench.receive(.message("late"), on: socket) == [])
    }

    @Test func theSocketsEndIsTheSessions() {
        let bench = MachineBench.webSocket(socket)
        bench.machine.socketEnded(b, EngineIOClosure(.transportClose))
        #expect(bench.done() == [])
        bench.machine.socketEnded(socket, EngineIOClosure(.transportClose))
        #expect(bench.done() == ["close socket", "closed: transport close"])
        #expect(bench.directSocket == nil)
    }

    @Test func longPollingHasEndedThere() {
        let bench = MachineBench.webSocket(socket)
        #expect(bench.poll(a) == ["a <- 400"])
        #expect(bench.post(b, .message("1")) == ["b <- 400"])
        #expect(bench.send("2") == ["socket <- 42"])
    }

    // MARK: What a client may say

    @Test func aPingIsTheServersToSend() {
        let bench = MachineBench.webSocket(socket)
        #expect(bench.receive(EngineIOPacket(.ping), on: socket) == ["close socket", "closed: transport error"])
        let polling = MachineBench.polling()
        #expect(polling.post(a, EngineIOPacket(.ping)) == ["closed: transport error", "a <- ok"])
    }

    @Test(arguments: [EngineIOPacket.PacketType.open, .upgrade, .noop]) func whatMeansNothingIsIgnored(type: EngineIOPacket.PacketType) {
        let bench = MachineBench.webSocket(socket)
        #expect(bench.receive(EngineIOPacket(type), on: socket) == [])
        #expect(bench.phase == .open)
    }

    @Test func aClientClosesByPolling() {
        let bench = MachineBench.polling()
        _ = bench.poll(a)
        #expect(bench.post(b, EngineIOPacket(.close), .message("late")) == ["a <- 6", "closed: transport close", "b <- ok"])
    }

    @Test func aClientClosesByWebSocket() {
        let bench = MachineBench.webSocket(socket)
        #expect(bench.receive(EngineIOPacket(.close), on: socket) == ["close socket", "closed: transport close"])
    }

    // MARK: Heartbeat

    @Test func aClientIsPingedAndAnswers() {
        let bench = MachineBench.webSocket(socket)
        for _ in 0..<3 {
            #expect(bench.pass(.milliseconds(24_999)) == [])
            #expect(bench.pass(.milliseconds(1)) == ["socket <- 2"])
            #expect(bench.pass(.seconds(19)) == [])
            #expect(bench.receive(EngineIOPacket(.pong), on: socket) == [])
            #expect(bench.nextDeadline == bench.now.advanced(by: .seconds(25)))
        }
    }

    @Test func aSilentClientIsGivenUp() {
        let bench = MachineBench.webSocket(socket)
        _ = bench.pass(.seconds(25))
        #expect(bench.nextDeadline == bench.now.advanced(by: .seconds(20)))
        #expect(bench.pass(.milliseconds(19_999)) == [])
        #expect(bench.pass(.milliseconds(1)) == ["close socket", "closed: ping timeout"])
        #expect(bench.nextDeadline == nil)
        #expect(bench.pass(.seconds(100)) == [])
    }

    @Test func aClientThatTalksIsThere() {
        let bench = MachineBench.webSocket(socket)
        _ = bench.pass(.seconds(25))
        _ = bench.pass(.seconds(15))
        _ = bench.receive(.message("busy"), on: socket)
        #expect(bench.pass(.seconds(5)) == [])
        #expect(bench.nextDeadline == bench.now.advanced(by: .seconds(15)))
        bench.machine.heard(at: bench.now)
        #expect(bench.pass(.seconds(15)) == [])
        #expect(bench.pass(.seconds(5)) == ["close socket", "closed: ping timeout"])
    }

    @Test func aPingWaitsForItsPollAndItsTimeRuns() {
        let bench = MachineBench.polling()
        #expect(bench.pass(.seconds(25)) == [])
        #expect(bench.pass(.seconds(10)) == [])
        #expect(bench.poll(a) == ["a <- 2"])
        #expect(bench.pass(.seconds(10)) == ["closed: ping timeout"])
    }

    @Test func aPollThatWaitsGetsThePing() {
        let bench = MachineBench.polling()
        _ = bench.poll(a)
        #expect(bench.pass(.seconds(25)) == ["a <- 2"])
        _ = bench.poll(b)
        #expect(bench.pass(.seconds(20)) == ["b <- 1", "closed: ping timeout"])
    }

    // MARK: Closing by us

    @Test func closesAWebSocketAtOnce() {
        let bench = MachineBench.webSocket(socket)
        #expect(bench.close() == ["close socket", "closed: forced close"])
        #expect(bench.close() == [])
        #expect(bench.close(discards: true) == [])
        #expect(bench.send("late") == [])
        #expect(bench.phase == .closed)
    }

    @Test func tellsThePollThatWaits() {
        let bench = MachineBench.polling()
        _ = bench.poll(a)
        #expect(bench.close() == ["a <- 1", "closed: forced close"])
    }

    @Test func leavesWhatWaitsToTheNextPoll() {
        let bench = MachineBench.polling()
        _ = bench.send("1", "2")
        #expect(bench.close() == [])
        #expect(bench.phase == .closing)
        #expect(bench.send("late") == [])
        #expect(bench.post(b, .message("late")) == ["b <- ok"])
        #expect(bench.poll(a) == ["a <- 41|42"])
        #expect(bench.poll(b) == ["b <- 1", "closed: forced close"])
    }

    // What shares a payload with the close packet is lost to the official client.
    @Test func theClosePacketTravelsAlone() {
        enum Step: CaseIterable { case send, poll, close, wait }
        let orders = (0..<5).reduce([[Step]]([[]])) { orders, _ in orders.flatMap { order in Step.allCases.map { order + [$0] } } }
        for maxPackets in [1, 2, 100] {
            for order in orders {
                let bench = MachineBench.polling { $0.maxPacketsPerPoll = maxPackets }
                var (sent, isClosed, done) = (0, false, [String]())
                for step in order + Array(repeating: .poll, count: 9) {
                    switch step {
                    case .send:
                        if !isClosed { sent += 1 }
                        done += bench.send("\(sent)")
                    // A client polls when it has its answer.
                    case .poll: if bench.machine.poll == nil, bench.phase != .closed { done += bench.poll(a) }
                    case .close:
                        isClosed = true
                        done += bench.close()
                    // Too short for a heartbeat.
                    case .wait: done += bench.pass(.seconds(4))
                    }
                }
                let payloads = done.filter { $0.hasPrefix("a <- ") }.map { String($0.dropFirst(5)) }
                let packets = payloads.flatMap { $0.split(separator: "|") }
                let expected = (1...6).prefix(sent).map { "4\($0)" } + (isClosed ? ["1"] : [])
                #expect(packets.map(String.init) == expected, "\(order)")
                #expect(payloads.allSatisfy { $0 == "1" || !$0.split(separator: "|").contains("1") }, "\(order): \(payloads)")
                #expect(done.filter { $0.hasPrefix("closed") } == (isClosed ? ["closed: forced close"] : []), "\(order)")
            }
        }
    }

    // As long as the client polls, it gets all that is left.
    @Test func eachPollOfAClosingSessionHasItsTime() {
        let bench = MachineBench.polling { $0.maxPacketsPerPoll = 1 }
        _ = bench.send("1", "2")
        _ = bench.close()
        #expect(bench.pass(.seconds(29)) == [])
        #expect(bench.poll(a) == ["a <- 41"])
        #expect(bench.pass(.seconds(29)) == [])
        #expect(bench.poll(b) == ["b <- 42"])
        #expect(bench.pass(.seconds(29)) == [])
        #expect(bench.poll(c) == ["c <- 1", "closed: forced close"])
    }

    @Test func leavesMoreThanOnePollTakesToSeveral() {
        let bench = MachineBench.polling { $0.maxPacketsPerPoll = 2 }
        _ = bench.send("1", "2", "3", "4")
        _ = bench.close()
        #expect(bench.poll(a) == ["a <- 41|42"])
        #expect(bench.poll(b) == ["b <- 43|44"])
        #expect(bench.poll(c) == ["c <- 1", "closed: forced close"])
    }

    @Test func doesNotWaitForEver() {
        let bench = MachineBench.polling()
        _ = bench.send("1")
        _ = bench.close()
        #expect(bench.pass(.seconds(29)) == [])
        #expect(bench.pass(.seconds(1)) == ["closed: forced close"])
    }

    @Test func dropsWhatWaitsIfToldTo() {
        let bench = MachineBench.polling()
        _ = bench.send("1")
        #expect(bench.close() == [])
        #expect(bench.close(discards: true) == ["closed: forced close"])
        #expect(bench.poll(a) == ["a <- 400"])
    }
}
