// When a client connects again: SocketIOReconnection.swift.

import Testing

@testable import SocketIO

@Suite struct SocketIOReconnectionTests {
    private func waits(_ settings: SocketIOReconnection, _ randoms: [Double]) -> [Duration?] {
        var backoff = ReconnectionBackoff(settings)
        return randoms.map { backoff.next(random: $0) }
    }

    @Test func theOfficialClientsNumbers() {
        #expect(
            waits(SocketIOReconnection(), [0.5, 0.5, 0.5, 0.5, 0.5]) == [.seconds(1), .seconds(2), .seconds(4), .seconds(5), .seconds(5)])
        #expect(
            waits(SocketIOReconnection(), [0, 1, 0, 1, 0]) == [.milliseconds(500), .seconds(3), .seconds(2), .seconds(5), .seconds(4)])
    }

    @Test func jitterAndFactorCanBeNone() {
        let steady = SocketIOReconnection(delay: .seconds(2), maxDelay: .seconds(60), factor: 1, jitter: 0)
        #expect(waits(steady, [0, 1, 0.3]) == [.seconds(2), .seconds(2), .seconds(2)])
    }

    @Test func attemptsEnd() {
        var backoff = ReconnectionBackoff(SocketIOReconnection(maxAttempts: 2))
        #expect(backoff.next(random: 0.5) != nil && backoff.next(random: 0.5) != nil)
        #expect(backoff.next(random: 0.5) == nil)
        backoff.reset()
        #expect(backoff.next(random: 0.5) == .seconds(1))
    }

    @Test func nonsenseStaysInRange() {
        let wild = SocketIOReconnection(delay: .seconds(-1), maxDelay: .seconds(3), factor: 1e300, jitter: 9)
        for wait in waits(wild, [0, 1, -5, 7]) { #expect(wait == .zero) }
        let large = SocketIOReconnection(delay: .seconds(1), maxDelay: .seconds(3), factor: 1e300, jitter: 9)
        for wait in waits(large, [0, 1, -5, 7, .nan]) { #expect((wait ?? .seconds(-1)) >= .zero && (wait ?? .seconds(9)) <= .seconds(3)) }
    }
}
