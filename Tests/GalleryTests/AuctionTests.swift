// Which bids are taken, and that everyone hears of them in one order.

import TestSupport
import Testing
import WebSockets

@testable import Gallery

@Suite(.timeLimit(.minutes(1))) struct AuctionTests {
    private let start = ContinuousClock.now
    private var lot: Lot { Lot(number: 7, endsAt: start + .seconds(10)) }

    /// What the answers to bids are; nil for those that are taken.
    private func answers(
        of lot: inout Lot, to bids: [(amount: Int, lot: Int, user: String, after: Duration)]
    ) -> [String?] {
        var answers: [String?] = []
        for bid in bids {
            do {
                _ = try lot.bid(bid.amount, on: bid.lot, by: (bid.user, bid.user), at: start + bid.after)
                answers.append(nil)
            } catch {
                answers.append(error.reason)
            }
        }
        return answers
    }

    @Test func theHighestBidWinsAndHasTheNextNumber() {
        var lot = lot
        let answers = answers(
            of: &lot,
            to: [
                (1, 7, "Ann", .zero), (5, 7, "Ben", .zero), (5, 7, "Ann", .zero), (6, 7, "Ben", .zero), (1006, 7, "Ann", .zero),
                (.min, 7, "Ann", .zero), (1005, 7, "Ann", .zero),
            ])
        #expect(
            answers == [
                nil, nil, "Too low: the highest bid is 5.", "The highest bid is yours already.",
                "Too high: at most 1,000 over the highest bid, which is 5.", "Too low: the highest bid is 5.", nil,
            ])
        #expect(lot.bids.map(\.amount) == [1, 5, 1005])
        #expect(lot.bids.map(\.number) == [1, 2, 3])
    }

    @Test func noBidAfterTheHammerNorForAnotherLot() {
        var lot = lot
        let answers = answers(
            of: &lot,
            to: [
                (1, 7, "Ann", .nanoseconds(9_999_999_999)), (2, 7, "Ben", .seconds(10)), (2, 7, "Ben", .milliseconds(12_500)),
                (2, 6, "Ben", .zero), (2, 8, "Ben", .zero),
            ])
        #expect(
            answers == [
                nil, "Too late: the hammer fell 0 ms before your bid.", "Too late: the hammer fell 2500 ms before your bid.",
                "Too late: lot 6 is sold.", "There is no lot 8 yet.",
            ])
        #expect(lot.bids.count == 1)
    }

    @Test func onlyTheLatestBidsAreKept() {
        var lot = lot
        let answers = answers(of: &lot, to: (1...1000).map { ($0, 7, "user \($0)", .zero) })
        #expect(answers.allSatisfy { $0 == nil })
        #expect(lot.bids.map(\.number) == Array(901...1000))
    }

    /// Whatever is bid, what was taken rises, and nobody outbids themselves.
    @Test(arguments: 0..<20 as Range<UInt64>) func whatIsTakenRises(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var lot = lot
        for _ in 0..<300 {
            let user = String(Int.random(in: 0..<3, using: &random))
            _ = try? lot.bid(Int.random(in: -10...2000, using: &random), on: 7, by: (user, user), at: start)
        }
        for (before, after) in zip(lot.bids, lot.bids.dropFirst()) {
            #expect(before.amount < after.amount && before.user != after.user && before.number + 1 == after.number, "seed \(seed)")
        }
    }

    @Test func everyoneHearsTheSameInTheSameOrder() async throws {
        try await serving(Auction()) { url in
            try await WebSocketClient.connect(url + "/auction/0") { first in
                try await WebSocketClient.connect(url + "/auction/1") { second in
                    try await WebSocketClient.connect(url + "/auction/2") { third in
                        let sockets = [first, second, third]
                        for socket in sockets { _ = try await next("lot", from: socket) }
                        for amount in 1...5 {
                            for (user, socket) in sockets.enumerated() { try await socket.send(bid(amount * 3 + user)) }
                        }
                        // After the last word, all other bids are too low.
                        try await WebSocketClient.connect(url + "/auction/last") { try await $0.send(bid(500)) }
                        var heard: [[String]] = []
                        for socket in sockets { heard.append(try await bids(until: 500, from: socket)) }
                        #expect(heard[0] == heard[1] && heard[1] == heard[2])
                    }
                }
            }
        }
    }
}

private func bid(_ amount: Int) -> String { "{\"bid\":{\"lot\":1,\"amount\":\(amount),\"name\":\"n\"}}" }

/// The bids as they come, to the one of this amount.
private func bids(until amount: Int, from socket: WebSocket) async throws -> [String] {
    var bids: [String] = []
    while bids.last?.contains("\"amount\":\(amount)") != true { bids.append(try await next("bid", from: socket)) }
    return bids
}
