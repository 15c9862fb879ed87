// The change from long-polling to WebSocket: SessionMachine.swift.

import NIOCore
import TestSupport
import Testing
import WebSocketCore
import WebSockets

@testable import EngineIO

@Suite struct SessionMachineUpgradeTests {
    private let a = Name("a")
    private let b = Name("b")
    private let c = Name("c")
    private let socket = Name("socket")
    private let other = Name("other")

    private func probed() -> MachineBench {
        let bench = MachineBench.polling()
        #expect(bench.attach(socket) == [])
        #expect(bench.receive(.probe, on: socket) == ["socket <- 3probe"])
        return bench
    }

    @Test func anUpgradeTakesWhatWaits() {
        let bench = probed()
        #expect(bench.send("1", "2") == [])
        #expect(bench.receive(EngineIOPacket(.upgrade), on: socket) == ["upgraded", "socket <- 41|42"])
        #expect(bench.send("3") == ["socket <- 43"])
        #expect(bench.receive(.message("4"), on: socket) == ["received 4"])
        #expect(!bench.isUpgrading)
    }

    @Test func longPollingGoesOnUntilThen() {
        let bench = probed()
        #expect(bench.isUpgrading)
        #expect(bench.poll(a) == [])
        #expect(bench.send("1") == ["a <- 41"])
        #expect(bench.post(b, .message("2")) == ["received 2", "b <- ok"])
    }

    @Test func aPollThatWaitsIsEndedEveryTenthOfASecond() {
        let bench = probed()
        _ = bench.poll(a)
        #expect(bench.nextDeadline == bench.now.advanced(by: .milliseconds(100)))
        #expect(bench.pass(.milliseconds(99)) == [])
        #expect(bench.pass(.milliseconds(1)) == ["a <- 6"])
        #expect(bench.pass(.milliseconds(100)) == [])
        _ = bench.poll(b)
        #expect(bench.pass(.milliseconds(100)) == ["b <- 6"])
        _ = bench.receive(EngineIOPacket(.upgrade), on: socket)
        #expect(bench.nextDeadline == Timestamp(nanoseconds: 1_000_000_000_000).advanced(by: .seconds(25)))
    }

    @Test func aPollIsLeftAloneBeforeTheProbe() {
        let bench = MachineBench.polling()
        _ = bench.attach(socket)
        _ = bench.poll(a)
        #expect(bench.pass(.seconds(9)) == [])
    }

    @Test func aPollThatStillWaitsIsEndedWithTheUpgrade() {
        let bench = probed()
        _ = bench.poll(a)
        #expect(bench.receive(EngineIOPacket(.upgrade), on: socket) == ["a <- 6", "upgraded"])
        #expect(bench.poll(b) == ["b <- 400"])
    }

    @Test func aPostThatBeganBeforeStillCounts() {
        let bench = probed()
        #expect(bench.beginPost(a))
        _ = bench.receive(EngineIOPacket(.upgrade), on: socket)
        bench.machine.received(.message("1"), from: a, at: bench.now)
        bench.machine.postEnded(a, nil)
        #expect(bench.done() == ["received 1", "a <- ok"])
    }

    @Test(arguments: [EngineIOPacket.message("1"), EngineIOPacket(.ping), EngineIOPacket(.ping, "other"), EngineIOPacket(.close)])
    func anyOtherPacketEndsTheProbeAlone(packet: EngineIOPacket) {
        let bench = probed()
        _ = bench.poll(a)
        #expect(bench.receive(packet, on: socket) == ["close socket"])
        #expect(bench.send("2") == ["a <- 42"])
        #expect(bench.pass(.seconds(1)) == [])
        #expect(bench.attach(other) == [])
        #expect(bench.receive(.probe, on: other) == ["other <- 3probe"])
    }

    @Test func whatIsNoPacketEndsTheProbeAlone() {
        let bench = probed()
        bench.machine.received(.failure(EngineIOError(.emptyPacket)), on: socket, at: bench.now)
        #expect(bench.done() == ["close socket"])
        #expect(bench.phase == .open)
    }

    @Test func theProbesEndIsNotTheSessions() {
        let bench = probed()
        bench.machine.socketEnded(socket, EngineIOClosure(.transportClose))
        #expect(bench.done() == [])
        #expect(bench.phase == .open)
        #expect(!bench.isUpgrading)
        #expect(bench.receive(EngineIOPacket(.upgrade), on: socket) == [])
    }

    @Test func aProbeDoesNotTakeForEver() {
        let bench = probed()
        for _ in 0..<99 { _ = bench.pass(.milliseconds(100)) }
        #expect(bench.isUpgrading)
        #expect(bench.pass(.milliseconds(100)) == ["close socket"])
        #expect(bench.phase == .open)
    }

    @Test func aSecondWebSocketIsClosed() {
        let bench = probed()
        #expect(bench.attach(other) == ["close other"])
        _ = bench.receive(EngineIOPacket(.upgrade), on: socket)
        #expect(bench.attach(other) == ["close other"])
        #expect(bench.receive(.message("1"), on: other) == [])
        #expect(bench.receive(.message("2"), on: socket) == ["received 2"])
    }

    @Test func aClosedSessionClosesItsProbe() {
        let bench = probed()
        #expect(bench.post(a, EngineIOPacket(.close)) == ["close socket", "closed: transport close", "a <- ok"])
        #expect(bench.attach(other) == ["close other"])
    }

    @Test func aClosingSessionSaysItAllOnceItIsUpgraded() {
        let bench = probed()
        _ = bench.send("1")
        #expect(bench.close() == [])
        #expect(
            bench.receive(EngineIOPacket(.upgrade), on: socket) == ["upgraded", "socket <- 41", "close socket", "closed: forced close"])
    }

    // MARK: Any interleaving

    /// A client that keeps to the protocol, and a server that sends as it likes; who does what next is thrown.
    @Test func nothingIsLostOrChangesPlaces() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<2000 {
            var run = Interleaving()
            run.go(&random)
            #expect(run.serverGot == Array(0..<run.clientSent).map(String.init), "seed \(seed)")
            #expect(run.clientGot == Array(0..<run.serverSent).map(String.init), "seed \(seed)")
            #expect(run.closures == [], "seed \(seed)")
        }
    }
}

/// One run of a client and a machine. The client polls, posts, probes, waits for its requests, and upgrades.
private struct Interleaving {
    let bench = MachineBench.polling { $0.maxPacketsPerPoll = 3 }
    let socket = Name("socket")
    var (clientSent, serverSent) = (0, 0)
    var (clientGot, serverGot): ([String], [String]) = ([], [])
    var closures: [String] = []
    var (poll, post): (Name?, Name?)
    var (isProbing, isProbed, isUpgraded) = (false, false, false)

    mutating func go(_ random: inout SeededGenerator) {
        for _ in 0..<60 {
            step(Int.random(in: 0..<9, using: &random))
            look()
        }
        finish()
    }

    private mutating func step(_ choice: Int) {
        switch choice {
        case 0, 1:
            _ = bench.machine.send([.message(.text("\(serverSent)")), .message(.text("\(serverSent + 1)"))], at: bench.now)
            serverSent += 2
        case 2, 3: pollOrRead()
        case 4, 5: say()
        case 6: probe()
        case 7: upgrade()
        default:
            bench.now = bench.now.advanced(by: .milliseconds(60))
            bench.machine.timerFired(at: bench.now)
        }
    }

    private mutating func pollOrRead() {
        // A client that has its answer to the probe lets its poll end, and begins no other.
        guard poll == nil, !isProbed, !isUpgraded else { return }
        let name = Name("poll")
        poll = name
        bench.machine.poll(name, at: bench.now)
    }

    private mutating func say() {
        let packet = EngineIOPacket.message("\(clientSent)")
        if isUpgraded {
            bench.machine.received(.success(packet), on: socket, at: bench.now)
            clientSent += 1
        } else if let post {
            bench.machine.postEnded(post, nil)
        } else if !isProbed {
            let name = Name("post")
            post = name
            _ = bench.beginPost(name)
            bench.machine.received(packet, from: name, at: bench.now)
            clientSent += 1
        }
    }

    private mutating func probe() {
        guard !isProbing else { return }
        isProbing = true
        bench.machine.attach(socket, at: bench.now)
        bench.machine.received(.success(.probe), on: socket, at: bench.now)
    }

    private mutating func upgrade() {
        guard isProbed, poll == nil, post == nil, !isUpgraded else { return }
        isUpgraded = true
        bench.machine.received(.success(EngineIOPacket(.upgrade)), on: socket, at: bench.now)
    }

    /// Takes what the machine did to where it goes.
    private mutating func look() {
        for action in bench.machine.takeActions() {
            switch action {
            case .received(let message): serverGot.append(message.text ?? "")
            case .respond(let name, .packets(let packets)):
                if name === poll { poll = nil }
                take(packets)
            case .respond(let name, .ok): if name === post { post = nil }
            case .respond(_, .badRequest): closures.append("400")
            case .send(_, let packets): take(packets)
            case .closed(let closure): closures.append("\(closure)")
            case .closeSocket: closures.append("socket")
            case .opened, .upgraded: break
            }
        }
    }

    private mutating func take(_ packets: [Outgoing]) {
        for packet in packets {
            switch packet {
            case .message(let message): clientGot.append(message.text ?? "")
            case .control(let packet): if packet.type == .pong { isProbed = true }
            case .prepared: break
            }
        }
    }

    /// Lets the client finish what it is at, and fetch what is left.
    private mutating func finish() {
        for _ in 0..<100 where clientGot.count < serverSent || post != nil {
            if let post { bench.machine.postEnded(post, nil) }
            look()
            pollOrRead()
            upgrade()
            look()
            bench.now = bench.now.advanced(by: .milliseconds(100))
            bench.machine.timerFired(at: bench.now)
            look()
        }
    }
}
