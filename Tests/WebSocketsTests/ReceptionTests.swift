// What becomes of a connection that the reactor has accepted.

#if os(Linux)

import Glibc
import HTTPTypes
import Logging
import MetricsTestKit
import NIOCore
import Synchronization
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct ReceptionTests {
    private static let hello: [UInt8] = [0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]
    private static let bye: [UInt8] = [0x88, 0x80, 0, 0, 0, 0]

    /// A reception, and a connection that it has welcomed.
    private struct Welcomed: Sendable {
        let bench: ReactorBench
        let peer: BlockingPeer
        let reception: Reception
        let arrival: Arrival
        /// What was given to NIO.
        let handed: AsyncStream<Handed>
        let slotIsFree: Gate
    }

    private struct Handed: Sendable {
        let connection: BlockingPeer
        let slot: ConnectionSlot
        let acceptedAt: NIODeadline
    }

    private static let acceptedAt = NIODeadline.now() + .hours(1)

    private func withArrival(
        acceptedAt: NIODeadline = Self.acceptedAt, _ prepare: (ServerCore) -> Void = { _ in }, _ body: (Welcomed) async throws -> Void
    ) async throws {
        let bench = try ReactorBench()
        let echo: @Sendable (ServerRequest) -> RouteDecision = { _ in
            .accept({ _ in TestEcho() }, usesInbox: false, subprotocol: nil, headerFields: [:], compression: nil)
        }
        bench.core.add(Route("/echo", .immediate(echo)))
        bench.core.add(Route("/later", .awaited { echo($0) }))
        prepare(bench.core)
        let (handed, hand) = AsyncStream<Handed>.makeStream()
        let reception = Reception(bench.core, bench.loop, bench.thread) { descriptor, slot, acceptedAt in
            hand.yield(Handed(connection: BlockingPeer(OwnedDescriptor(descriptor.release())), slot: slot, acceptedAt: acceptedAt))
        }
        var pair: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
        let (ours, free) = (pair[0], Gate())
        let slots = ConnectionSlots(bench.core) { free.open() }
        let welcomed = await bench.onLoop { () -> Arrival? in
            _ = fcntl(ours, F_SETFL, O_NONBLOCK)
            guard let descriptor = OwnedDescriptor(ours) else { return nil }
            let arrival = Arrival(descriptor, from: nil, at: acceptedAt, slots)
            reception.welcome(arrival)
            return arrival
        }
        let (arrival, peer) = (try #require(welcomed), BlockingPeer(OwnedDescriptor(pair[1])))
        try await body(Welcomed(bench: bench, peer: peer, reception: reception, arrival: arrival, handed: handed, slotIsFree: free))
        try await bench.stop()
    }

    @Test func nothingKeepsOneThatHadSaidNothingWhenTheLoopEnded() async throws {
        weak var loop: ReactorLoop?
        var slotIsFree: Gate?
        try await withArrival { arrival in
            loop = arrival.bench.loop
            slotIsFree = arrival.slotIsFree
        }
        await slotIsFree?.wait()
        // If something does, until the time limit.
        while loop != nil { await Task.yield() }
    }

    @Test func opensAPlainHandshakeAndReadsTheFramesBehindIt() async throws {
        try await withArrival { arrival in
            try await arrival.peer.send(Array(RawClient.handshake().utf8) + Self.hello + Self.bye)
            let answer = try await arrival.peer.readToEnd()
            #expect(String(decoding: answer, as: UTF8.self).hasPrefix("HTTP/1.1 101 Switching Protocols\r\n"))
            #expect(answer.suffix(6) == [0x81, 2, 0x68, 0x69, 0x88, 0])
            await arrival.slotIsFree.wait()
        }
    }

    @Test(arguments: [
        "G", "GET /echo HTTP/1.1\r\nHost: a\r\n", "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", RawClient.handshake("/nowhere"),
        RawClient.handshake("/later") + "\u{1}\u{2}", RawClient.handshake("/echo", "Sec-WebSocket-Version: 13\r\n"), "\u{16}\u{3}\u{1}",
        RawClient.handshake("/echo", "X: " + String(repeating: "x", count: 16_384) + "\r\n"),
    ])
    func givesAllElseToNIOWithItsBytes(_ text: String) async throws {
        try await withArrival { arrival in
            let bytes = Array(text.utf8)
            try await arrival.peer.send(bytes)
            for await handed in arrival.handed {
                #expect(try await handed.connection.read(bytes.count) == bytes)
                #expect(handed.acceptedAt == Self.acceptedAt)
                #expect(!handed.slot.isOverLimit)
                break
            }
            // The place was held by what was handed over.
            await arrival.slotIsFree.wait()
        }
    }

    @Test func givesHandshakesToNIOWhileDraining() async throws {
        try await withArrival({ $0.beginDraining() }) { arrival in
            try await arrival.peer.send(Array(RawClient.handshake().utf8))
            for await handed in arrival.handed {
                #expect(!handed.slot.isOverLimit)
                break
            }
        }
    }

    /// Of a connection that has been given away, the loop knows nothing: its descriptor may be watched anew.
    @Test func watchesNoLongerWhatItHasGivenAway() async throws {
        final class Nobody: ReactorGuest, @unchecked Sendable {
            func ready() {}
            func loopEnded() {}
        }
        try await withArrival { arrival in
            let number = await arrival.bench.onLoop { arrival.arrival.number }
            try await arrival.peer.send([0x47])
            for await handed in arrival.handed {
                let isFree = await arrival.bench.onLoop {
                    defer { arrival.bench.loop.removeGuest(number) }
                    return arrival.bench.loop.add(Nobody(), number)
                }
                #expect(isFree)
                handed.connection.close()
                break
            }
        }
    }

    /// epoll may tell of a socket that has nothing after all, and a timer may be early.
    @Test func aFalseAlarmIsNone() async throws {
        try await withArrival { arrival in
            await arrival.bench.onLoop {
                arrival.reception.look(at: arrival.arrival)
                arrival.reception.deadlineCame(arrival.arrival)
            }
            try await arrival.peer.send(Array(RawClient.handshake().utf8) + Self.bye)
            let answer = try await arrival.peer.readToEnd()
            #expect(String(decoding: answer, as: UTF8.self).hasPrefix("HTTP/1.1 101 Switching Protocols\r\n"))
        }
    }

    @Test func letsGoWhoLeavesWithoutAWord() async throws {
        try await withArrival { arrival in
            arrival.peer.close()
            await arrival.slotIsFree.wait()
        }
    }

    @Test func endsWithTheLoop() async throws {
        let peer = Box<BlockingPeer?>(nil)
        try await withArrival { peer.value = $0.peer }
        #expect(try await peer.value?.readToEnd() == [])
    }

    @Test func aDeadlineThatPassedIsCounted() async throws {
        try await withArrival(acceptedAt: .now() - .hours(1)) { arrival in
            let answer = try await arrival.peer.readToEnd()
            #expect(answer == [])
            await arrival.slotIsFree.wait()
            let labels = [("role", "server"), ("reason", "deadline"), ("status", "none")]
            let counter = try arrival.bench.metrics.expectCounter("duplex_handshakes_refused_total", labels)
            #expect(counter.totalValue == 1)
        }
    }

    /// The deadline is that of the handshake: once that is done, it concerns nobody.
    @Test func aConnectionThatIsOpenHasNoDeadline() async throws {
        try await withArrival { arrival in
            let waiting = await arrival.bench.onLoop { "\(arrival.arrival.timer)" }
            try await arrival.peer.send(Array(RawClient.handshake().utf8) + Self.bye)
            _ = try await arrival.peer.readToEnd()
            let open = await arrival.bench.onLoop { "\(arrival.arrival.timer)" }
            #expect(waiting != "\(TimerWheelPlace.none)" && open == "\(TimerWheelPlace.none)")
        }
    }

    // MARK: On a server

    private func configuration(_ log: LogRecorder, timeout: Duration) -> WebSocketServer.Configuration {
        var configuration = WebSocketServer.Configuration.forTests(log: log)
        configuration.handshakeTimeout = timeout
        return configuration
    }

    @Test func whoSaysNothingIsClosedAtTheDeadline_H15() async throws {
        let log = LogRecorder()
        try await withServer(configuration(log, timeout: .milliseconds(50))) { port, _ in
            try await #expect(RawClient.answer(port: port, to: []) == "")
        }
        #expect(log.shown.map(\.text) == ["refused: no request arrived in time (limit handshakeTimeout)"])
        #expect(log.shown.first?.metadata["status"] == "none")
        #expect(log.shown.first?.metadata["peer"]?.description.contains("127.0.0.1") == true)
    }

    @Test func theLogAndTheHandlerKnowTheAddress() async throws {
        let seen = Box<SocketAddress?>(nil)
        try await withServer(routes: { server in
            server.webSocket("/") { (socket: WebSocket) in
                seen.value = socket.remoteAddress
                return TestEcho()
            }
        }) { port, _ in
            let client = try await RawClient.open(port: port, path: "/")
            #expect(seen.value == client.channel.localAddress)
            await client.close()
        }
    }
}

#endif
