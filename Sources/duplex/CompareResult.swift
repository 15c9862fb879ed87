// What came of a comparison: a table and a sentence for people, JSON for programs.

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// What came of a comparison.
struct CompareResult: Encodable, Sendable {
    var rate: Double
    var intervalMilliseconds: Double
    var clients: Int
    var seconds: Double
    var methods: [Method]

    /// What one method cost, from its first connection to the end of its last.
    struct Method: Encodable, Sendable {
        var method: String
        var delayMicroseconds: Percentiles?
        var events: Int
        var requests: Int
        var bytesUp: Int
        var bytesDown: Int
        var seconds: Double
        var bytesPerEvent: Double?
        /// What the server worked for one, less what it works when nothing runs; nil where that is too little to be told.
        var cpuMicrosecondsPerEvent: Double?

        init(_ kind: CompareKind, _ delay: Percentiles?, _ change: CompareReport.Change, idle: CompareReport.Change) {
            let counts = change.counts
            (method, delayMicroseconds) = (kind.rawValue, delay)
            (events, requests, bytesUp, bytesDown) = (counts.events, counts.requests, counts.bytesUp, counts.bytesDown)
            seconds = (change.seconds * 1000).rounded() / 1000
            guard events > 0, idle.seconds > 0 else { return }
            bytesPerEvent = Double((bytesUp + bytesDown) * 10 / events) / 10
            let worked = change.cpu - idle.cpu / idle.seconds * change.seconds
            // What is less than the server's other work varies by can not be told.
            guard worked > 0 else { return }
            cpuMicrosecondsPerEvent = (worked / Double(events) * 1e7).rounded() / 10
        }
    }

    private enum Key: String, CodingKey {
        case rate, intervalMilliseconds, clients, seconds, methods, sentence
    }

    func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: Key.self)
        try values.encode(rate, forKey: .rate)
        try values.encode(intervalMilliseconds, forKey: .intervalMilliseconds)
        try values.encode(clients, forKey: .clients)
        try values.encode(seconds, forKey: .seconds)
        try values.encode(methods, forKey: .methods)
        try values.encode(sentence, forKey: .sentence)
    }

    /// One line.
    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }

    func table(_ style: Style) -> String {
        let columns = ["", "p50", "p99", "events", "requests", "bytes up", "bytes down", "bytes/event", "CPU/event"]
        let rows = methods.map { method in
            let title = CompareKind(rawValue: method.method)?.title ?? method.method
            let delays = [method.delayMicroseconds?.p50, method.delayMicroseconds?.p99].map { $0.map(Figures.time) ?? "–" }
            let counts = [method.events, method.requests, method.bytesUp, method.bytesDown].map(Figures.grouped)
            let each = [
                method.bytesPerEvent.map { Figures.decimal($0, 0) } ?? "–",
                method.cpuMicrosecondsPerEvent.map { Figures.decimal($0, 1) + " µs" } ?? "–",
            ]
            return [title] + delays + counts + each
        }
        let heading =
            "\(Figures.rate(rate)) events/s to \(Figures.grouped(clients)) client\(clients == 1 ? "" : "s"), "
            + "polling every \(Self.milliseconds(intervalMilliseconds)), \(Figures.decimal(seconds, 1)) s each"
        return ([heading, ""] + TextTable.lines(columns: columns, rows: rows, style) + ["", sentence]).map { $0 + "\n" }.joined()
    }

    private static func milliseconds(_ value: Double) -> String { Figures.time(UInt64(value * 1e6)) }

    /// What was measured, in a sentence.
    var sentence: String {
        guard let polling = methods.first, let socket = methods.last, let slow = polling.delayMicroseconds,
            let fast = socket.delayMicroseconds, let many = polling.bytesPerEvent, let few = socket.bytesPerEvent, few > 0
        else { return "Too few events came to tell." }
        let asked = Double(polling.requests) / seconds / Double(clients)
        let aimed = 1000 / intervalMilliseconds
        let kept = asked < aimed * 0.8 ? " (which it could not keep: it asked \(Figures.rate(asked)) times a second)" : ""
        let ratio = many / few
        return
            "Half of the events were there within \(Figures.time(fast.p50)) by WebSocket and within \(Figures.time(slow.p50)) by polling "
            + "every \(Self.milliseconds(intervalMilliseconds))\(kept), which took \(Figures.decimal(ratio, ratio < 10 ? 1 : 0)) times the bytes for each event."
    }
}
