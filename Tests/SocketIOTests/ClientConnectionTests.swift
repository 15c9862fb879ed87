// A client's connection and the namespaces on it: ClientConnection.swift, SocketIONamespace.swift, SocketIOServer.swift.

import EngineIO
import TestSupport
import Testing
import WebSockets

@testable import SocketIO

@Suite(.serialized, .timeLimit(.minutes(3))) struct ClientConnectionTests {
    // MARK: Joining

    @Test func theAnswerIsTheID() async throws {
        try await withSocketIO { bench in
            let client = try await bench.open()
            client.send("0")
            let answer = try #require(await client.next())
            try client.note(answer)
            #expect(answer == #"0{"sid":"\#(client.id)"}"#)
            #expect(try bench.socket(client).isConnected)
        }
    }

    @Test(arguments: [#"2["echo",1]"#, "1", "31[]", #"2/,["echo"]"#]) func aPacketBeforeConnectCloses(packet: String) async throws {
        try await withSocketIO { bench in
            let client = try await bench.open()
            client.send(packet)
            #expect(await client.next() == "closed")
        }
    }

    @Test func aSecondConnectCloses() async throws {
        try await withSocketIO { bench in
            let client = try await bench.join()
            client.send("0")
            #expect(await client.next() == "closed")
        }
    }

    @Test func whatALateClientSendsToANamespaceThatItHasLeftIsForgiven() async throws {
        try await withSocketIO { bench in
            let client = try await bench.join()
            client.send("1", #"21["echo",1]"#, "1")
            try await client.join()
            await client.expectSilence()
        }
    }

    @Test func namespacesAreLimited() async throws {
        try await withSocketIO {
            $0.maxNamespaces = 2
        } prepare: { io, _ in
            _ = (io.of("/a"), io.of("/b"))
        } _: { bench in
            let client = try await bench.join()
            try await client.join("/a")
            client.send("0/b,")
            #expect(await client.next() == #"4/b,{"message":"too many namespaces"}"#)
            client.send("1/a,")
            try await client.join("/b")
            await client.expectSilence()
        }
    }

    // As in Node: it counts who has joined, not who waits to be let in.
    @Test func whoIsStillBeingJudgedHasNotJoinedInTime() async throws {
        let gate = Gate()
        try await withSocketIO {
            $0.connectTimeout = .milliseconds(50)
        } prepare: { io, notes in
            io.of("/slow").use { _ in await gate.pass() }
            io.of("/slow").onConnection { _ in notes.add("joined") }
        } _: { bench in
            let client = try await bench.open()
            client.send("0/slow,")
            #expect(await client.next() == "closed")
            gate.open()
            #expect(bench.notes.lines == [])
        }
    }

    @Test func whoHasLeftAllNamespacesStaysConnected() async throws {
        let isInTime = try await withTimeouts { timeout in
            try await withSocketIO {
                $0.connectTimeout = timeout
                $0.engine.pingInterval = timeout
            } _: { bench in
                let client = try await bench.open(answersHeartbeats: false)
                client.send("0")
                // On a slow machine it is closed by now, or a heartbeat came first.
                guard let joined = await client.next(), joined.hasPrefix("0{") else { return false }
                client.send("1")
                // Two heartbeats later it is still there.
                for _ in 0..<2 {
                    #expect(await client.next() == "")
                    client.socket.trySend(.text("3"))
                }
                client.send("0")
                var answer = await client.next()
                while answer == "" { answer = await client.next() }
                #expect(answer?.hasPrefix("0{") == true)
                return true
            }
        }
        #expect(isInTime)
    }

    // MARK: Who is let in

    @Test func aMiddlewareRefusesWithDataAndTheConnectionStays() async throws {
        try await withSocketIO { _ in
        } prepare: { io, _ in
            io.of("/closed").use { _ in throw SocketIOError("not you", data: ["code": 7]) }
            io.of("/broken").use { _ in throw CancellationError() }
        } _: { bench in
            let client = try await bench.join()
            client.send("0/closed,")
            #expect(await client.next() == #"4/closed,{"message":"not you","data":{"code":7}}"#)
            client.send("0/broken,")
            #expect(await client.next() == #"4/broken,{"message":"internal server error"}"#)
            await client.expectSilence()
            #expect(bench.io.of("/closed").socketCount == 0)
            #expect(bench.log.lines.contains { $0.hasPrefix("a middleware threw") })
        }
    }

    private struct Token: Decodable { let token: String }
    private struct User: Codable, Sendable, Equatable { let name: String }

    @Test func middlewaresAreAskedInOrderAndKeepWhatTheyFind() async throws {
        try await withSocketIO { _ in
        } prepare: { io, notes in
            io.use { socket in
                let auth: Token = try socket.handshake.auth()
                await Task.yield()
                socket.setData(User(name: auth.token.uppercased()))
                notes.add("first")
            }
            io.use { _ in notes.add("second") }
            io.onConnection { socket in notes.add("joined: \(socket.data(as: User.self)?.name ?? "nobody")") }
        } _: { bench in
            let client = try await bench.join(auth: #"{"token":"ada"}"#)
            #expect(await bench.notes.wait(3) == ["first", "second", "joined: ADA"])
            let other = try await bench.open()
            other.send(#"0{"token":1}"#)
            #expect(await other.next()?.hasPrefix(#"4{"message":"at token: "#) == true)
            await client.expectSilence()
        }
    }

    // MARK: Namespaces that are made

    @Test func aNamespaceIsMadeForAClient() async throws {
        try await withSocketIO {
            $0.cleanupEmptyChildNamespaces = true
        } prepare: { io, notes in
            io.onNewNamespace { notes.add("new \($0.name)") }
            io.of(matching: /\/room-\d+/).onConnection { socket in
                notes.add("joined \(socket.namespace.name)")
                socket.on("name") { socket.namespace.name }
            }
            io.of { name, auth, _ in name == "/asked" && auth["let me in"] == true }.onConnection { _ in notes.add("asked") }
        } _: { bench in
            let client = try await bench.join("/room-1")
            client.send(#"2/room-1,1["name"]"#)
            #expect(await client.next() == #"3/room-1,1["/room-1"]"#)
            for refused in ["/room-", "/xroom-1", "/room-1x", "/asked"] {
                client.send("0\(refused),")
                #expect(await client.next() == #"4\#(refused),{"message":"Invalid namespace"}"#)
            }
            try await client.join("/asked", auth: #"{"let me in":true}"#)
            #expect(await bench.notes.wait(4) == ["new /room-1", "joined /room-1", "new /asked", "asked"])
            client.send("1/room-1,")
            try await client.join()
            #expect(bench.io.existingNamespace("/room-1") == nil)
            #expect(bench.io.existingNamespace("/asked") != nil)
        }
    }

    // MARK: The end

    @Test func aClientThatLeavesIsToldNothing() async throws {
        try await withSocketIO { _ in
        } prepare: { io, notes in
            io.onConnection { socket in
                socket.join("room")
                socket.onDisconnecting { notes.add("\($0), in \(socket.rooms.count - 1) room") }
                socket.onDisconnect { notes.add("\($0), in \(socket.rooms.count) rooms") }
            }
        } _: { bench in
            let client = try await bench.join()
            client.send("1")
            #expect(await bench.notes.wait(2) == ["client namespace disconnect, in 1 room", "client namespace disconnect, in 0 rooms"])
            try await client.join()
            client.close()
            #expect(await bench.notes.wait(4).last == "transport close, in 0 rooms")
            let rude = try await bench.join()
            rude.send("abc")
            #expect(await bench.notes.wait(6).last == "parse error, in 0 rooms")
            #expect(bench.io.main.socketCount == 0)
        }
    }

    private struct Fault: Error, CustomStringConvertible { let description = "the database is away" }

    /// - Parameter way: whether the first closure throws at once or after it has awaited something, and whether that is a fault.
    @Test(arguments: [true, false], [true, false]) func onConnectionThatThrowsDisconnects(awaits: Bool, isFault: Bool) async throws {
        let error: any Error = isFault ? Fault() : SocketIOError("too many of you")
        try await withSocketIO { _ in
        } prepare: { io, notes in
            io.onConnection { socket in socket.onDisconnect { notes.add("\($0)") } }
            if awaits {
                io.onConnection { _ in
                    await Task.yield()
                    throw error
                }
                io.onConnection { _ in
                    await Task.yield()
                    notes.add("the next one")
                }
            } else {
                io.onConnection { _ in throw error }
                io.onConnection { _ in notes.add("the next one") }
            }
        } _: { bench in
            let client = try await bench.join()
            #expect(await client.next() == "1")
            #expect(await bench.notes.wait(1) == ["server namespace disconnect"])
            #expect(bench.io.main.socketCount == 0)
            // Another namespace of the connection goes on.
            _ = bench.io.of("/other")
            try await client.join("/other")
            #expect(bench.notes.lines.count == 1)
            #expect(bench.log.lines.contains { $0.contains("onConnection threw") && $0.contains("the database is away") } == isFault)
        }
    }

    @Test func aServerDisconnectsASocketOrItsConnection() async throws {
        try await withSocketIO { _ in
        } prepare: { io, notes in
            _ = io.of("/a")
            io.onConnection { socket in socket.onDisconnect { notes.add("\($0)") } }
        } _: { bench in
            let client = try await bench.join()
            try await client.join("/a")
            try bench.socket(client, "/a").disconnect()
            #expect(await client.next() == "1/a,")
            await client.expectSilence()
            try await client.join("/a")
            bench.io.main.localSockets.first?.disconnect(closingConnection: true)
            #expect(await client.next() == "1")
            #expect(await client.next() == "1/a,")
            #expect(await client.next() == "closed")
            #expect(await bench.notes.wait(1) == ["server namespace disconnect"])
        }
    }

    /// How a server ends a client's connection.
    enum Ending: CaseIterable {
        case disconnect, disconnectSockets, closeConnection

        func end(_ socket: SocketIOSocket) {
            switch self {
            case .disconnect: socket.disconnect(closingConnection: true)
            case .disconnectSockets: socket.namespace.disconnectSockets(closingConnections: true)
            case .closeConnection: socket.connection.close()
            }
        }
    }

    // On long-polling the close packet comes in an answer of its own, as from Node: the official client loses what is with it.
    @Test(arguments: Ending.allCases, [false, true])
    func whatIsSaidBeforeTheEndArrivesBeforeIt(ending: Ending, aPollWaits: Bool) async throws {
        try await withSocketIO { _ in
        } prepare: { io, notes in
            io.onConnection { socket in
                socket.onDisconnect { notes.add("\($0)") }
                socket.on("end") {
                    socket.emit("last", 1)
                    socket.emit("last", 2)
                    ending.end(socket)
                }
            }
        } _: { bench in
            let opened = try await bench.request("GET", "")
            let sid = opened.drop { $0 != ":" }.dropFirst(2).prefix(20)
            func poll() async throws -> String { try await bench.request("GET", "&sid=\(sid)") }
            #expect(try await bench.request("POST", "&sid=\(sid)", body: "40") == "ok")
            #expect(try await poll().hasPrefix("40"))
            let session = try #require(bench.io.engine.allSessions.first)
            async let waiting = aPollWaits ? poll() : ""
            while aPollWaits && !session.isWritable { try await Task.sleep(for: .milliseconds(2)) }
            #expect(try await bench.request("POST", "&sid=\(sid)", body: #"42["end"]"#) == "ok")
            let events = [#"42["last",1]"#, #"42["last",2]"#] + (ending == .closeConnection ? [] : ["41"])
            if aPollWaits { #expect(try await waiting == events[0]) }
            #expect(try await poll() == events[(aPollWaits ? 1 : 0)...].joined(separator: "\u{1E}"))
            #expect(try await poll() == "1")
            #expect(try await poll() == #"{"code":1,"message":"Session ID unknown"}"#)
            #expect(await bench.notes.wait(1) == [ending == .closeConnection ? "forced close" : "server namespace disconnect"])
        }
    }

    @Test func aServerThatEndsDisconnectsEverybody() async throws {
        try await withSocketIO { _ in
        } prepare: { io, notes in
            io.onConnection { socket in socket.onDisconnect { notes.add("\($0)") } }
        } _: { bench in
            let client = try await bench.join()
            bench.io.close()
            #expect(await client.next() == "closed")
            #expect(await bench.notes.wait(1) == ["server shutting down"])
        }
    }

    // Most handlers hold the socket that holds them.
    @Test func aSocketThatHasLeftIsFreed() async throws {
        try await withSocketIO { _ in
        } prepare: { io, notes in
            io.onConnection { socket in
                socket.on("a") { (text: String) in socket.emit("b", text) }
                socket.onAny { _ in _ = socket.id }
                socket.use { _ in _ = socket.id }
                socket.onDisconnect { _ in notes.add("gone \(socket.isConnected)") }
            }
        } _: { bench in
            let client = try await bench.join()
            weak let socket = try bench.socket(client)
            #expect(socket != nil)
            client.send("1")
            await bench.notes.wait(1)
            // The answer comes when nothing of the packet before is under way any more.
            try await client.join()
            #expect(socket == nil)
        }
    }
}
