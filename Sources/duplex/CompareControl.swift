// The connection that a comparison lives by: settings, the server's clock, and its reports.

import NIOCore
import Synchronization
import WebSocketCore
import WebSockets

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// What the server counted and worked, as it tells four times a second.
struct CompareReport: Decodable, Sendable {
    struct Counts: Decodable, Sendable { var requests: Int, events: Int, bytesUp: Int, bytesDown: Int }
    var methods: [String: Counts]
    var events: Int
    /// Seconds.
    var cpu: Double, time: Double

    /// What came between two reports.
    struct Change: Sendable {
        var cpu: Double, seconds: Double
        var counts: Counts

        init(_ first: CompareReport, _ last: CompareReport, _ kind: CompareKind?) {
            cpu = last.cpu - first.cpu
            seconds = last.time - first.time
            let none = Counts(requests: 0, events: 0, bytesUp: 0, bytesDown: 0)
            let (before, after) = (kind.flatMap { first.methods[$0.rawValue] } ?? none, kind.flatMap { last.methods[$0.rawValue] } ?? none)
            counts = Counts(
                requests: after.requests - before.requests, events: after.events - before.events, bytesUp: after.bytesUp - before.bytesUp,
                bytesDown: after.bytesDown - before.bytesDown)
        }
    }
}

/// The connection that a comparison lives by.
final class CompareControl: WebSocketHandler, Sendable {
    private struct Contents {
        var socket: WebSocket?
        var report: CompareReport?
        var reports = 0
        var refusal: String?
        var offset = 0.0, best = Double.infinity
    }
    private struct Event: Decodable {
        struct Counts: Decodable { var report: CompareReport }
        struct Clock: Decodable { var sent: Double, time: Double }
        struct Refused: Decodable { var reason: String }
        var counts: Counts?, clock: Clock?, refused: Refused?
    }

    private let contents = Mutex(Contents())

    /// This process's clock, in milliseconds.
    static var now: Double { Double(monotonicTime()) / 1e6 }
    /// What the server's clock is ahead of it.
    var offset: Double { contents.withLock { $0.offset } }
    var serverTime: Double { Self.now + offset }

    private func send(_ text: String) { contents.withLock { $0.socket }?.trySend(.text(text)) }

    // MARK: WebSocketHandler

    func opened(_ socket: WebSocket) { contents.withLock { $0.socket = socket } }

    func received(_ message: Message, from socket: WebSocket) {
        let now = Self.now
        guard let text = message.text, let event = try? JSONDecoder().decode(Event.self, from: Data(text.utf8)) else { return }
        contents.withLock { contents in
            if let report = event.counts?.report {
                contents.report = report
                contents.reports += 1
            }
            if let refusal = event.refused { contents.refusal = refusal.reason }
            // Of many answers, the one that was under way for the shortest time tells the most.
            if let clock = event.clock, now - clock.sent < contents.best {
                contents.best = now - clock.sent
                contents.offset = clock.time - (now + clock.sent) / 2
            }
        }
    }

    func closed(_ socket: WebSocket, _ closure: Closure) {
        contents.withLock { $0.refusal = $0.refusal ?? "the server closed the connection: \(closure.code) \(closure.reason)" }
    }

    // MARK: What is asked of it

    /// Learns what the server's clock says.
    func synchronise() async throws {
        for _ in 0..<20 {
            send("{\"clock\":{\"sent\":\(Self.now)}}")
            try await Task.sleep(for: .milliseconds(30))
        }
        guard contents.withLock({ $0.best.isFinite }) else { throw problem }
    }

    /// The next report to come.
    ///
    /// - Throws: `BenchError` if none does.
    func nextReport() async throws -> CompareReport {
        let known = contents.withLock { $0.reports }
        for _ in 0..<500 {
            try await Task.sleep(for: .milliseconds(10))
            if let report = contents.withLock({ $0.reports > known ? $0.report : nil }) { return report }
        }
        throw problem
    }

    func change(over seconds: Double) async throws -> CompareReport.Change {
        let first = try await nextReport()
        try await Task.sleep(for: .seconds(seconds))
        return CompareReport.Change(first, try await nextReport(), nil)
    }

    private var problem: BenchError { BenchError(contents.withLock { $0.refusal } ?? "this server does not answer as `duplex serve` does") }
}
