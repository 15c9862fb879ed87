// Rooms and what is said to them: SocketIOBroadcast.swift, SocketIOInMemoryAdapter.swift.

import NIOConcurrencyHelpers
import NIOCore
import TestSupport
import Testing
import WebSockets

@testable import SocketIO

@Suite(.serialized, .timeLimit(.minutes(1))) struct SocketIOBroadcastTests {
    /// Three clients; the first is in `a`, the second in `a` and `b`, the third in `b`.
    private func run(_ body: (SocketIOBench, [TestClient], [SocketIOSocket]) async throws -> Void) async throws {
        try await withSocketIO { bench in
            var clients: [TestClient] = []
            for _ in 0..<3 { clients.append(try await bench.join()) }
            let sockets = try clients.map { try bench.socket($0) }
            sockets[0].join("a")
            sockets[1].join("a", "b")
            sockets[2].join("b")
            try await body(bench, clients, sockets)
        }
    }

    private func expect(_ heard: [[Int]], _ clients: [TestClient], _ location: SourceLocation = #_sourceLocation) async {
        for (client, numbers) in zip(clients, heard) {
            for number in numbers { #expect(await client.next() == #"2["e",\#(number)]"#, sourceLocation: location) }
            await client.expectSilence(location)
        }
    }

    @Test func reachesWhoIsMeant() async throws {
        try await run { bench, clients, sockets in
            let io = bench.io
            io.emit("e", 1)
            io.to("a").emit("e", 2)
            io.to("a").to("b").emit("e", 3)
            io.in("a", "b").except("b").emit("e", 4)
            io.except("a").emit("e", 5)
            io.to("nobody").emit("e", 6)
            io.to(sockets[2].id).emit("e", 7)
            io.to("a").except(sockets[0].id).emit("e", 8)
            io.local.volatile.compress(false).emit("e", 9)
            await expect([[1, 2, 3, 4, 9], [1, 2, 3, 8, 9], [1, 3, 5, 7, 9]], clients)
        }
    }

    @Test func aSocketReachesTheOthers() async throws {
        try await run { _, clients, sockets in
            sockets[0].broadcast.emit("e", 1)
            sockets[0].to("a").emit("e", 2)
            sockets[0].to("b").emit("e", 3)
            sockets[0].except("b").emit("e", 4)
            sockets[0].to(sockets[2].id).emit("e", 5)
            sockets[0].leave("a")
            sockets[1].to("a").emit("e", 6)
            await expect([[], [1, 2, 3], [1, 3, 5]], clients)
        }
    }

    /// As in Node, it is the same whether how it is sent or to whom is said first.
    @Test func settingsAndRoomsComeInAnyOrder() async throws {
        try await run { _, clients, sockets in
            let socket = sockets[0]
            socket.volatile.to("b").emit("e", 1)
            socket.to("b").volatile.emit("e", 2)
            socket.compress(false).volatile.timeout(.seconds(1)).to(["b"]).compress(true).emit("e", 3)
            socket.timeout(.seconds(1)).broadcast.except("a").volatile.emit("e", 4)
            socket.volatile.except("a").timeout(.seconds(1)).emit("e", 5)
            socket.compress(true).in("a").local.emit("e", 6)
            socket.local.compress(false).to("a").emit("e", 7)
            socket.volatile.local.emit("e", 8)
            socket.volatile.compress(false).timeout(.seconds(1)).emit("e", 9)
            socket.timeout(.seconds(1)).compress(false).volatile.emit("e", arguments: [10])
            await expect([[9, 10], [1, 2, 3, 6, 7, 8], [1, 2, 3, 4, 5, 8]], clients)
            // What was set before the rooms were named is still set.
            let options = socket.volatile.compress(false).timeout(.seconds(7)).to("b").options
            #expect(options.isVolatile && options.compression == .never && options.timeout == .seconds(7))
            #expect(options.rooms == ["b"] && options.except == [socket.id])
        }
    }

    @Test func anEmitterWaitsForItsAcknowledgement() async throws {
        try await run { _, clients, sockets in
            let emitter = sockets[0].compress(false).timeout(.seconds(50))
            async let sum = emitter.emitWithAck("sum", 1, as: Int.self)
            let packet = try #require(await clients[0].next())
            let id = packet.dropFirst().prefix { $0.isNumber }
            #expect(packet == "2\(id)[\"sum\",1]")
            clients[0].send("3\(id)[3]")
            #expect(try await sum == 3)
            let error = await #expect(throws: SocketIOAckError.self) {
                _ = try await sockets[0].timeout(.milliseconds(1)).volatile.emitWithAck("late")
            }
            #expect(error?.reason == .timeout)
        }
    }

    @Test func theirConnectionsAreClosed() async throws {
        try await run { bench, clients, _ in
            bench.io.to("a").disconnectSockets(closingConnection: true)
            for client in clients.prefix(2) {
                #expect(await client.next() == "1")
                #expect(await client.next() == "closed")
            }
            await clients[2].expectSilence()
        }
    }

    @Test func binaryReachesAll() async throws {
        try await run { bench, clients, _ in
            bench.io.to("a", "b").emit("e", arguments: [.binary(ByteBuffer(bytes: [1])), .binary(ByteBuffer())])
            for client in clients {
                #expect(await client.next() == #"52-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#)
                #expect(await client.next() == "[1]")
                #expect(await client.next() == "[]")
                await client.expectSilence()
            }
        }
    }

    @Test func collectsTheAnswersOfAll() async throws {
        try await run { bench, clients, _ in
            let io = bench.io
            let asked = Task { try await io.to("a").emitWithAck("ask", 1) }
            for (index, client) in clients.prefix(2).enumerated() {
                #expect(await client.next() == #"20["ask",1]"#)
                client.send("30[\(index)]")
                await client.expectSilence()
            }
            let answers = try await asked.value
            #expect(answers == [[0], [1]])
            let none = try await io.to("nobody").emitWithAck("ask")
            #expect(none.isEmpty)

            var id = 2
            let isHeard = await withTimeouts { timeout in
                let some = Task { try await io.timeout(timeout).emitWithAck("ask") }
                #expect(await clients[2].next() == #"2\#(id)["ask"]"#)
                clients[2].send(#"3\#(id)["third"]"#)
                id += 1
                let error = await #expect(throws: SocketIOAckError.self) { _ = try await some.value }
                #expect(error?.reason == .timeout)
                return error?.responses == [["third"]]
            }
            #expect(isHeard)
        }
    }

    @Test func whoeverLeavesIsNotWaitedFor() async throws {
        try await run { bench, clients, sockets in
            let io = bench.io
            let asked = Task { try await io.emitWithAck("ask") }
            for client in clients { #expect(await client.next() == #"20["ask"]"#) }
            clients[0].send("1")
            clients[1].send(#"30["second"]"#)
            await clients[1].expectSilence()
            sockets[2].disconnect()
            let answers = try await asked.value
            #expect(answers == [["second"]])

            let alone = Task { try await io.emitWithAck("ask") }
            #expect(await clients[1].next() == #"21["ask"]"#)
            clients[1].close()
            let (left, none) = (try await alone.value, try await io.emitWithAck("ask"))
            #expect(left.isEmpty && none.isEmpty)
        }
    }

    @Test func nothingIsLeftOfAQuestionThatIsOver() async throws {
        try await run { bench, clients, sockets in
            let io = bench.io
            func acks() -> Int { sockets.reduce(0) { $0 + $1.state.withLockedValue { $0.rare?.acks.count ?? 0 } } }
            let asked = Task { try await io.emitWithAck("ask") }
            for client in clients { #expect(await client.next() == #"20["ask"]"#) }
            #expect(acks() == 3)
            asked.cancel()
            await #expect(throws: CancellationError.self) { _ = try await asked.value }
            #expect(acks() == 0)

            await #expect(throws: SocketIOAckError.self) { _ = try await io.timeout(.milliseconds(1)).emitWithAck("ask") }
            #expect(acks() == 0)

            let cancelled = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return try await io.emitWithAck("never sent")
            }
            await #expect(throws: CancellationError.self) { _ = try await cancelled.value }
            let error = await #expect(throws: SocketIOAckError.self) { _ = try await io.emitWithAck("connect") }
            #expect(error?.reason == .notSent)
            #expect(acks() == 0)
            for client in clients { #expect(await client.next() == #"21["ask"]"#) }
            await expect([[], [], []], clients)
        }
    }

    @Test func doesThingsToMany() async throws {
        try await run { bench, clients, sockets in
            let io = bench.io
            io.in("b").socketsJoin(["c", "d"])
            io.in("a").socketsLeave(["c"])
            #expect(sockets[1].rooms == ["a", "b", "d", sockets[1].id])
            #expect(sockets[2].rooms == ["b", "c", "d", sockets[2].id])
            sockets[2].setData(["name": "Ada"])
            let remote = try #require(try await io.in("c").fetchSockets().first)
            #expect(remote.id == sockets[2].id)
            #expect(remote.rooms == ["b", "c", "d", remote.id])
            #expect(remote.data(as: [String: String].self) == ["name": "Ada"])
            // Both know the same of what is not there, or does not fit.
            #expect(remote.data(as: Int.self) == nil && sockets[2].data(as: Int.self) == nil)
            #expect(remote.data["name"] == "Ada")
            let other = try #require(try await io.in("a").fetchSockets().first)
            #expect(other.data(as: Int?.self) == nil && other.data(as: String.self) == nil && sockets[1].data(as: String.self) == nil)
            #expect(remote.handshake["query"]?["EIO"] == "4")
            remote.emit("e", 1)
            await expect([[], [], [1]], clients)
            io.in("a").disconnectSockets()
            #expect(await clients[0].next() == "1")
            #expect(await clients[1].next() == "1")
            await clients[2].expectSilence()
            #expect(io.main.adapter.allRooms == ["b": 1, "c": 1, "d": 1])
            #expect(try await io.fetchSockets().map(\.id) == [sockets[2].id])
        }
    }

    @Test func whatHappensToRoomsIsTold() async throws {
        try await withSocketIO { _ in
        } prepare: { io, notes in
            io.main.onRoomEvent { event in
                switch event {
                case .create(let room): notes.add("create \(room)")
                case .join(let room, _): notes.add("join \(room)")
                case .leave(let room, _): notes.add("leave \(room)")
                case .delete(let room): notes.add("delete \(room)")
                }
            }
        } _: { bench in
            let (first, second) = (try bench.socket(try await bench.join()), try bench.socket(try await bench.join()))
            first.join("a")
            second.join("a")
            first.leave("a")
            first.leave("a")
            second.disconnect()
            #expect(await bench.notes.wait(6) == ["create a", "join a", "join a", "leave a", "leave a", "delete a"])
        }
    }
}
