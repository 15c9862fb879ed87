// Accepting on a reactor, on a real listening socket; that the process really runs out is tested in DuplexTests, in a child.

#if os(Linux)

import Glibc
import Logging
import NIOCore
import Synchronization
import Testing

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct ReactorListenerTests {
    private let log = LogRecorder()

    /// A listener on the first of two reactors, and how many connections have come to each.
    private struct Listening: Sendable {
        let benches: [ReactorBench]
        let listener: ReactorListener
        let port: Int
        let comers: [Box<Int>]
        /// The places of those that have come.
        let places: Box<[ConnectionSlot]>

        func comersAre(_ counts: [Int]) async { while comers.map(\.value) != counts, !Task.isCancelled { await Task.yield() } }

        /// Several rounds of the loop, in which who waits would be accepted.
        func expectNoMore(_ counts: [Int], _ location: SourceLocation = #_sourceLocation) async {
            for _ in 0..<10 { await benches[0].settle() }
            #expect(comers.map(\.value) == counts, sourceLocation: location)
        }

        /// Has accept(2) fail.
        func fail(_ code: Int32) async -> Bool { await benches[0].onLoop { listener.failed(code) } }

        /// Connects, and says something, so that it is no longer the reactor's.
        func connect() async throws -> RawClient {
            let client = try await RawClient.connect(port: port)
            try await client.send("x")
            return client
        }
    }

    private func listening(
        retry: TimeAmount = .hours(1), reserve: DescriptorReserve? = nil, _ body: (Listening) async throws -> Void
    ) async throws {
        let benches = [try ReactorBench(), try ReactorBench()]
        let comers = [Box(0), Box(0)]
        let places = Box<[ConnectionSlot]>([])
        let receptions = zip(benches, comers).map { bench, count in
            Reception(bench.core, bench.loop, bench.thread) { descriptor, slot, _ in
                _ = consume descriptor
                places.change { $0.append(slot) }
                count.change { $0 += 1 }
            }
        }
        let (number, port) = try Self.listen()
        let slots = ConnectionSlots(benches[0].core)
        guard let descriptor = OwnedDescriptor(number),
            let listener = ReactorListener(descriptor, receptions, slots, log.logger, retryInterval: retry, reserve: reserve)
        else { throw IOError(errnoCode: errno, reason: "listen") }
        #expect(await benches[0].onLoop { listener.start() })
        try await body(Listening(benches: benches, listener: listener, port: port, comers: comers, places: places))
        await benches[0].onLoop { listener.stop() }
        await #expect(throws: (any Error).self) { try await RawClient.connect(port: port) }
        for bench in benches { try await bench.stop() }
    }

    /// A listening socket and its port.
    private static func listen() throws -> (number: Int32, port: Int) {
        let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
        let bound = try SocketAddress(ipAddress: "127.0.0.1", port: 0).withSockAddr { bind(number, $0, socklen_t($1)) }
        var address = [UInt8](repeating: 0, count: 16)
        var length = socklen_t(address.count)
        let isListening = address.withUnsafeMutableBytes { bytes in
            guard let place = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return false }
            return bound == 0 && Glibc.listen(number, 16) == 0 && getsockname(number, place, &length) == 0
        }
        guard isListening else { throw IOError(errnoCode: errno, reason: "listen") }
        // The port is the third and fourth byte, the higher first.
        return (number, Int(address[2]) << 8 | Int(address[3]))
    }

    @Test func theThreadsTakeConnectionsInTurn() async throws {
        try await listening { listening in
            for count in 1...5 {
                let client = try await listening.connect()
                await listening.comersAre([(count + 1) / 2, count / 2])
                await client.close()
            }
        }
        #expect(log.shown.isEmpty)
    }

    @Test(arguments: [EMFILE, ENFILE, ENOBUFS, ENOMEM])
    func pausesUntilAConnectionEnds(_ code: Int32) async throws {
        try await listening { listening in
            #expect(await !listening.fail(code))
            let client = try await listening.connect()
            // Several rounds of the loop, in which it would be accepted.
            for _ in 0..<10 { await listening.benches[0].settle() }
            #expect(listening.comers.map(\.value) == [0, 0])
            listening.listener.connectionClosed()
            await listening.comersAre([1, 0])
            await client.close()
        }
        #expect(log.shown.map(\.level) == [.warning])
        #expect(log.shown.first?.text.contains("ulimit -n") == true)
    }

    @Test func triesAgainAfterATime() async throws {
        try await listening(retry: .milliseconds(20)) { listening in
            #expect(await !listening.fail(EMFILE))
            let client = try await listening.connect()
            await listening.comersAre([1, 0])
            await client.close()
        }
    }

    @Test func warnsOnceHoweverOftenItPauses() async throws {
        try await listening { listening in
            for _ in 0..<100 {
                #expect(await !listening.fail(EMFILE))
                listening.listener.connectionClosed()
            }
        }
        #expect(log.shown.count == 1)
    }

    /// The limit is so low that each connection's own number lies behind it; whether it is reached is for the next one's to say.
    @Test func pausesBeforeTheLastDescriptors() async throws {
        let files = Files(limit: 4, lowestFree: 0)
        try await listening(reserve: files.reserve) { listening in
            let first = try await listening.connect()
            await listening.comersAre([1, 0])
            files.lowestFree.change { $0 = 4 }
            let second = try await listening.connect()
            await listening.comersAre([1, 1])
            let third = try await listening.connect()
            await listening.expectNoMore([1, 1])
            // As many are gone as have come: there is still no more room.
            listening.listener.connectionClosed()
            await listening.expectNoMore([1, 1])
            files.lowestFree.change { $0 = 3 }
            listening.listener.connectionClosed()
            await listening.comersAre([2, 1])
            for client in [first, second, third] { await client.close() }
        }
        #expect(log.shown.map(\.level) == [.warning])
        #expect(log.shown.first?.text.contains("ulimit -n") == true)
    }

    /// Nobody is there who could end.
    @Test func takesOneWhereThereIsNone() async throws {
        let files = Files(limit: 4, lowestFree: 4)
        try await listening(reserve: files.reserve) { listening in
            let first = try await listening.connect()
            await listening.comersAre([1, 0])
            let second = try await listening.connect()
            await listening.expectNoMore([1, 0])
            listening.places.change { $0 = [] }
            listening.listener.connectionClosed()
            await listening.comersAre([1, 1])
            for client in [first, second] { await client.close() }
        }
    }

    /// Who comes before the last number costs no look, until accept(2) has failed or the limit is lowered.
    @Test(arguments: [EMFILE, 0]) func looksOnlyNearTheReserve(_ code: Int32) async throws {
        let files = Files(limit: .max, lowestFree: nil)
        try await listening(reserve: files.reserve) { listening in
            var clients = [try await listening.connect(), try await listening.connect(), try await listening.connect()]
            await listening.comersAre([2, 1])
            files.lowestFree.change { $0 = 4 }
            if code == 0 { files.limit.change { $0 = 5 } } else { #expect(await !listening.fail(code)) }
            listening.listener.connectionClosed()
            clients.append(try await listening.connect())
            await listening.comersAre([2, 2])
            files.lowestFree.change { $0 = nil }
            clients.append(try await listening.connect())
            await listening.comersAre([3, 2])
            clients.append(try await listening.connect())
            await listening.expectNoMore([3, 2])
            for client in clients { await client.close() }
        }
        #expect(log.shown.count == 1)
    }

    /// Somebody else of the process may have closed some, or the limit been raised.
    @Test func looksAgainAfterATime() async throws {
        let files = Files(limit: 4, lowestFree: 4)
        try await listening(retry: .milliseconds(20), reserve: files.reserve) { listening in
            let first = try await listening.connect()
            await listening.comersAre([1, 0])
            files.limit.change { $0 = 100 }
            let second = try await listening.connect()
            await listening.comersAre([1, 1])
            for client in [first, second] { await client.close() }
        }
    }

    /// accept(2) has Linux's errors of one connection alone.
    @Test(arguments: [ECONNABORTED, EINTR, EPROTO, ENETDOWN, EHOSTUNREACH])
    func goesOnAfterErrorsOfOneConnection(_ code: Int32) async throws {
        try await listening { listening in
            #expect(await listening.fail(code))
            let client = try await listening.connect()
            await listening.comersAre([1, 0])
            await client.close()
        }
        #expect(log.shown.isEmpty)
    }

    @Test func doesNotSpinOnErrorsThatItDoesNotKnow() async throws {
        try await listening { listening in
            #expect(await !listening.fail(EBADF))
            let client = try await listening.connect()
            for _ in 0..<10 { await listening.benches[0].settle() }
            #expect(listening.comers.map(\.value) == [0, 0])
            await client.close()
        }
        #expect(log.shown.map(\.level) == [.warning])
    }

    @Test func nobodyWaitingIsNoError() async throws {
        try await listening { listening in
            #expect(await !listening.fail(EAGAIN))
            let client = try await listening.connect()
            await listening.comersAre([1, 0])
            await client.close()
        }
        #expect(log.shown.isEmpty)
    }
}

#endif
