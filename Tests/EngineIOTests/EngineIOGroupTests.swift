// Many sessions that are told the same: EngineIOGroup.swift, and the order of what is said to them and to one of them.

import Foundation
import NIOCore
import TestSupport
import Testing
import WebSockets

@testable import EngineIO

@Suite(.serialized, .timeLimit(.minutes(1))) struct EngineIOGroupTests {
    /// Notes "wait", and then does not let go of the connection's thread.
    private final class Holder: EngineIOHandler {
        let journal: Journal
        let gate: DispatchSemaphore

        init(_ journal: Journal, _ gate: DispatchSemaphore) {
            self.journal = journal
            self.gate = gate
        }

        func received(_ message: Message, from session: EngineIOSession) {
            journal.note(message.text ?? "")
            gate.wait()
            session.send(.text("its own"))
        }
    }

    private func prepared(_ text: String) -> EngineIOPreparedMessage { EngineIOPreparedMessage(.text(text)) }

    /// WebSockets, and the sessions of each.
    private func run(
        _ count: Int, _ body: (EngineBench, [TestSocket], [EngineIOSession], DispatchSemaphore) async throws -> Void
    ) async throws {
        let gate = DispatchSemaphore(value: 0)
        try await withEngine(handler: { Holder($0, gate) }) { bench in
            var sockets: [TestSocket] = []
            for _ in 0..<count {
                sockets.append(try await bench.webSocket())
                _ = await sockets.last?.next()
            }
            try await body(bench, sockets, bench.journal.sessions, gate)
        }
    }

    @Test func reachesItsMembersButOne() async throws {
        try await run(4) { _, sockets, sessions, _ in
            let group = EngineIOGroup()
            for session in sessions { #expect(group.add(session)) }
            group.remove(sessions[3])
            group.send(prepared("all"))
            group.send(prepared("but one"), except: sessions[1])
            for session in sessions { session.send(.text("end")) }
            let heard = [["4all", "4but one", "4end"], ["4all", "4end"], ["4all", "4but one", "4end"], ["4end"]]
            for (socket, expected) in zip(sockets, heard) {
                for text in expected { #expect(await socket.next() == text) }
            }
        }
    }

    @Test func whoIsOnLongPollingOrWantsBase64IsNoMember() async throws {
        try await run(0) { bench, _, _, _ in
            _ = try await bench.open()
            let socket = try await TestSocket.open("ws://127.0.0.1:\(bench.port)" + bench.query("&transport=websocket&b64=1"))
            _ = await socket.next()
            let group = EngineIOGroup()
            for session in bench.journal.sessions { #expect(!group.add(session)) }
        }
    }

    @Test func whoIsGoneIsNoMember() async throws {
        try await run(1) { bench, sockets, sessions, _ in
            bench.engine.close()
            while await sockets[0].next() != nil {}
            #expect(!EngineIOGroup().add(sessions[0]))
        }
    }

    // While the thread of the sockets is at something else, all that others say waits: in one order.
    @Test func whatOneThreadSaysToAllAndToOneKeepsItsOrder() async throws {
        try await run(2) { bench, sockets, sessions, gate in
            let group = EngineIOGroup()
            for session in sessions { #expect(group.add(session)) }
            sockets[0].send("4wait")
            await bench.journal.wait(1)
            // Something of another's that waits already, so that the session is to be seen to anyway.
            let other = Task.detached { sessions[0].send(.text("another's")) }
            _ = await other.value
            group.send(prepared("1"))
            sessions[0].send(.text("2"))
            sessions[0].send([.text("3"), .text("4")])
            group.send(prepared("5"))
            sessions[0].send(prepared("6"))
            bench.engine.send(prepared("7"), to: sessions)
            group.send(prepared("8"))
            sessions[0].send(.text("9"))
            sessions[0].close()
            #expect(!sessions[0].send(.text("too late")))
            gate.signal()
            for text in ["another's", "1", "2", "3", "4", "5", "6", "7", "8", "9"] { #expect(await sockets[0].next() == "4" + text) }
            #expect(await sockets[0].next() == "closed 1000")
            for text in ["1", "5", "7", "8"] { #expect(await sockets[1].next() == "4" + text) }
        }
    }

    // A task may have said something to the group, and gone over to the thread since.
    @Test func whatTheThreadItselfSaysComesAfterWhatOthersHaveSaid() async throws {
        try await run(1) { bench, sockets, sessions, gate in
            let group = EngineIOGroup()
            #expect(group.add(sessions[0]))
            sockets[0].send("4wait")
            await bench.journal.wait(1)
            group.send(prepared("1"))
            sessions[0].send(.text("2"))
            gate.signal()
            for text in ["1", "2", "its own"] { #expect(await sockets[0].next() == "4" + text) }
        }
    }

    @Test func aFloodFromElsewhereKeepsItsOrderThroughHeartbeats() async throws {
        try await withEngine({ $0.pingInterval = .milliseconds(5) }, handler: { EchoHandler($0) }) { bench in
            let socket = try await bench.webSocket()
            _ = await socket.next()
            let session = try bench.session
            let group = EngineIOGroup()
            #expect(group.add(session))
            let sender = Task.detached {
                for number in stride(from: 0, to: 6000, by: 3) {
                    group.send(EngineIOPreparedMessage(.text("\(number)")))
                    session.send(.text("\(number + 1)"))
                    session.send(.text("\(number + 2)"))
                    if number % 300 == 0 { await Task.yield() }
                }
            }
            var next = 0
            while next < 6000, let text = await socket.next() {
                if text == "2" {
                    socket.send("3")
                } else {
                    #expect(text == "4\(next)")
                    next += 1
                }
            }
            await sender.value
        }
    }
}
