// What the dashboard says.

import Testing
import WebSockets

@testable import Gallery

@Suite(.timeLimit(.minutes(1))) struct DashboardTests {
    @Test func tellsOfItselfAndTakesNothing() async throws {
        try await serving(Dashboard()) { url in
            try await WebSocketClient.connect(url + "/dashboard/live") { socket in
                try await #expect(next("history", from: socket).contains("samples"))
                var sample = ""
                // The first may have been measured before this connection was open.
                while !sample.contains("\"connections\":1") { sample = try await next("sample", from: socket) }
                for key in ["cpuPercent", "memoryBytes", "receivedPerSecond", "sentPerSecond"] { #expect(sample.contains("\"\(key)\":")) }
                try await socket.send("x")
                try await #expect(next("refused", from: socket).contains("only speaks"))
            }
        }
    }

    @Test func measuresThisProcess() {
        let before = ProcessFigures.cpuSeconds
        #expect(before > 0)
        var sum: UInt64 = 1
        while ProcessFigures.cpuSeconds == before { sum = sum &* 31 &+ 7 }
        #expect(sum != 0)
        #if os(Linux)
        #expect(ProcessFigures.residentBytes > 1 << 20)
        #endif
    }
}
