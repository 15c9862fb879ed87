// The timers of sessions: SessionTimers.swift. A test's clock can not be turned here, so it is only looked whether what is due comes at all,
// and what is not, does not.

import NIOCore
import Testing
import WebSocketCore
import WebSockets

@testable import EngineIO

@Suite(.serialized, .timeLimit(.minutes(1))) struct SessionTimersTests {
    @Test func callsEachOnceItIsDue() async throws {
        try await withEngine {
            $0.pingInterval = .milliseconds(20)
            $0.pingTimeout = .milliseconds(20)
        } _: { bench in
            for _ in 0..<50 { _ = try await bench.open() }
            let lines = await bench.journal.wait(100)
            #expect(lines.count { $0 == "closed: ping timeout" } == 50)
            #expect(bench.engine.sessionCount == 0)
        }
    }

    @Test func anEarlierOneComesFirst() async throws {
        // The probe's timer of a tenth of a second comes before the heartbeat's, which was there before.
        try await withEngine({ _ in }) { bench in
            let sid = try await bench.open()
            let socket = try await bench.webSocket(sid)
            socket.send("2probe")
            _ = await socket.next()
            for _ in 0..<3 {
                let polled = try await bench.poll(sid)
                #expect(polled.body == "6")
            }
            socket.send("4wrong")
            #expect(await socket.next() == "closed 1000")
        }
    }

    @Test func aFailedProbeIsGivenUpInTime() async throws {
        try await withEngine {
            $0.upgradeTimeout = .milliseconds(50)
        } _: { bench in
            let sid = try await bench.open()
            let socket = try await bench.webSocket(sid)
            #expect(await socket.next() == "closed 1000")
            let posted = try await bench.post(sid, "4a")
            #expect(posted.body == "ok")
            let polled = try await bench.poll(sid)
            #expect(polled.body == "4a")
        }
    }
}
