// Clients that come back: RecoveryLog.swift, and what of it is in SocketIONamespace.swift.

import Testing

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
        return log.restore("secret", offset)?.missed.map { $0.dropLast() }
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
