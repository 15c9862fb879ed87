// What the protocol's own suite asks of a server, case by case, over real sockets: Engine.IO protocol 4, "Test suite".

import Foundation
import NIOCore
import Testing
import WebSocketCore
import WebSockets

@testable import EngineIO

@Suite(.serialized, .timeLimit(.minutes(1))) struct EngineIOProtocolTests {
    private func run(_ body: (EngineBench) async throws -> Void) async throws { try await withEngine(hurried, body) }

    /// With times at which nothing but what the test does happens.
    private func runSlowly(_ body: (EngineBench) async throws -> Void) async throws { try await withEngine({ _ in }, body) }

    private func checkOpen(_ packet: String, upgrades: [String]) throws {
        #expect(packet.hasPrefix("0"))
        let json = try JSONSerialization.jsonObject(with: Data(packet.dropFirst().utf8)) as? [String: Any]
        #expect(Set(json?.keys ?? [:].keys) == ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"])
        #expect((json?["sid"] as? String)?.utf8.count == 20)
        #expect(json?["upgrades"] as? [String] == upgrades)
        #expect(json?["pingInterval"] as? Int == 300)
        #expect(json?["pingTimeout"] as? Int == 200)
        #expect(json?["maxPayload"] as? Int == 1_000_000)
    }

    // MARK: Handshake, long-polling

    @Test func opensByPolling() async throws {
        try await run { bench in
            let response = try await bench.get("&transport=polling")
            #expect(response.status == 200)
            try checkOpen(response.body, upgrades: ["websocket"])
        }
    }

    @Test(arguments: ["", "&EIO=abc", "&EIO=3", "&EIO=5"]) func refusesAnotherVersion(version: String) async throws {
        try await run { bench in
            let response = try await HTTPAnswer.to("GET", "\(bench.path)?transport=polling\(version)", port: bench.port)
            #expect(response.status == 400)
            #expect(response.body == #"{"code":5,"message":"Unsupported protocol version"}"#)
        }
    }

    @Test(arguments: ["", "&transport=abc"]) func refusesAnotherTransport(transport: String) async throws {
        try await run { bench in
            let response = try await bench.get(transport)
            #expect(response.status == 400)
            #expect(response.body == #"{"code":0,"message":"Transport unknown"}"#)
        }
    }

    @Test(arguments: ["POST", "PUT"]) func refusesAnotherMethod(method: String) async throws {
        try await run { bench in
            let response = try await HTTPAnswer.to(method, bench.query("&transport=polling"), port: bench.port)
            #expect(response.status == 400)
            #expect(response.body == #"{"code":2,"message":"Bad handshake method"}"#)
        }
    }

    // MARK: Handshake, WebSocket

    @Test func opensByWebSocket() async throws {
        try await run { bench in
            let socket = try await bench.webSocket()
            try checkOpen(try #require(await socket.next()), upgrades: [])
            socket.close()
        }
    }

    @Test(arguments: ["", "&EIO=abc"]) func refusesAnotherVersionByWebSocket(version: String) async throws {
        try await run { bench in
            let said = try await RawClient.answer(
                port: bench.port, to: RawClient.handshake("\(bench.path)?transport=websocket\(version)").utf8)
            #expect(said.hasPrefix("HTTP/1.1 400 "))
            #expect(said.hasSuffix("\r\n\r\nUnsupported protocol version"))
        }
    }

    @Test(arguments: ["", "&transport=abc"]) func refusesAnotherTransportByWebSocket(transport: String) async throws {
        try await run { bench in
            let said = try await RawClient.answer(port: bench.port, to: RawClient.handshake(bench.query(transport)).utf8)
            #expect(said.hasPrefix("HTTP/1.1 400 "))
            #expect(field("Content-Type", in: said) == "text/html")
            #expect(said.hasSuffix("\r\n\r\nTransport unknown"))
        }
    }

    // MARK: Messages, long-polling

    @Test(arguments: ["4hello", "4test1\u{1E}4test2\u{1E}4test3", "4hello\u{1E}bAQIDBA=="]) func echoesByPolling(payload: String)
        async throws
    {
        try await runSlowly { bench in
            let sid = try await bench.open()
            let pushed = try await bench.post(sid, payload)
            #expect(pushed.status == 200)
            #expect(pushed.body == "ok")
            let polled = try await bench.poll(sid)
            #expect(polled.status == 200)
            #expect(polled.body == payload)
        }
    }

    @Test func aBadPacketClosesThePollingSession() async throws {
        try await runSlowly { bench in
            let sid = try await bench.open()
            #expect(try await bench.post(sid, "abc").status == 400)
            #expect(try await bench.poll(sid).status == 400)
            #expect(await bench.journal.wait(2) == ["opened", "closed: parse error"])
        }
    }

    @Test func twoPollsCloseTheSession() async throws {
        try await runSlowly { bench in
            let sid = try await bench.open()
            async let first = bench.poll(sid)
            try await bench.untilPolled()
            #expect(try await bench.poll(sid).status == 400)
            #expect(try await first.status == 200)
            #expect(try await first.body == "1")
            #expect(try await bench.poll(sid).status == 400)
            #expect(await bench.journal.wait(2) == ["opened", "closed: transport error"])
        }
    }

    @Test func aBrokenPollClosesTheSession() async throws {
        try await runSlowly { bench in
            let sid = try await bench.open()
            let client = try await RawClient.connect(port: bench.port)
            try await client.send(HTTPAnswer.request("GET", bench.query("&transport=polling&sid=\(sid)")))
            try await bench.untilPolled()
            await client.close()
            #expect(await bench.journal.wait(2) == ["opened", "closed: transport error"])
            #expect(try await bench.poll(sid).status == 400)
        }
    }

    // MARK: Messages, WebSocket

    @Test func echoesByWebSocket() async throws {
        try await runSlowly { bench in
            let socket = try await bench.webSocket()
            _ = await socket.next()
            socket.send("4hello")
            #expect(await socket.next() == "4hello")
            socket.send(binary: [1, 2, 3, 4])
            #expect(await socket.next() == "[1, 2, 3, 4]")
            socket.close()
            #expect(await bench.journal.wait(4).last == "closed: transport close")
        }
    }

    @Test func aBadPacketClosesTheWebSocketSession() async throws {
        try await runSlowly { bench in
            let socket = try await bench.webSocket()
            _ = await socket.next()
            socket.send("abc")
            #expect(await socket.next()?.hasPrefix("closed") == true)
            #expect(await bench.journal.wait(2) == ["opened", "closed: parse error"])
        }
    }

    // MARK: Heartbeat

    @Test func pingsByPolling() async throws {
        try await withEngine {
            $0.pingInterval = .milliseconds(100)
        } _: { bench in
            let sid = try await bench.open()
            for _ in 0..<3 {
                let polled = try await bench.poll(sid)
                #expect(polled.status == 200)
                #expect(polled.body == "2")
                #expect(try await bench.post(sid, "3").status == 200)
            }
        }
    }

    @Test func givesUpASilentPollingClient() async throws {
        try await run { bench in
            let sid = try await bench.open()
            #expect(await bench.journal.wait(2) == ["opened", "closed: ping timeout"])
            #expect(try await bench.poll(sid).status == 400)
        }
    }

    @Test func pingsByWebSocket() async throws {
        try await withEngine {
            $0.pingInterval = .milliseconds(100)
        } _: { bench in
            let socket = try await bench.webSocket()
            _ = await socket.next()
            for _ in 0..<3 {
                #expect(await socket.next() == "2")
                socket.send("3")
            }
            socket.close()
        }
    }

    @Test func givesUpASilentWebSocketClient() async throws {
        try await run { bench in
            let socket = try await bench.webSocket()
            _ = await socket.next()
            #expect(await socket.next() == "2")
            #expect(await socket.next()?.hasPrefix("closed") == true)
            #expect(await bench.journal.wait(2) == ["opened", "closed: ping timeout"])
        }
    }

    // MARK: Close

    @Test func aClientClosesByPolling() async throws {
        try await runSlowly { bench in
            let sid = try await bench.open()
            async let polled = bench.poll(sid)
            try await bench.untilPolled()
            #expect(try await bench.post(sid, "1").body == "ok")
            #expect(try await polled.status == 200)
            #expect(try await polled.body == "6")
            #expect(try await bench.poll(sid).status == 400)
            #expect(await bench.journal.wait(2) == ["opened", "closed: transport close"])
        }
    }

    @Test func aClientClosesByWebSocket() async throws {
        try await runSlowly { bench in
            let socket = try await bench.webSocket()
            _ = await socket.next()
            socket.send("1")
            #expect(await socket.next() == "closed 1000")
            #expect(await bench.journal.wait(2) == ["opened", "closed: transport close"])
        }
    }

    // MARK: Upgrade

    @Test func upgrades() async throws {
        try await runSlowly { bench in
            let sid = try await bench.open()
            let socket = try await bench.webSocket(sid)
            socket.send("2probe")
            #expect(await socket.next() == "3probe")
            let polled = try await bench.poll(sid)
            #expect(polled.status == 200)
            #expect(polled.body == "6")
            socket.send("5", "4hello")
            #expect(await socket.next() == "4hello")
            #expect(await bench.journal.wait(3) == ["opened", "upgraded", "received hello"])
        }
    }

    @Test func longPollingIsOverAfterAnUpgrade() async throws {
        try await runSlowly { bench in
            let sid = try await bench.open()
            let socket = try await bench.upgraded(sid)
            let polled = try await bench.poll(sid)
            #expect(polled.status == 400)
            #expect(polled.body == #"{"code":3,"message":"Bad request"}"#)
            #expect(try await bench.post(sid, "4lost").status == 400)
            socket.send("4hello")
            #expect(await socket.next() == "4hello")
        }
    }

    @Test func aSecondWebSocketIsClosed() async throws {
        try await runSlowly { bench in
            let sid = try await bench.open()
            let socket = try await bench.upgraded(sid)
            let second = try await bench.webSocket(sid)
            #expect(await second.next() == "closed 1000")
            socket.send("4hello")
            #expect(await socket.next() == "4hello")
        }
    }
}

extension EngineBench {
    /// Waits until a poll waits. There is nothing to be told of it, so this looks again.
    func untilPolled() async throws {
        while try await !Self.isPolled(session) { try await Task.sleep(for: .milliseconds(1)) }
    }

    private static func isPolled(_ session: EngineIOSession) async -> Bool { session.isWritable }

    /// A WebSocket that has taken a session over.
    func upgraded(_ sid: String) async throws -> TestSocket {
        let socket = try await webSocket(sid)
        socket.send("2probe")
        #expect(await socket.next() == "3probe")
        socket.send("5")
        let count = journal.lines.count
        await journal.wait(journal.lines.contains("upgraded") ? count : count + 1)
        return socket
    }
}
