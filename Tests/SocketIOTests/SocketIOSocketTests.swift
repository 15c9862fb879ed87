// Events and acknowledgements both ways: SocketIOSocket.swift, SocketIOSocket+Events.swift, SocketIOSocket+Emitting.swift, EventQueue.swift.

import NIOCore
import TestSupport
import Testing

@testable import SocketIO

@Suite(.serialized, .timeLimit(.minutes(1))) struct SocketIOSocketTests {
    private func run(
        _ adjust: (inout SocketIOConfiguration) -> Void = { _ in },
        prepare: @escaping @Sendable (SocketIOSocket, Notes) -> Void, _ body: (SocketIOBench) async throws -> Void
    ) async throws {
        try await withSocketIO(adjust, prepare: { io, notes in io.onConnection { prepare($0, notes) } }, body)
    }

    // MARK: Arriving

    @Test func eventsWaitForTheHandlerBefore() async throws {
        let gate = Gate()
        try await run { socket, notes in
            socket.on("slow") { (number: Int) async in
                await gate.pass()
                notes.add("slow \(number)")
            }
            socket.on("quick") { (number: Int) in notes.add("quick \(number)") }
            socket.onDisconnect { notes.add("\($0)") }
        } _: { bench in
            let (client, other) = (try await bench.join(), try await bench.join())
            client.send(#"2["quick",1]"#, #"2["slow",2]"#, #"2["quick",3]"#, #"2["slow",4]"#, #"2["quick",5]"#, "1")
            await bench.notes.wait(1)
            // Others do not wait.
            await other.expectSilence()
            #expect(bench.notes.lines == ["quick 1"])
            gate.open()
            #expect(await bench.notes.wait(6) == ["quick 1", "slow 2", "quick 3", "slow 4", "quick 5", "client namespace disconnect"])
        }
    }

    @Test func theEventsThatWaitAreLimited() async throws {
        let gate = Gate()
        try await run {
            $0.maxPendingBytes = 1000
        } prepare: { socket, _ in
            socket.on("slow") { () async in await gate.pass() }
        } _: { bench in
            let client = try await bench.join()
            for _ in 0..<1100 { client.send(#"2["slow"]"#) }
            #expect(await client.next() == "closed")
            #expect(bench.log.lines.contains { $0.contains("limit maxPendingBytes") })
            gate.open()
        }
    }

    private struct Order: Codable, Sendable {
        let name: String
        let count: Int?
    }

    @Test func argumentsAreTyped() async throws {
        try await run { socket, _ in
            socket.on("add") { (a: Int, b: Int) in a + b }
            socket.on("order") { (order: Order, note: String?) in "\(order.count ?? 0) × \(order.name)\(note ?? "")" }
            socket.on("later") { (text: String) async in
                await Task.yield()
                return [text]
            }
            socket.on("nothing") {}
            socket.on("bytes") { (bytes: ByteBuffer) in bytes.readableBytes }
        } _: { bench in
            let client = try await bench.join()
            client.send(#"21["add",1,2]"#, #"22["add",1,2,3]"#)
            client.send(#"23["order",{"name":"tea","count":2},"!"]"#, #"24["order",{"name":"tea"}]"#)
            client.send(#"25["later","a"]"#, #"26["nothing",1]"#)
            for answer in ["31[3]", "32[3]", #"33["2 × tea!"]"#, #"34["0 × tea"]"#, #"35[["a"]]"#, "36[]"] {
                #expect(await client.next() == answer)
            }
        }
    }

    @Test func whatDoesNotFitIsAnErrorAndAnAnswer() async throws {
        try await run { socket, notes in
            socket.on("add") { (a: Int, b: Int) in a + b }
            socket.on("refuse") { () throws in throw SocketIOError("no", data: [1]) }
            socket.on("fail") { () async throws in throw CancellationError() }
            socket.onError { notes.add("\(type(of: $0))") }
        } _: { bench in
            let client = try await bench.join()
            client.send(#"21["add",1,"2"]"#, #"22["add",1]"#, #"23["refuse"]"#, #"24["fail"]"#, #"2["fail"]"#)
            #expect(await client.next()?.hasPrefix(#"31[{"error":"argument 2: "#) == true)
            #expect(await client.next()?.hasPrefix(#"32[{"error":"argument 2: expected Int"#) == true)
            #expect(await client.next() == #"33[{"error":"no","data":[1]}]"#)
            #expect(await client.next() == #"34[{"error":"internal server error"}]"#)
            let lines = await bench.notes.wait(5)
            #expect(lines == ["SocketIOArgumentError", "SocketIOArgumentError", "SocketIOError", "CancellationError", "CancellationError"])
            #expect(bench.log.lines.filter { $0.hasPrefix("an event failed") }.count == 2, "the clients' faults are not the operator's")
        }
    }

    @Test func catchAllsComeFirstAndOnceIsOnce() async throws {
        try await run { socket, notes in
            socket.on("a") { (event: SocketIOEvent) in notes.add("a \(event.arguments.count)") }
            socket.once("a") { _ in notes.add("once") }
            socket.onAny { notes.add("any \($0.name)") }
            socket.on("b") { (_: SocketIOEvent) in socket.offAny() }
        } _: { bench in
            let client = try await bench.join()
            client.send(#"2["a",1]"#, #"2["a"]"#, #"2[7]"#, #"2["b"]"#, #"2["a"]"#)
            await client.expectSilence()
            #expect(bench.notes.lines == ["any a", "a 1", "once", "any a", "a 0", "any 7", "any b", "a 0"])
        }
    }

    @Test func aMiddlewareStopsEvents() async throws {
        try await run { socket, notes in
            socket.use { event in
                await Task.yield()
                notes.add("asked \(event.name)")
                if event.name == "bad" { throw SocketIOError("not that") }
            }
            socket.on("bad") { notes.add("handled") }
            socket.on("good") { notes.add("handled good") }
            socket.onError { notes.add("\($0)") }
        } _: { bench in
            let client = try await bench.join()
            client.send(#"21["bad"]"#, #"22["good"]"#)
            #expect(await client.next() == #"31[{"error":"not that"}]"#)
            #expect(await client.next() == "32[]")
            #expect(bench.notes.lines == ["asked bad", "not that", "asked good", "handled good"])
        }
    }

    @Test func anAnswerIsSentOnce() async throws {
        try await run { socket, _ in
            socket.on("twice") { (event: SocketIOEvent) in
                event.acknowledge(with: [1])
                try event.acknowledge(2)
                throw SocketIOError("late")
            }
        } _: { bench in
            let client = try await bench.join()
            client.send(#"21["twice"]"#)
            #expect(await client.next() == "31[1]")
            await client.expectSilence()
        }
    }

    // MARK: Sending

    @Test func emitsAnything() async throws {
        try await run { socket, notes in
            socket.onAnyOutgoing { notes.add("\($0.name) \($0.arguments.count)") }
            socket.emit("a", 1, "é", [true, false], Order(name: "tea", count: nil))
            socket.emit("b")
            socket.emit("c", arguments: [.null, ["bytes": .binary(ByteBuffer(bytes: [1, 255]))]])
            socket.emit("connect")
        } _: { bench in
            let client = try await bench.join()
            #expect(await client.next() == #"2["a",1,"é",[true,false],{"name":"tea"}]"#)
            #expect(await client.next() == #"2["b"]"#)
            #expect(await client.next() == #"51-["c",null,{"bytes":{"_placeholder":true,"num":0}}]"#)
            #expect(await client.next() == "[1, 255]")
            await client.expectSilence()
            #expect(bench.notes.lines == ["a 4", "b 0", "c 2"])
            #expect(bench.log.lines.contains { $0.contains("a name that is reserved: connect") })
        }
    }

    @Test func clientsAcknowledge() async throws {
        try await run { _, _ in
        } _: { bench in
            let client = try await bench.join()
            let socket = try bench.socket(client)
            let answer = Task { try await socket.emitWithAck("ask", 1) }
            #expect(await client.next() == #"20["ask",1]"#)
            client.send(#"30["yes",2]"#, #"30["again"]"#)
            #expect(try await answer.value == ["yes", 2])
            let bytes = Task { try await socket.emitWithAck("ask", as: ByteBuffer.self) }
            #expect(await client.next() == #"21["ask"]"#)
            client.send(#"61-1[{"_placeholder":true,"num":0}]"#)
            client.send(binary: [9])
            #expect(try await bytes.value == ByteBuffer(bytes: [9]))
            let number = Task { try await socket.emitWithAck("ask", as: Int.self) }
            #expect(await client.next() == #"22["ask"]"#)
            client.send(#"32["no number"]"#)
            await #expect(throws: SocketIOArgumentError.self) { _ = try await number.value }
            await client.expectSilence()
        }
    }

    @Test func acknowledgementsThatDoNotComeAreErrors() async throws {
        try await run { _, _ in
        } _: { bench in
            let client = try await bench.join()
            let socket = try bench.socket(client)
            let late = await #expect(throws: SocketIOAckError.self) { _ = try await socket.emitWithAck("ask", timeout: .milliseconds(20)) }
            #expect(late?.reason == .timeout)
            #expect(await client.next() == #"20["ask"]"#)
            client.send("30[]")
            await client.expectSilence()

            let cancelled = Task { try await socket.emitWithAck("ask") }
            #expect(await client.next() == #"21["ask"]"#)
            cancelled.cancel()
            await #expect(throws: CancellationError.self) { _ = try await cancelled.value }

            let waiting = Task { try await socket.emitWithAck("ask") }
            #expect(await client.next() == #"22["ask"]"#)
            client.send("1")
            let gone = await #expect(throws: SocketIOAckError.self) { _ = try await waiting.value }
            #expect(gone?.reason == .disconnected)
            let after = await #expect(throws: SocketIOAckError.self) { _ = try await socket.emitWithAck("ask") }
            #expect(after?.reason == .disconnected)
            let unsent = await #expect(throws: SocketIOAckError.self) { _ = try await socket.emitWithAck("ask", Double.nan) }
            #expect(unsent != nil)
        }
    }

    @Test func aTaskThatWasCancelledBeforeDoesNotWait() async throws {
        try await run { _, _ in
        } _: { bench in
            let client = try await bench.join()
            let socket = try bench.socket(client)
            let gate = Gate()
            let task = Task {
                await gate.pass()
                return try await socket.emitWithAck("ask")
            }
            task.cancel()
            gate.open()
            await #expect(throws: CancellationError.self) { _ = try await task.value }
        }
    }

    @Test func aVolatileEventIsMissedByWhoCanNotTakeIt() async throws {
        try await run { socket, _ in
            socket.on("go") {
                socket.volatile.emit("volatile", 1)
                socket.emit("kept", 2)
                socket.volatile.emit("volatile", 3)
                socket.namespace.volatile.emit("volatile", 4)
            }
        } _: { bench in
            let client = try await bench.join()
            client.send(#"2["go"]"#)
            for packet in [#"2["volatile",1]"#, #"2["kept",2]"#, #"2["volatile",3]"#, #"2["volatile",4]"#] {
                #expect(await client.next() == packet)
            }

            let opened = try await bench.request("GET", "")
            let sid = opened.drop { $0 != ":" }.dropFirst(2).prefix(20)
            _ = try await bench.request("POST", "&sid=\(sid)", body: "40")
            #expect(try await bench.request("GET", "&sid=\(sid)").hasPrefix(#"40{"sid":"#))
            // No request stands open now.
            _ = try await bench.request("POST", "&sid=\(sid)", body: #"42["go"]"#)
            #expect(try await bench.request("GET", "&sid=\(sid)") == #"42["kept",2]"#)
        }
    }

    // MARK: Rooms

    @Test func roomsAreLimited() async throws {
        try await run {
            $0.maxRooms = 2
        } prepare: { _, _ in
        } _: { bench in
            let socket = try bench.socket(try await bench.join())
            #expect(socket.join("a", "b"))
            #expect(socket.join("a"))
            #expect(!socket.join("c"))
            #expect(socket.rooms == ["a", "b", socket.id])
            #expect(bench.log.lines.contains { $0.contains("limit maxRooms") })
            socket.leave("a")
            #expect(socket.join("c"))
            #expect(bench.io.main.adapter.allRooms == ["b": 1, "c": 1])
        }
    }
}
