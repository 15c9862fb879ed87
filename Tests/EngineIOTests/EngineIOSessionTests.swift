// Sessions as the program has them: EngineIOSession.swift and its extensions, EngineIOPreparedMessage.swift, EngineIOHandshake.swift.

import HTTPTypes
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import TestSupport
import Testing
import WebSocketCore
import WebSockets

@testable import EngineIO

@Suite(.serialized, .timeLimit(.minutes(1))) struct EngineIOSessionTests {
    // MARK: What is known

    @Test func theHandshakeIsKept() async throws {
        try await withEngine({ _ in }) { bench in
            let sid = try await bench.get("&transport=polling&token=a%20b&x=1&x=2", fields: "X-Mine: yes\r\n").body
            let session = try bench.session
            #expect(try EngineIOTests.sid(in: sid) == session.id)
            try check(session.handshake)
            #expect(session.transport == .polling)
            #expect(session.webSocket == nil)
            _ = try await bench.upgraded(session.id)
            try check(session.handshake)
            #expect(session.transport == .webSocket)
            #expect(session.webSocket != nil)
            #expect(session.description.hasPrefix("EngineIOSession(websocket, ") && !session.description.contains(session.id))
            #expect(bench.engine.session(session.id) === session)
        }
    }

    private func check(_ handshake: EngineIOHandshake) throws {
        #expect(handshake.query == ["EIO": "4", "transport": "polling", "token": "a b", "x": "2"])
        #expect(handshake.headerFields[try #require(HTTPField.Name("x-mine"))] == "yes")
        #expect(handshake.remoteAddress?.ipAddress == "127.0.0.1")
        #expect(!handshake.isSecure)
        #expect(handshake.issued > 1_700_000_000_000)
    }

    @Test func theHandshakeOfAWebSocketIsKept() async throws {
        try await withEngine({ _ in }) { bench in
            let socket = try await bench.webSocket()
            _ = await socket.next()
            let handshake = try bench.session.handshake
            #expect(handshake.query == ["EIO": "4", "transport": "websocket"])
            #expect(handshake.remoteAddress?.ipAddress == "127.0.0.1")
        }
    }

    // MARK: Sending

    @Test func sendsWhateverTheTransport() async throws {
        try await withEngine({ _ in }) { bench in
            let sid = try await bench.open()
            let session = try bench.session
            #expect(session.send(.text("1")))
            #expect(session.send([.text("2"), .binary([1, 2, 3, 4])]))
            #expect(session.send(EngineIOPreparedMessage(.text("3"))))
            #expect(session.send([EngineIOPreparedMessage(.binary([1, 2, 3, 4])), EngineIOPreparedMessage(.text("4"))]))
            #expect(try await bench.poll(sid).body == "41\u{1E}42\u{1E}bAQIDBA==\u{1E}43\u{1E}bAQIDBA==\u{1E}44")
            let socket = try await bench.upgraded(sid)
            #expect(session.send(.text("5")))
            #expect(session.send([.text("6"), .binary([7])]))
            #expect(session.send(EngineIOPreparedMessage(.text("8"))))
            #expect(session.send([EngineIOPreparedMessage(.binary([9]))]))
            for expected in ["45", "46", "[7]", "48", "[9]"] { #expect(await socket.next() == expected) }
            session.close()
            #expect(!session.send(.text("late")))
            #expect(!session.isOpen)
        }
    }

    @Test func aLongMessageIsNotCopiedTogether() async throws {
        try await withEngine({ _ in }) { bench in
            let socket = try await bench.webSocket()
            _ = await socket.next()
            let text = String(repeating: "x", count: 100_000)
            socket.send("4" + text)
            #expect(await socket.next() == "4" + text)
        }
    }

    @Test func aClientThatAsksForBase64GetsIt() async throws {
        try await withEngine({ _ in }) { bench in
            let socket = try await TestSocket.open("ws://127.0.0.1:\(bench.port)" + bench.query("&transport=websocket&b64=1"))
            _ = await socket.next()
            socket.send("bAQIDBA==")
            #expect(await socket.next() == "bAQIDBA==")
            #expect(await bench.journal.wait(2) == ["opened", "received [1, 2, 3, 4]"])
            let session = try bench.session
            session.send(EngineIOPreparedMessage(.binary([1])))
            session.send(EngineIOPreparedMessage(.text("a")))
            #expect(await socket.next() == "bAQ==")
            #expect(await socket.next() == "4a")
        }
    }

    @Test func aPollThatWaitsGetsAllThatIsSentTogether() async throws {
        try await withEngine({ _ in }) { bench in
            let sid = try await bench.open()
            async let polled = bench.poll(sid)
            try await bench.untilPolled()
            try bench.session.send([.text("1"), .text("2")])
            #expect(try await polled.body == "41\u{1E}42")
            let session = try bench.session
            #expect(!session.isWritable)
        }
    }

    @Test func aBroadcastReachesAll() async throws {
        try await withEngine({ _ in }, server: { $0.threads = 2 }) { bench in
            var sockets: [TestSocket] = []
            for _ in 0..<6 {
                let socket = try await bench.webSocket()
                _ = await socket.next()
                sockets.append(socket)
            }
            let sid = try await bench.open()
            await bench.journal.wait(7)
            for number in 0..<10 {
                bench.engine.send(EngineIOPreparedMessage(.text("all \(number)")), to: bench.journal.sessions)
                for session in bench.journal.sessions { session.send(.text("each \(number)")) }
            }
            for socket in sockets {
                for number in 0..<10 {
                    #expect(await socket.next() == "4all \(number)")
                    #expect(await socket.next() == "4each \(number)")
                }
            }
            #expect(try await bench.poll(sid).body.hasPrefix("4all 0\u{1E}4each 0\u{1E}4all 1"))
        }
    }

    @Test func aPreparedMessageIsEncodedOnce() {
        let prepared = EngineIOPreparedMessage(.binary([1, 2, 3, 4]))
        func address(_ bytes: ByteBuffer) -> UInt { bytes.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) } }
        #expect(String(buffer: prepared.packetText) == "bAQIDBA==")
        #expect(address(prepared.packetText) == address(prepared.packetText))
        #expect(address(Outgoing.payload([.prepared(prepared)])) == address(prepared.packetText))
        let text = EngineIOPreparedMessage(.text("a"))
        #expect(address(text.packetText) == address(text.webSocket.payload))
    }

    // MARK: Order

    @Test func messagesOfOneThreadKeepTheirOrder() async throws {
        try await withEngine({ _ in }) { bench in
            let sid = try await bench.open()
            let session = try bench.session
            let thread = NIOThreadPool(numberOfThreads: 1)
            thread.start()
            thread.submit { _ in
                for number in 0..<5000 { session.send(.text("\(number)")) }
            }
            // Meanwhile the session changes its transport, once the client has read some of it.
            var got: [String] = []
            while got.count < 100 { got += try await bench.poll(sid).body.split(separator: "\u{1E}").map(String.init) }
            let socket = try await bench.upgraded(sid)
            while got.count < 5000, let message = await socket.next() { got.append(message) }
            #expect(got == (0..<5000).map { "4\($0)" })
            try await thread.shutdownGracefully()
        }
    }

    @Test func whatManyThreadsSendArrivesAndEachKeepsItsOrder() async throws {
        try await withEngine({ _ in }) { bench in
            let socket = try await bench.webSocket()
            _ = await socket.next()
            let session = try bench.session
            let threads = NIOThreadPool(numberOfThreads: 4)
            threads.start()
            for thread in 0..<4 {
                threads.submit { _ in
                    for number in 0..<1000 { session.send([.text("\(thread)"), .text("\(number)")]) }
                }
            }
            var next = [0, 0, 0, 0]
            for _ in 0..<4000 {
                let thread = try #require(await socket.next().flatMap { Int($0.dropFirst()) })
                #expect(await socket.next() == "4\(next[thread])")
                next[thread] += 1
            }
            #expect(next == [1000, 1000, 1000, 1000])
            try await threads.shutdownGracefully()
        }
    }

    // MARK: The handler

    /// Notes whether two calls of one session ever overlap, and closes from within a call.
    private final class Careful: EngineIOHandler {
        let journal: Journal
        private let depth = NIOLockedValueBox(0)
        init(_ journal: Journal) { self.journal = journal }

        private func call(_ line: String, _ body: () -> Void = {}) {
            let isAlone = depth.withLockedValue { depth in
                depth += 1
                return depth == 1
            }
            body()
            depth.withLockedValue { $0 -= 1 }
            journal.note(isAlone ? line : "\(line), within another call")
        }

        func opened(_ session: EngineIOSession) { call("opened") }
        func upgraded(_ session: EngineIOSession) { call("upgraded") }
        func closed(_ session: EngineIOSession, _ closure: EngineIOClosure) { call("closed: \(closure.reason)") }
        func received(_ message: Message, from session: EngineIOSession) {
            call("received \(message.text ?? "")") {
                if message.text == "close" { session.close() }
            }
        }
    }

    @Test func aCallIsNotInterruptedByWhatItCauses() async throws {
        try await withEngine(handler: { Careful($0) }) { bench in
            let socket = try await bench.webSocket()
            _ = await socket.next()
            socket.send("4a", "4close", "4late")
            #expect(await socket.next() == "closed 1000")
            #expect(await bench.journal.wait(4) == ["opened", "received a", "received close", "closed: forced close"])
            let sid = try await bench.open()
            _ = try await bench.post(sid, "4b\u{1E}4close\u{1E}4late")
            let polled = try await bench.poll(sid)
            #expect(polled.body == "1")
            #expect(await bench.journal.wait(8).suffix(4) == ["opened", "received b", "received close", "closed: forced close"])
        }
    }

    @Test func callsFromManyThreadsDoNotOverlap() async throws {
        try await withEngine({ $0.pingInterval = .milliseconds(20) }, handler: { Careful($0) }) { bench in
            for _ in 0..<20 {
                let socket = try await bench.webSocket()
                _ = await socket.next()
                for number in 0..<50 { socket.send("4\(number)", "3") }
                // From a thread that is not the connection's.
                bench.journal.sessions.last?.close()
                while let message = await socket.next(), !message.hasPrefix("closed") {}
            }
            let lines = await bench.journal.wait(40)
            #expect(!lines.contains { $0.contains("within") })
        }
    }

    // MARK: Limits

    @Test func aSlowPollerIsGivenUp() async throws {
        try await withEngine {
            $0.maxBufferedBytes = 1000
        } _: { bench in
            _ = try await bench.open()
            let session = try bench.session
            while session.send(.text(String(repeating: "x", count: 100))) {}
            #expect(await bench.journal.wait(2) == ["opened", "closed: transport error"])
            let line = try #require(bench.log.shown.last)
            #expect(line.metadata["sid"] == "\(session.id)")
            #expect(line.metadata["detail"]?.contains("maxBufferedBytes") == true)
        }
    }

    @Test func aMessageOverTheLimitIsNamedInTheLog() async throws {
        try await withEngine {
            $0.maxPayload = 1000
        } _: { bench in
            let socket = try await bench.webSocket()
            _ = await socket.next()
            socket.send("4" + String(repeating: "x", count: 1000))
            #expect(await socket.next() == "closed 1009")
            #expect(await bench.journal.wait(2) == ["opened", "closed: transport error"])
            let line = try #require(bench.log.shown.last { $0.metadata["sid"] != nil })
            #expect(line.metadata["sid"] == "\(try bench.session.id)")
            #expect(line.metadata["detail"] == "a message over 1000 bytes (limit maxPayload)")
        }
    }

    @Test func aClientThatDoesNotReadIsGivenUp() async throws {
        try await withEngine {
            $0.maxBufferedBytes = 100_000
        } _: { bench in
            let client = try await RawClient.open(port: bench.port, path: bench.query("&transport=websocket"), reads: false)
            let session = try bench.session
            let message = Message.binary(ByteBuffer(repeating: 1, count: 50_000))
            while bench.journal.lines.count < 2 {
                session.send(message)
                await Task.yield()
            }
            #expect(bench.journal.lines == ["opened", "closed: transport error"])
            #expect(!session.isWritable)
            let line = try #require(bench.log.shown.last { $0.metadata["sid"] != nil })
            #expect(line.metadata["detail"] == "the client read too slowly: over 100000 bytes waited (limit maxBufferedBytes)")
            await client.close()
        }
    }

    // MARK: The end of the server

    @Test func shuttingDownTellsEveryClient() async throws {
        let journal = try await withEngine({ _ in }) { bench in
            let socket = try await bench.webSocket()
            _ = await socket.next()
            let sid = try await bench.open()
            async let polled = bench.poll(sid)
            while await !isPolled(bench.journal.sessions.last) { try await Task.sleep(for: .milliseconds(1)) }
            bench.engine.drain()
            #expect(try await polled.body == "1")
            #expect(try await bench.get("&transport=polling").status == 503)
            return bench.journal
        }
        #expect(journal.lines == ["opened", "opened", "closed: server shutting down", "closed: server shutting down"])
    }

    private func isPolled(_ session: EngineIOSession?) async -> Bool { session?.isWritable == true }

    @Test func closingTheEngineEndsAllSessions() async throws {
        try await withEngine({ _ in }) { bench in
            let socket = try await bench.webSocket()
            _ = await socket.next()
            _ = try await bench.open()
            bench.engine.close()
            #expect(await socket.next() == "closed 1000")
            #expect(await bench.journal.wait(4).suffix(2) == ["closed: server shutting down", "closed: server shutting down"])
            #expect(bench.engine.sessionCount == 0)
        }
    }

    @Test func nothingOfASessionIsLeft() async throws {
        weak var kept: EngineIOSession?
        try await withEngine({ _ in }) { bench in
            let engine = bench.engine
            let socket = try await TestSocket.open("ws://127.0.0.1:\(bench.port)" + bench.query("&transport=websocket"))
            _ = await socket.next()
            kept = engine.allSessions.first
            #expect(kept != nil)
            socket.close()
            #expect(await socket.next() == "closed 1000")
            await bench.journal.wait(2)
            bench.journal.forget()
        }
        #expect(kept == nil)
    }
}
