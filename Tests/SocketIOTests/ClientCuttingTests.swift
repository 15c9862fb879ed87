// A client whose connections are lost, at any moment: what is emitted with `retries` arrives, in order, and is answered once.

import EngineIO
import Foundation
import NIOConcurrencyHelpers
import NIOCore
import TestSupport
import Testing
import WebSockets

@testable import SocketIO

/// How many cuts the long test makes: $DUPLEX_CUTS; some as a rule, a thousand in the whole run.
private let cutsWanted = ProcessInfo.processInfo.environment["DUPLEX_CUTS"].flatMap(Int.init) ?? 40
/// The ways that the long test goes: $DUPLEX_WAY alone, or each.
private let waysWanted = ProcessInfo.processInfo.environment["DUPLEX_WAY"].flatMap(Way.init).map { [$0] } ?? Way.allCases

@Suite(.serialized, .timeLimit(.minutes(cutsWanted > 100 ? 30 : 3))) struct ClientCuttingTests {
    /// What a server has applied, as one that knows of repetitions does: the events have numbers.
    private final class Ledger: Sendable {
        private let state = NIOLockedValueBox((applied: 0, repeated: 0, faults: [String]()))

        var applied: Int { state.withLockedValue { $0.applied } }
        var repeated: Int { state.withLockedValue { $0.repeated } }
        var faults: [String] { state.withLockedValue { $0.faults } }

        func take(_ number: Int) {
            state.withLockedValue { state in
                if number == state.applied {
                    state.applied += 1
                } else if number == state.applied - 1 {
                    // Only the last one can come again, as each waits for the answer to the one before.
                    state.repeated += 1
                } else {
                    state.faults.append("\(number) came after \(state.applied - 1)")
                }
            }
        }
    }

    private func quick(_ configuration: inout SocketIOConfiguration) {
        configuration.engine.pingInterval = .milliseconds(300)
        configuration.engine.pingTimeout = .milliseconds(700)
    }

    @Test(arguments: waysWanted) func nothingIsLost(way: Way) async throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed), \(way.rawValue)")
        let generator = NIOLockedValueBox(SeededGenerator(seed: seed))
        let ledger = Ledger()
        try await withSocketIO(
            quick,
            prepare: { io, _ in
                io.main.on("item") { (_: SocketIOSocket, number: Int) in
                    ledger.take(number)
                    return number
                }
            }
        ) { bench in
            let proxy = try await CuttingProxy.start(to: bench.port) {
                generator.withLockedValue { generator in
                    var fate = Fate()
                    fate.up = .random(in: 0..<6000, using: &generator)
                    fate.down = .random(in: 0..<3000, using: &generator)
                    fate.end = Fate.End.allCases.randomElement(using: &generator) ?? .close
                    if Int.random(in: 0..<4, using: &generator) == 0 { fate.delay = .milliseconds(.random(in: 1...20, using: &generator)) }
                    return fate
                }
            }
            try await withClient(port: proxy.port, way) {
                $0.retries = .max
                $0.ackTimeout = .milliseconds(250)
                $0.engine.timeout = .milliseconds(1000)
                $0.engine.upgradeTimeout = .milliseconds(500)
                $0.engine.closeTimeout = .milliseconds(500)
            } _: { client in
                let socket = client.socket()
                socket.connect()
                var emitted = 0
                while proxy.cuts < cutsWanted {
                    try await emitSome(socket, &emitted)
                }
                proxy.set { .none }
                try await emitSome(socket, &emitted)
                #expect(ledger.applied == emitted, "seed \(seed)")
                #expect(ledger.faults == [], "seed \(seed)")
                print("\(proxy.cuts) cuts, \(emitted) events, \(ledger.repeated) of them came again")
            }
            await proxy.stop()
        }
    }

    /// Emits twenty events at once, and waits for all answers.
    private func emitSome(_ socket: SocketIOClientSocket, _ emitted: inout Int) async throws {
        let first = emitted
        emitted += 20
        let answers = Notes()
        for number in first..<emitted {
            socket.emit([.string("item"), .int(number)]) { result in answers.add("\((try? result.get().first?.int) ?? -1)") }
        }
        let lines = await answers.wait(20)
        try Task.checkCancellation()
        #expect(lines == (first..<emitted).map(String.init))
    }

    // MARK: One loss at a time

    @Test(arguments: Fate.End.allCases, Way.allCases) func aLostConnectionIsMadeAnew(end: Fate.End, way: Way) async throws {
        try await withSocketIO(quick) { bench in
            let proxy = try await CuttingProxy.start(to: bench.port)
            try await withClient(port: proxy.port, way, { $0.engine.timeout = .seconds(2) }) { client in
                let socket = client.socket()
                let notes = Notes()
                socket.onDisconnect { notes.add("\($0)") }
                socket.onConnect { notes.add("connect") }
                socket.connect()
                try await socket.waitUntilConnected()
                // Between two polls a connection can be lost unnoticed, as the next request makes a new one: it is lost too.
                proxy.set { Fate(up: 0, end: end) }
                proxy.cut(end)
                await notes.wait(2)
                proxy.set { .none }
                let lines = await notes.wait(3)
                #expect(lines[0] == "connect" && lines[2] == "connect")
                #expect(["transport close", "transport error", "ping timeout"].contains(lines[1]))
                if end == .silence && way == .webSocket { #expect(lines[1] == "ping timeout") }
                #expect(try await socket.emitWithAck("echo", "again") == ["again"])
            }
            await proxy.stop()
        }
    }

    @Test func aServerThatComesBack() async throws {
        let port = NIOLockedValueBox(0)
        try await withSocketIO { bench in port.withLockedValue { $0 = bench.port } }
        // The port was free a moment ago.
        let target = port.withLockedValue { $0 }
        try await withClient(port: target) { client in
            let socket = client.socket()
            socket.connect()
            let answer = Task { try await socket.emitWithAck("echo", 1) }
            try await withSocketIO(port: target) { _ in
                let values = try await answer.value
                #expect(values == [1])
            }
            let notes = Notes()
            socket.onConnect { notes.add("connect") }
            let other = Task { try await socket.emitWithAck("echo", 2) }
            try await withSocketIO(port: target) { _ in
                await notes.wait(1)
                let answer = try? await other.value
                // It was sent to the server that went, or kept for the one that came.
                #expect(answer == [2] || answer == nil)
            }
        }
    }

    // MARK: Recovery

    @Test(arguments: Way.allCases) func whatWasMissedComes(way: Way) async throws {
        let server = Notes()
        try await withSocketIO {
            quick(&$0)
            $0.recovery = SocketIORecovery()
        } prepare: { io, _ in
            io.onConnection { socket in
                if !socket.isRecovered { socket.join("room") }
                socket.onDisconnect { _ in server.add("left") }
            }
        } _: { bench in
            let proxy = try await CuttingProxy.start(to: bench.port)
            try await withClient(port: proxy.port, way) { client in
                let socket = client.socket()
                let notes = Notes()
                socket.on("news") { (number: Int) in notes.add("\(number)") }
                socket.onDisconnect { _ in notes.add("gone") }
                socket.onConnect { notes.add(socket.isRecovered ? "back" : "new") }
                socket.connect()
                try await socket.waitUntilConnected()
                let id = socket.id
                bench.io.to("room").emit("news", 1)
                await notes.wait(2)
                // Nobody comes back before the server has noticed that it was away.
                proxy.set { Fate(up: 0) }
                proxy.cut(.reset)
                await server.wait(1)
                bench.io.to("room").emit("news", 2)
                bench.io.to("room").emit("news", 3)
                proxy.set { .none }
                let lines = await notes.wait(6)
                #expect(lines == ["new", "1", "gone", "2", "3", "back"])
                #expect(socket.isRecovered && socket.id == id)
                bench.io.to("room").emit("news", 4)
                let last = await notes.wait(7)[6]
                #expect(last == "4")
            }
            await proxy.stop()
        }
    }

    // MARK: Nothing is left

    @Test(arguments: Way.allCases) func nothingIsLeft(way: Way) async throws {
        try await withSocketIO {
            quick(&$0)
            // Nothing is lost here but what this test ends; a machine that stands still for a while must not end more.
            $0.engine.pingTimeout = .seconds(60)
        } _: { bench in
            let proxy = try await CuttingProxy.start(to: bench.port)
            // What the first use of threads and files leaves open is there by then.
            try await reconnect(1, proxy, way)
            let before = Descriptors.count
            try await reconnect(cutsWanted > 100 ? 1000 : 20, proxy, way)
            let ports: Set = [proxy.port, bench.port]
            while bench.io.engine.sessionCount > 0 || proxy.count > 0 || Descriptors.connections(ports) > 0 {
                try await Task.sleep(for: .milliseconds(10))
            }
            // Other suites have theirs, but not in the long run, which is by itself.
            if cutsWanted > 100 {
                while Descriptors.count > before { try await Task.sleep(for: .milliseconds(10)) }
                print("\(way.rawValue): \(before) descriptors before, \(Descriptors.count) after 1,000 reconnections")
            }
            await proxy.stop()
        }
    }

    private func reconnect(_ times: Int, _ proxy: CuttingProxy, _ way: Way) async throws {
        weak var left: SocketIOClient?
        try await withClient(port: proxy.port, way) { client in
            left = client
            let socket = client.socket()
            let reasons = Notes()
            socket.onDisconnect { reasons.add("\($0)") }
            socket.connect()
            for number in 0..<times {
                do {
                    let answer = try await socket.emitWithAck("echo", 1)
                    #expect(answer == [1])
                } catch {
                    let reason = await reasons.wait(number + 1)[number]
                    Issue.record("after \(number) reconnections: \(error), \(reason)")
                    return
                }
                client.reconnectNow()
                try await socket.waitUntilConnected()
            }
            // There are connections to be counted.
            #expect(Descriptors.connections([proxy.port]) > 0)
        }
        #expect(left == nil)
    }
}
