// What operators see: names, dimensions and values.

import MetricsTestKit
import NIOCore
import Testing
import WebSocketCore

@testable import WebSockets

@Suite struct StatisticsTests {
    @Test func countsConnectionsUpAndDown() throws {
        let bench = SocketBench()
        #expect(try bench.metrics.open(role: "server") == 1)
        bench.receive(.close(1000))
        #expect(try bench.metrics.open(role: "server") == 0)
        #expect(bench.thread.statistics.snapshot.open == 0)
        #expect(bench.thread.statistics.snapshot.total == 1)
    }

    @Test func countsMessagesAndBytesEachWay() throws {
        let bench = SocketBench(
            handler: ClosureHandler(whenReceived: { message, socket in
                socket.trySend(message)
                socket.trySend(PreparedMessage(.text("ok")))
            }))
        bench.receive(.text("hello"))
        bench.receive(WireFrame(opcode: 2, payload: [1, 2], isFinal: false))
        bench.receive(WireFrame(opcode: 0, payload: [3]))
        bench.receive(.ping([1]))
        #expect(try bench.metrics.total("messages_received") == 2)
        #expect(try bench.metrics.total("bytes_received") == 8)
        #expect(try bench.metrics.total("messages_sent") == 4)
        #expect(try bench.metrics.total("bytes_sent") == 12)
    }

    @Test func countsTheBytesOfAMessageThatIsStillBeingSent() throws {
        let bench = SocketBench()
        let gate = Gate()
        bench.begin { socket in
            try await socket.sendMessage(.text) { writer in
                try await writer.write("piece")
                await gate.wait()
            }
        }
        #expect(try bench.metrics.total("bytes_sent") == 5)
        #expect(try bench.metrics.total("messages_sent") == 0)
        gate.open()
        bench.run()
        #expect(try bench.metrics.total("messages_sent") == 1)
    }

    @Test func countsDroppedSends() throws {
        var configuration = ConnectionConfiguration.quiet
        configuration.maxSendBuffer = 100
        let bench = SocketBench(configuration)
        bench.transport.stall()
        for _ in 0..<3 { bench.socket.trySend(.binary(ByteBuffer(repeating: 1, count: 60))) }
        bench.run()
        // The second cut the connection off; the third was sent to a connection that is closing.
        #expect(try bench.metrics.total("sends_dropped") == 1)
        #expect(try bench.metrics.total("messages_sent") == 1)
    }

    @Test(arguments: [(1000, "1000"), (1009, "1009"), (3001, "3xxx"), (4999, "4xxx")])
    func countsClosesByCodeAndKeepsLabelsFew(code: UInt16, label: String) throws {
        let bench = SocketBench()
        bench.receive(.close(code))
        #expect(try bench.metrics.expectCounter("duplex_closes_total", [("role", "server"), ("code", label)]).totalValue == 1)
    }

    @Test func countsRefusalsByStatus() throws {
        let metrics = TestMetrics()
        let statistics = Statistics(role: .server, factory: metrics)
        for status in [403, 426, 403] { statistics.refused(status == 403 ? .origin : .version, status: status) }
        #expect(
            try metrics.expectCounter("duplex_handshakes_refused_total", [("role", "server"), ("reason", "origin"), ("status", "403")])
                .totalValue == 2)
    }

    /// A program may be a server and a client, and have several of each.
    @Test func tellsServersFromClientsAndAddsUpThoseOfOneRole() throws {
        let metrics = TestMetrics()
        let servers = [Statistics(role: .server, factory: metrics), Statistics(role: .server, factory: metrics)]
        let client = Statistics(role: .client, factory: metrics)
        for server in servers { server.opened() }
        client.opened()
        client.opened()
        client.closed(.normalClosure)
        #expect(try metrics.open(role: "server") == 2)
        #expect(try metrics.open(role: "client") == 1)
        #expect(try metrics.expectCounter("duplex_closes_total", [("role", "client"), ("code", "1000")]).totalValue == 1)
    }
}

extension TestMetrics {
    fileprivate func open(role: String) throws -> Double? {
        try expectMeter("duplex_connections_open", [("role", role)]).lastValue
    }

    func total(_ name: String, policy: String? = nil) throws -> Int64 {
        try expectCounter("duplex_\(name)_total", [("role", "server")] + (policy.map { [("policy", $0)] } ?? [])).totalValue
    }
}
