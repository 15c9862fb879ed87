// Clients that come back: RecoveryLog.swift, and what of it is in SocketIONamespace.swift.

import EngineIO
import Foundation
import NIOConcurrencyHelpers
import TestSupport
import Testing
import WebSockets

@testable import SocketIO

@Suite(.serialized, .timeLimit(.minutes(1))) struct RecoveryLogTests {
    private func run(
        _ recovery: SocketIORecovery = SocketIORecovery(), _ body: (SocketIOBench) async throws -> Void
    ) async throws {
        try await withSocketIO {
            $0.recovery = recovery
        } prepare: { io, notes in
            io.use { _ in notes.add("judged") }
            io.onConnection { socket in
                notes.add(socket.isRecovered ? "recovered \(socket.data(as: String.self) ?? "nothing")" : "new")
                socket.onDisconnect { notes.add("\($0)") }
            }
        } _: {
            try await body($0)
        }
    }

    /// The offset at the end of an event's packet.
    private func offset(_ packet: String?, _ start: String, _ location: SourceLocation = #_sourceLocation) throws -> String {
        let packet = try #require(packet, sourceLocation: location)
        #expect(packet.hasPrefix(start + #",""#) && packet.hasSuffix(#""]"#), "\(packet)", sourceLocation: location)
        return String(packet.dropFirst(start.count + 2).dropLast(2))
    }

    @Test func whatWasMissedComesBeforeTheAnswer() async throws {
        try await run { bench in
            let (client, io) = (try await bench.join(), bench.io)
            let socket = try bench.socket(client)
            #expect(client.privateID.utf8.count == 20 && client.privateID != client.id)
            socket.join("room")
            socket.setData("Ada")
            socket.emit("own", 1)
            _ = try offset(await client.next(), #"2["own",1"#)
            io.to("room").emit("heard", 2)
            let last = try offset(await client.next(), #"2["heard",2"#)
            client.close()
            await bench.notes.wait(3)

            io.emit("missed", 3)
            io.to("room").emit("missed", 4)
            io.to("elsewhere").emit("not mine", 5)
            io.except("room").emit("not mine", 6)
            io.to(client.id).emit("missed", 7)
            io.volatile.emit("volatile", 8)

            let again = try await bench.open()
            again.send(#"0{"pid":"\#(client.privateID)","offset":"\#(last)"}"#)
            for number in [3, 4, 7] { _ = try offset(await again.next(), #"2["missed",\#(number)"#) }
            #expect(await again.next() == #"0{"sid":"\#(client.id)","pid":"\#(client.privateID)"}"#)
            try again.note(#"0{"sid":"\#(client.id)"}"#)
            io.to("room").emit("heard", 9)
            _ = try offset(await again.next(), #"2["heard",9"#)
            #expect(bench.notes.lines == ["judged", "new", "transport close", "recovered Ada"])
        }
    }

    @Test func whoeverLeftOnPurposeBeginsAnew() async throws {
        try await run { bench in
            let client = try await bench.join()
            bench.io.emit("heard", 1)
            let last = try offset(await client.next(), #"2["heard",1"#)
            client.send("1")
            client.send(#"0{"pid":"\#(client.privateID)","offset":"\#(last)"}"#)
            let id = client.id
            try client.note(try #require(await client.next()))
            #expect(client.id != id)
        }
    }

    private static let guesses = [#"{"pid":"AAAAAAAAAAAAAAAAAAAA","offset":"x"}"#, #"{"pid":1,"offset":2}"#, #"{"pid":"x"}"#, "{}"]

    @Test(arguments: guesses) func nobodyCanGuess(auth: String) async throws {
        try await run { bench in
            let client = try await bench.join()
            client.close()
            await bench.notes.wait(3)
            let other = try await bench.join(auth: auth)
            #expect(other.id != client.id)
            #expect(other.privateID != client.privateID)
        }
    }

    @Test func aSessionIsForgottenAfterAWhile() async throws {
        try await run(SocketIORecovery(maxDisconnectionDuration: .milliseconds(20))) { bench in
            bench.io.main.onSessionExpired { bench.notes.add("expired \($0.id)") }
            let client = try await bench.join()
            bench.io.emit("heard", 1)
            let last = try offset(await client.next(), #"2["heard",1"#)
            client.close()
            #expect(await bench.notes.wait(4).last == "expired \(client.id)")
            let other = try await bench.join(auth: #"{"pid":"\#(client.privateID)","offset":"\#(last)"}"#)
            #expect(other.id != client.id)
        }
    }

    @Test func theMiddlewaresCanBeAskedAgain() async throws {
        try await run(SocketIORecovery(skipMiddlewares: false)) { bench in
            let client = try await bench.join()
            bench.io.emit("heard", 1)
            let last = try offset(await client.next(), #"2["heard",1"#)
            client.close()
            await bench.notes.wait(3)
            let again = try await bench.join(auth: #"{"pid":"\#(client.privateID)","offset":"\#(last)"}"#)
            #expect(again.id == client.id)
            #expect(bench.notes.lines == ["judged", "new", "transport close", "judged", "recovered nothing"])
        }
    }

    // MARK: At the same time

    /// An adapter that does what a test wants right after a socket has rejoined.
    private final class Interrupted: SocketIOAdapter {
        private let base: SocketIOInMemoryAdapter
        private let rejoined: @Sendable () -> Void

        init(_ namespace: SocketIONamespace, rejoined: @escaping @Sendable () -> Void) {
            base = SocketIOInMemoryAdapter(namespace)
            self.rejoined = rejoined
        }

        func rejoin(_ socket: SocketIOSocket, _ recovered: RecoveredSession) -> [[SocketIOValue]]? {
            defer { rejoined() }
            return base.rejoin(socket, recovered)
        }

        func join(_ socket: SocketIOSocket, rooms: Set<String>) -> Set<String> { base.join(socket, rooms: rooms) }
        func leave(_ socket: SocketIOSocket, rooms: Set<String>) { base.leave(socket, rooms: rooms) }
        func leaveAll(_ socket: SocketIOSocket) { base.leaveAll(socket) }
        func rooms(of id: String) -> Set<String> { base.rooms(of: id) }
        var allRooms: [String: Int] { base.allRooms }
        func transportChanged(_ socket: SocketIOSocket) { base.transportChanged(socket) }
        func broadcast(_ packet: SocketIOPacket, _ options: SocketIOBroadcastOptions) { base.broadcast(packet, options) }
        func broadcast(
            _ event: [SocketIOValue], _ options: SocketIOBroadcastOptions, counted: @escaping @Sendable (Int) -> Void,
            answered: @escaping @Sendable ([SocketIOValue]?) -> Void
        ) throws(SocketIOUsageError) -> @Sendable () -> Void {
            try base.broadcast(event, options, counted: counted, answered: answered)
        }
        func fetchSockets(_ options: SocketIOBroadcastOptions) async throws -> [SocketIORemoteSocket] {
            try await base.fetchSockets(options)
        }
        func joinSockets(_ options: SocketIOBroadcastOptions, rooms: Set<String>) { base.joinSockets(options, rooms: rooms) }
        func leaveSockets(_ options: SocketIOBroadcastOptions, rooms: Set<String>) { base.leaveSockets(options, rooms: rooms) }
        func disconnectSockets(_ options: SocketIOBroadcastOptions, closingConnections: Bool) {
            base.disconnectSockets(options, closingConnections: closingConnections)
        }
        func serverCount() async throws -> Int { 1 }
        func serverSideEmit(_ event: [SocketIOValue]) {}
        func serverSideEmitWithAck(_ event: [SocketIOValue], timeout: Duration?) async throws -> [[SocketIOValue]] { [] }
        func persist(_ session: SocketIOSession) { base.persist(session) }
        func restore(privateID: String, offset: String) async -> RecoveredSession? {
            await base.restore(privateID: privateID, offset: offset)
        }
        func close() {}
    }

    /// A parser that waits in the middle of the first broadcast of `slow`: after it was noted, before it is sent.
    private struct Waiting: SocketIOParser {
        let base = SocketIOJSONParser()
        let notes: Notes
        let gate: DispatchSemaphore
        private let isFirst = NIOLockedValueBox(true)

        init(_ notes: Notes, _ gate: DispatchSemaphore) {
            self.notes = notes
            self.gate = gate
        }

        func makeDecoder() -> any SocketIOPacketDecoder & ~Copyable { base.makeDecoder() }

        func encode(_ packet: SocketIOPacket) throws(SocketIOUsageError) -> SocketIOMessages {
            if case .event(let values, nil) = packet.content, values.first == "slow",
                isFirst.withLockedValue({ isFirst in
                    defer { isFirst = false }
                    return isFirst
                })
            {
                notes.add("begun")
                gate.wait()
            }
            return try base.encode(packet)
        }
    }

    /// A client that has gone, and the offset of the last event that it has; in `room`, with so many others.
    private func lost(_ bench: SocketIOBench, others: Int) async throws -> (auth: String, id: String, others: [TestClient]) {
        var crowd: [TestClient] = []
        for _ in 0..<others { crowd.append(try await bench.join()) }
        let client = try await bench.join()
        for socket in bench.io.main.localSockets { socket.join("room") }
        bench.io.to("room").emit("first")
        let last = try offset(await client.next(), #"2["first""#)
        for other in crowd { _ = await other.next() }
        let before = bench.notes.lines.count
        client.close()
        await bench.notes.wait(before + 1)
        return (#"{"pid":"\#(client.privateID)","offset":"\#(last)"}"#, client.id, crowd)
    }

    private func expect(_ client: TestClient, _ events: [String], _ id: String) async throws {
        for event in events {
            if event == "CONNECT" {
                #expect(await client.next()?.hasPrefix(#"0{"sid":"\#(id)""#) == true)
            } else {
                _ = try offset(await client.next(), #"2["\#(event)""#)
            }
        }
        try client.note(#"0{"sid":"\#(id)"}"#)
        await client.expectSilence()
    }

    @Test(arguments: [0, 20]) func whatIsSaidWhileAMiddlewareDecidesIsMissedAndComesFirst(others: Int) async throws {
        let gate = Gate()
        let comesBack = NIOLockedValueBox(false)
        try await withSocketIO {
            $0.recovery = SocketIORecovery(skipMiddlewares: false)
        } prepare: { io, notes in
            io.use { _ in
                guard comesBack.withLockedValue({ $0 }) else { return }
                notes.add("judging")
                await gate.pass()
            }
            io.onConnection { socket in socket.onDisconnect { notes.add("\($0)") } }
        } _: { bench in
            let lost = try await lost(bench, others: others)
            comesBack.withLockedValue { $0 = true }
            bench.io.to("room").emit("before")
            let again = try await bench.open()
            again.send("0" + lost.auth)
            await bench.notes.wait(2)
            bench.io.to("room").emit("meanwhile")
            gate.open()
            try await expect(again, ["before", "meanwhile", "CONNECT"], lost.id)
            bench.io.to("room").emit("later")
            _ = try offset(await again.next(), #"2["later""#)
        }
    }

    @Test(arguments: [0, 20]) func whatIsSaidOnceTheRoomsAreRejoinedComesAfterWhatWasMissed(others: Int) async throws {
        let target = NIOLockedValueBox<SocketIOServer?>(nil)
        try await withSocketIO {
            $0.recovery = SocketIORecovery()
            $0.adapter = { namespace in
                Interrupted(namespace) {
                    let io = target.withLockedValue { $0 }
                    io?.to("room").emit("now")
                    io?.emit("to all")
                    io?.main.localSockets.forEach { $0.emit("to each") }
                }
            }
        } prepare: { io, notes in
            target.withLockedValue { $0 = io }
            io.onConnection { socket in
                if socket.isRecovered { socket.emit("welcome") }
                socket.onDisconnect { notes.add("\($0)") }
            }
        } _: { bench in
            let lost = try await lost(bench, others: others)
            bench.io.to("room").emit("missed")
            let again = try await bench.open()
            again.send("0" + lost.auth)
            try await expect(again, ["missed", "CONNECT", "now", "to all", "to each", "welcome"], lost.id)
            // By now it is told with the others.
            for number in 0..<3 {
                bench.io.to("room").emit("later \(number)")
                _ = try offset(await again.next(), #"2["later \#(number)""#)
            }
            target.withLockedValue { $0 = nil }
        }
    }

    @Test(arguments: [0, 20]) func whatIsOnItsWayWhenTheRoomsAreRejoinedComesOnce(others: Int) async throws {
        let gate = DispatchSemaphore(value: 0)
        let notes = Notes()
        try await withSocketIO {
            $0.recovery = SocketIORecovery()
            $0.parser = Waiting(notes, gate)
        } prepare: { io, notes in
            io.onConnection { socket in socket.onDisconnect { notes.add("\($0)") } }
        } _: { bench in
            let lost = try await lost(bench, others: others)
            let io = bench.io
            Thread.detachNewThread {
                io.to("room").emit("slow")
                notes.add("sent")
            }
            await notes.wait(1)
            let again = try await bench.open()
            again.send("0" + lost.auth)
            try await expect(again, ["slow", "CONNECT"], lost.id)
            gate.signal()
            await notes.wait(2)
            await again.expectSilence()
            for other in lost.others { _ = try offset(await other.next(), #"2["slow""#) }
            for client in [again] + lost.others {
                io.to("room").emit("later")
                _ = try offset(await client.next(), #"2["later""#)
                for other in [again] + lost.others where other !== client { _ = await other.next() }
            }
        }
    }

    @Test func aSessionThatIsLostAgainBeforeItIsLetInIsKept() async throws {
        let gate = Gate()
        let isSlow = NIOLockedValueBox(false)
        try await withSocketIO {
            $0.recovery = SocketIORecovery(skipMiddlewares: false)
        } prepare: { io, notes in
            io.use { _ in
                guard isSlow.withLockedValue({ $0 }) else { return }
                notes.add("judging")
                await gate.pass()
                notes.add("judged")
            }
            io.onConnection { socket in socket.onDisconnect { notes.add("\($0)") } }
        } _: { bench in
            let lost = try await lost(bench, others: 0)
            isSlow.withLockedValue { $0 = true }
            let second = try await bench.open()
            second.send("0" + lost.auth)
            await bench.notes.wait(2)
            second.close()
            while await second.next() != nil {}
            while bench.io.engine.sessionCount > 0 { await Task.yield() }
            isSlow.withLockedValue { $0 = false }
            gate.open()
            await bench.notes.wait(3)
            bench.io.to("room").emit("missed")
            while true {
                let third = try await bench.open()
                third.send("0" + lost.auth)
                // The session is kept again a moment after the middleware has let go.
                guard let first = await third.next(), first.hasPrefix("2") else { continue }
                _ = try offset(first, #"2["missed""#)
                try await expect(third, ["CONNECT"], lost.id)
                break
            }
        }
    }

    @Test func whatWasDroppedMeanwhileEndsTheConnection() async throws {
        let gate = Gate()
        let isSlow = NIOLockedValueBox(false)
        try await withSocketIO {
            $0.recovery = SocketIORecovery(skipMiddlewares: false, maxBytes: 2000)
        } prepare: { io, notes in
            io.use { _ in
                guard isSlow.withLockedValue({ $0 }) else { return }
                notes.add("judging")
                await gate.pass()
            }
            io.onConnection { socket in socket.onDisconnect { notes.add("\($0)") } }
        } _: { bench in
            let lost = try await lost(bench, others: 0)
            isSlow.withLockedValue { $0 = true }
            let again = try await bench.open()
            again.send("0" + lost.auth)
            await bench.notes.wait(2)
            for _ in 0..<5 { bench.io.emit("long", String(repeating: "x", count: 1000)) }
            gate.open()
            #expect(await again.next() == "closed")
            #expect(bench.log.lines.contains { $0.contains("limit SocketIORecovery.maxBytes") })
            #expect(bench.io.main.socketCount == 0)
        }
    }

    // MARK: The log alone

    private func log(_ recovery: SocketIORecovery) -> RecoveryLog { RecoveryLog(recovery, SocketIOServer().timers) }

    private func note(_ log: RecoveryLog, _ values: [SocketIOValue], now: ContinuousClock.Instant) throws -> String {
        let packet = try #require(log.note(SocketIOPacket(namespace: "/", content: .event(values, id: nil)), .init(), now: now))
        guard case .event(let noted, nil) = packet.content, case .string(let offset) = noted.last else {
            Issue.record("\(packet)")
            return ""
        }
        #expect(noted.dropLast() == values[...])
        return offset
    }

    private func missed(_ log: RecoveryLog, since offset: String) -> [[SocketIOValue]]? {
        log.persist(SocketIOSession(id: "id", privateID: "secret", rooms: ["id"], data: nil))
        return log.restore("secret", offset).flatMap { log.missed($0) }?.map { $0.dropLast() }
    }

    @Test func theOldestAreDropped() throws {
        let log = log(SocketIORecovery(maxBytes: 1000))
        let now = ContinuousClock.now
        let first = try note(log, ["a"], now: now)
        let second = try note(log, ["b"], now: now)
        #expect(missed(log, since: first) == [["b"]])
        _ = try note(log, ["c", .string(String(repeating: "x", count: 500))], now: now)
        #expect(missed(log, since: second)?.count == 1)
        _ = try note(log, ["d", .string(String(repeating: "x", count: 500))], now: now)
        #expect(missed(log, since: first) == nil)
        #expect(missed(log, since: second) == nil)
    }

    @Test func whatIsOldIsDropped() throws {
        let log = log(SocketIORecovery(maxDisconnectionDuration: .seconds(10)))
        let start = ContinuousClock.now
        let first = try note(log, ["a"], now: start)
        let second = try note(log, ["b"], now: start + .seconds(6))
        #expect(missed(log, since: first) == [["b"]])
        _ = try note(log, ["c"], now: start + .seconds(11))
        #expect(missed(log, since: first) == nil)
        #expect(missed(log, since: second) == [["c"]])
    }
}
