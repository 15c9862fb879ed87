// Runs the cases of Autobahn's fuzzingserver against our client: `AutobahnClient ws://127.0.0.1:9001`. See Scripts/autobahn.

import WebSocketCore
import WebSocketDeflate
import WebSockets

@main
struct AutobahnClient {
    static func main() async throws {
        guard (2...3).contains(CommandLine.arguments.count) else { throw Usage() }
        let server = CommandLine.arguments[1]
        let compression = try compression(CommandLine.arguments.dropFirst(2).first)
        let count = try await caseCount(server)
        for number in 1...max(1, count) { await runCase(server, number, compression) }
        try await WebSocketClient.connect("\(server)/updateReports?agent=duplex") { socket in
            for try await _ in socket {}
        }
    }

    struct Usage: Error, CustomStringConvertible {
        let description = "usage: AutobahnClient ws://HOST:PORT [shared|dedicated]"
    }

    private static func compression(_ name: String?) throws -> Compression {
        switch name {
        case nil, "shared": .shared
        case "dedicated": .dedicated()
        default: throw Usage()
        }
    }

    private static func caseCount(_ server: String) async throws -> Int {
        try await WebSocketClient.connect("\(server)/getCaseCount") { socket in
            var count = 0
            for try await message in socket { count = message.text.flatMap { Int($0) } ?? count }
            return count
        }
    }

    private static func runCase(_ server: String, _ number: Int, _ compression: Compression) async {
        var configuration = WebSocketClient.Configuration()
        configuration.connection.limits = Limits(maxMessageSize: 64 << 20)
        configuration.connection.maxSendBuffer = 64 << 20
        configuration.connection.compression = compression
        // A case that ends with an error is one in which the server broke the protocol on purpose; the verdict is the server's.
        try? await WebSocketClient.connect("\(server)/runCase?case=\(number)&agent=duplex", configuration: configuration) { socket in
            for try await message in socket { try await socket.send(message) }
        }
    }
}
