// A comparison from its beginning to its end: what the server works when nothing runs, then one method after another.

import NIOCore
import NIOPosix
import Synchronization
import WebSocketDeflate
import WebSockets

/// A comparison to be carried out.
struct ComparePlan: Sendable {
    let server: CompareServer
    let rate: Double
    /// Milliseconds.
    let interval: Double
    let clients: Int
    let seconds: Double

    /// Nothing runs for so long, to know what the server works all the same.
    private static let idleSeconds = 2.0

    /// Carries it out.
    ///
    /// - Parameter tell: gets a line on what is being done.
    func carryOut(_ tell: @Sendable (String) async -> Void) async throws -> CompareResult {
        let path = "/compare/terminal-\(UInt32.random(in: 0 ... .max))"
        let control = CompareControl()
        var configuration = WebSocketClient.Configuration()
        configuration.connection.compression = .off
        let socket = try await WebSocketClient.connect(
            "ws://\(server.authority)\(path)/control", configuration: configuration, handler: { _ in control })
        defer { socket.close() }
        socket.trySend(.text("{\"set\":{\"rate\":\(rate)}}"))
        try await control.synchronise()
        await tell("measuring what the server works when nothing runs")
        let idle = try await control.change(over: Self.idleSeconds)
        var methods: [CompareResult.Method] = []
        for kind in CompareKind.allCases {
            await tell("measuring \(kind.title)")
            methods.append(try await measure(kind, path, control, idle: idle))
        }
        return CompareResult(rate: rate, intervalMilliseconds: interval, clients: clients, seconds: seconds, methods: methods)
    }

    private func measure(_ kind: CompareKind, _ path: String, _ control: CompareControl, idle: CompareReport.Change) async throws
        -> CompareResult.Method
    {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let tally = CompareTally(offset: control.offset, from: control.serverTime)
        let first = try await control.nextReport()
        do {
            let all = (0..<clients).map { _ in CompareClient(kind, self, path, tally) }
            for client in all { try await client.connect(group) }
            try await Task.sleep(for: .seconds(seconds))
            for client in all { await client.close() }
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
        try? await group.shutdownGracefully()
        // The server has seen the ends by the next report but one.
        _ = try await control.nextReport()
        let last = try await control.nextReport()
        return CompareResult.Method(kind, tally.percentiles, CompareReport.Change(first, last, kind), idle: idle)
    }
}

/// The four methods.
enum CompareKind: String, CaseIterable, Sendable {
    case polling, longPolling, serverSentEvents, webSocket

    var title: String {
        switch self {
        case .polling: "Short polling"
        case .longPolling: "Long polling"
        case .serverSentEvents: "Server-Sent Events"
        case .webSocket: "WebSocket"
        }
    }
}

/// When events came.
final class CompareTally: Sendable {
    private let latencies = Mutex(Latencies())
    private let offset: Double
    private let start: Double

    /// - Parameters:
    ///   - offset: what the server's clock is ahead of this process's, in milliseconds.
    ///   - start: what was made before counts not, in the server's milliseconds.
    init(offset: Double, from start: Double) {
        self.offset = offset
        self.start = start
    }

    /// Events have come; what is not one counts not.
    func add(_ events: [CompareEvent]) {
        let now = CompareControl.now + offset
        latencies.withLock { latencies in
            for event in events where event.time >= start {
                latencies.record(from: 0, to: UInt64(max(0, now - event.time) * 1e6))
            }
        }
    }

    var percentiles: Percentiles? { latencies.withLock { $0.percentiles } }
}
