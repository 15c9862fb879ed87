// Which bids are taken, and that everyone hears of them in one order.

import TestSupport
import Testing
import WebSockets

@testable import Gallery

@Suite(.timeLimit(.minutes(1))) struct AuctionTests {
    private let start = ContinuousClock.now
    private var lot: Lot { Lot(number: 7, endsAt: start + .seconds(10)) }

    private func refusal(_ body: () throws(Refusal) -> Auction.Bid) -> String? {
        do throws(Refusal) {
            _ = try body()
            return nil
        } catch {
            return error.reason
        }
    }

    @Test func theHighestBidWinsAndHasTheNextNumber() throws {
        var lot = lot
        let first = try lot.bid(1, on: 7, by: ("a", "Ann"), at: start)
        let second = try lot.bid(5, on: 7, by: ("b", "Ben"), at: start)
        #expect((first.number, second.number) == (1, 2))
        #expect(refusal { () throws(Refusal) in try lot.bid(5, on: 7, by: ("a", "Ann"), at: start) } == "Too low: the highest bid is 5.")
        #expect(refusal { () throws(Refusal) in try lot.bid(6, on: 7, by: ("b", "Ben"), at: start) } == "The highest bid is yours already.")
        #expect(
            refusal { () throws(Refusal) in try lot.bid(1006, on: 7, by: ("a", "Ann"), at: start) }
                == "Too high: at most 1,000 over the highest bid, which is 5.")
        #expect(refusal { () throws(Refusal) in try lot.bid(.min, on: 7, by: ("a", "Ann"), at: start) } == "Too low: the highest bid is 5.")
        #expect(lot.bids.map(\.amount) == [1, 5])
    }

    @Test func noBidAfterTheHammerNorForAnotherLot() {
        var lot = lot
        #expect(refusal { () throws(Refusal) in try lot.bid(1, on: 7, by: ("a", "Ann"), at: start + .nanoseconds(9_999_999_999)) } == nil)
        #expect(
            refusal { () throws(Refusal) in try lot.bid(2, on: 7, by: ("b", "Ben"), at: start + .seconds(10)) }
                == "Too late: the hammer fell 0 ms before your bid.")
        #expect(
            refusal { () throws(Refusal) in try lot.bid(2, on: 7, by: ("b", "Ben"), at: start + .milliseconds(12_500)) }
                == "Too late: the hammer fell 2500 ms before your bid.")
        #expect(refusal { () throws(Refusal) in try lot.bid(2, on: 6, by: ("b", "Ben"), at: start) } == "Too late: lot 6 is sold.")
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
