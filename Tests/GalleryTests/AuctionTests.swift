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
                (2, 6, "Ben", .zero),
            ])
        #expect(
            answers == [
                nil, "Too late: the hammer fell 0 ms before your bid.", "Too late: the hammer fell 2500 ms before your bid.",
                "Too late: lot 6 is sold.",
            ])
        #expect(lot.bids.count == 1)
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
            let heard = try await withThrowingTaskGroup(of: [String].self) { group in
                for user in 0..<4 {
                    group.addTask {
                        try await WebSocketClient.connect(url + "/auction/\(user)") { socket in
                            _ = try await next("lot", from: socket)
                            for amount in 1...5 {
                                try await socket.send("{\"bid\":{\"lot\":1,\"amount\":\(amount * 4 + user),\"name\":\"n\"}}")
                            }
                            var bids: [String] = []
                            // 23 is the last word: it is above all others.
                            while bids.last?.contains("\"amount\":23") != true { bids.append(try await next("bid", from: socket)) }
                            return bids
                        }
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            // Who came later missed the first ones, and nothing after.
            let longest = try #require(heard.max { $0.count < $1.count })
            for bids in heard { #expect(bids == Array(longest.suffix(bids.count))) }
        }
    }
}
