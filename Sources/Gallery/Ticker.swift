// A ticker: three hundred instruments in thirty groups, each ten times a second; who can not keep up gets the latest of each, and no backlog.

import PubSub
import Synchronization
import WebSockets

final class Ticker: Exhibit {
    enum Request: Decodable { case all }
    enum Event: Encodable {
        /// All instruments as they are, told to each new tab.
        case all(quotes: [Quote])
        case quotes(quotes: [Quote], sentAt: Double)
    }
    struct Quote: Encodable {
        var symbol: String, last: Double, open: Double, bid: Double, ask: Double, high: Double, low: Double, volume: Int
        /// How often it has changed: a gap tells a page what it was spared.
        var number = 0
    }

    private let quotes = Mutex(Ticker.instruments(300))
    private let limits = RateLimits(perSecond: 1, burst: 5)
    private let audience = Audience()

    func mount(on server: WebSocketServer) {
        server.webSocket("/ticker/{user}") { [self] socket in
            audience.enter()
            defer { audience.leave() }
            // Of what waits for a slow reader, a later message takes the place of an earlier one with the same key.
            try socket.subscribe("ticker", whenSlow: .latest)
            try await socket.send(.json(Event.all(quotes: quotes.withLock { $0 })))
            try await socket.converse(Request.self, within: limits) { _ in
                try await socket.send(.json(Event.all(quotes: quotes.withLock { $0 })))
            }
        }
    }

    func run(on server: WebSocketServer) async {
        var generator = SystemRandomNumberGenerator()
        while await audience.sleep(until: .now + .milliseconds(100)) {
            let now = ContinuousClock.now
            let changed = quotes.withLock { quotes in
                for index in quotes.indices { quotes[index].move(by: Double.random(in: -1...1, using: &generator)) }
                return quotes
            }
            for group in stride(from: 0, to: changed.count, by: 10) {
                let event = Event.quotes(quotes: Array(changed[group..<group + 10]), sentAt: Self.milliseconds(now))
                // Uncompressed, so that a slow tab shows soon; ten times as many bytes fill the network's buffers ten times as fast.
                server.publish(.json(event).compressed(.never), to: "ticker", key: "group \(group)")
            }
        }
    }

    private static let start = ContinuousClock.now
    private static func milliseconds(_ now: ContinuousClock.Instant) -> Double { (now - start) / .milliseconds(1) }

    /// Made-up names: three letters each, all different.
    static func instruments(_ count: Int) -> [Quote] {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        return (0..<count).map { number in
            // 7919 has no factor in common with 26³: no two are the same.
            let code = number * 7919 % 17_576
            let price = Double(20 + code % 180)
            return Quote(
                symbol: String([letters[code / 676], letters[code / 26 % 26], letters[code % 26]]), last: price, open: price,
                bid: price - 0.05, ask: price + 0.05, high: price, low: price, volume: 0)
        }.sorted { $0.symbol < $1.symbol }
    }
}

extension Ticker.Quote {
    /// The price goes up or down by up to a thousandth.
    mutating func move(by change: Double) {
        last = max(1, (last * (1 + change / 1000) * 100).rounded() / 100)
        (bid, ask) = (((last - 0.05) * 100).rounded() / 100, ((last + 0.05) * 100).rounded() / 100)
        (high, low) = (max(high, last), min(low, last))
        volume += Int(abs(change) * 100)
        number += 1
    }
}
