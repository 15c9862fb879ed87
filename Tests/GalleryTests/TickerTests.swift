// What the instruments are, and what a tab is told of them.

import Testing
import WebSockets

@testable import Gallery

@Suite(.timeLimit(.minutes(1))) struct TickerTests {
    @Test func allSymbolsDiffer() {
        let quotes = Ticker.instruments(300)
        #expect(Set(quotes.map(\.symbol)).count == 300)
        #expect(quotes.allSatisfy { $0.symbol.count == 3 && $0.last >= 20 })
        #expect(quotes.map(\.symbol) == quotes.map(\.symbol).sorted())
    }

    @Test func aMoveKeepsWhatBelongsTogether() {
        var quote = Ticker.instruments(1)[0]
        for step in 0..<1000 {
            quote.move(by: step % 3 == 0 ? 1 : -1)
            #expect(quote.low <= quote.last && quote.last <= quote.high && quote.bid < quote.last && quote.last < quote.ask)
        }
        #expect(quote.number == 1000)
        #expect(quote.last >= 1)
    }

    @Test func aTabGetsAllAndThenEachChange() async throws {
        try await serving(Ticker()) { url in
            try await WebSocketClient.connect(url + "/ticker/a") { socket in
                try await #expect(next("all", from: socket).contains("\"symbol\":\"AAA\""))
                try await #expect(next("quotes", from: socket).contains("\"sentAt\""))
                try await socket.send("{\"all\":{}}")
                try await #expect(!next("all", from: socket).isEmpty)
            }
        }
    }
}
