// An auction: bids in one order for everyone, the highest decided here, and no bid after the hammer.

import PubSub
import Synchronization
import WebSockets

final class Auction: Exhibit {
    enum Request: Decodable { case bid(lot: Int, amount: Int, name: String) }
    enum Event: Encodable {
        /// A lot as it is, with the time that is left; told to each new tab, and when one begins.
        case lot(number: Int, title: String, bids: [Bid], endsIn: Double, of: Double)
        case bid(lot: Int, bid: Bid)
        case sold(lot: Int, to: String?, amount: Int, nextIn: Double)
    }
    struct Bid: Codable { var number: Int, user: String, name: String, amount: Int }

    private let lot = Mutex(Lot(number: 1, endsAt: .now + Lot.duration))
    private let limits = RateLimits(perSecond: 4, burst: 8)

    func mount(on server: WebSocketServer) {
        server.webSocket("/auction/{user}") { [self] socket in
            try lot.withLock { lot in
                try socket.subscribe("auction")
                socket.trySend(lot.event(at: .now))
            }
            try await socket.converse(Request.self, within: limits) { request in
                guard case .bid(let number, let amount, let typed) = request else { return }
                let name = try typed.checked("A name", 1...32)
                // Decided and published under one lock: what the server decides first, everyone hears first.
                try lot.withLock { lot in
                    let bid = try lot.bid(amount, on: number, by: (socket.user, name), at: .now)
                    socket.publish(.json(Event.bid(lot: number, bid: bid)), to: "auction", includingSelf: true)
                }
            }
        }
    }

    func run(on server: WebSocketServer) async {
        while (try? await Task.sleep(until: lot.withLock { $0.endsAt })) != nil {
            lot.withLock { lot in
                let event = Event.sold(
                    lot: lot.number, to: lot.bids.last?.name, amount: lot.bids.last?.amount ?? 0, nextIn: Lot.pause / .milliseconds(1))
                server.publish(.json(event), to: "auction")
            }
            guard (try? await Task.sleep(for: Lot.pause)) != nil else { return }
            lot.withLock { lot in
                lot = Lot(number: lot.number + 1, endsAt: .now + Lot.duration)
                server.publish(lot.event(at: .now), to: "auction")
            }
        }
    }
}

/// One lot and the bids for it; the time is what it is told.
struct Lot {
    static let duration = Duration.seconds(45), pause = Duration.seconds(10)
    private static let titles = [
        "A telegraph key, brass", "The last floppy disk", "A modem that still sings", "One original packet, unopened",
        "A carrier pigeon, retired",
    ]
    let number: Int
    let endsAt: ContinuousClock.Instant
    /// The latest hundred; whoever makes up new users may bid as often as they like.
    private(set) var bids: [Auction.Bid] = []

    init(number: Int, endsAt: ContinuousClock.Instant) {
        self.number = number
        self.endsAt = endsAt
    }

    mutating func bid(
        _ amount: Int, on lot: Int, by bidder: (id: String, name: String), at now: ContinuousClock.Instant
    ) throws(Refusal) -> Auction.Bid {
        guard lot == number else { throw Refusal(lot < number ? "Too late: lot \(lot) is sold." : "There is no lot \(lot) yet.") }
        guard now < endsAt else {
            throw Refusal("Too late: the hammer fell \(Int(((now - endsAt) / .milliseconds(1)).rounded(.up))) ms before your bid.")
        }
        let highest = bids.last?.amount ?? 0
        guard amount > highest else { throw Refusal("Too low: the highest bid is \(highest).") }
        guard amount <= highest + 1000 else { throw Refusal("Too high: at most 1,000 over the highest bid, which is \(highest).") }
        guard bids.last?.user != bidder.id else { throw Refusal("The highest bid is yours already.") }
        let bid = Auction.Bid(number: (bids.last?.number ?? 0) + 1, user: bidder.id, name: bidder.name, amount: amount)
        bids = bids.suffix(99) + [bid]
        return bid
    }

    func event(at now: ContinuousClock.Instant) -> Message {
        let title = Self.titles[(number - 1) % Self.titles.count]
        return .json(
            Auction.Event.lot(
                number: number, title: title, bids: bids.suffix(20), endsIn: (endsAt - now) / .milliseconds(1),
                of: Self.duration / .milliseconds(1)))
    }
}
