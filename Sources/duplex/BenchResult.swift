// What came of a benchmark, in figures: for programs as JSON; `BenchTable.swift` has it for people.

import NIOCore

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// What came of a benchmark. The names are those of the JSON object, of which nothing is ever renamed; what does not apply is left out.
struct BenchResult: Encodable, Sendable {
    var kind: String
    var url: String
    var connections: Int
    var threads: Int
    var size: Int?
    var depth: Int?
    var rate: Double?
    var publishers: Int?
    var warmUpSeconds: Double?
    /// How long was measured; of connections that are held, how long it took to open them.
    var seconds: Double
    /// Whether it was ended early.
    var isInterrupted: Bool
    /// Messages that came, which are deliveries of a broadcast.
    var messages: Int?
    var messagesPerSecond: Double?
    /// Payloads, in millions of bytes.
    var megabytesPerSecond: Double?
    /// Messages that were sent.
    var sentPerSecond: Double?
    var handshakes: Int?
    var handshakesPerSecond: Double?
    /// From when a message should have been sent to its receipt; of a handshake, how long it took.
    var latencyMicroseconds: Percentiles?
    /// From when a message was sent, at a fixed rate.
    var latencyAsSentMicroseconds: Percentiles?
    var errors: Errors
    var client: Client
    var server: Server?
    /// What should be known of the figures, in words.
    var notes: [String]
    /// What went wrong, in words; if there is something, the exit status is 1.
    var problems: [String]

    struct Errors: Encodable, Sendable {
        /// Connections that could not be opened, that ended of themselves, and messages that never came.
        var refused: Int
        var lost: Int
        var missing: Int
        var total: Int { refused + lost + missing }
    }

    struct Client: Encodable, Sendable {
        var cpuSeconds: Double
        /// How much of its time the busiest thread worked, 0 to 1, and how much of it it waited for a processor.
        var busiestThread: Double
        var busiestThreadWaited: Double
        var isBottleneck: Bool
        /// How much later than due messages were sent.
        var sendLagMicroseconds: Percentiles?
    }

    struct Server: Encodable, Sendable {
        var pid: Int32
        var cpuSeconds: Double?
        var messagesPerCPUSecond: Double?
        var residentBytes: Int?
        var residentBytesPerConnection: Double?
    }

    /// One object on one line.
    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
}

// MARK: From what was measured

extension BenchResult {
    init(_ measured: BenchMeasurement, cores: Int = System.coreCount) {
        let (plan, tally) = (measured.plan, measured.tally)
        let sends = plan.senders > 0
        let bottleneck = Bottleneck.note(measured, cores: cores)
        kind = plan.kind.rawValue
        url = measured.address
        connections = plan.connections
        threads = plan.threads
        size = sends ? plan.size : nil
        depth = sends && plan.rate == nil ? plan.depth : nil
        rate = plan.rate
        publishers = plan.kind == .broadcast ? plan.publishers : nil
        warmUpSeconds = plan.kind == .idle ? nil : plan.warmUp
        seconds = tally.measuredTime
        isInterrupted = measured.isInterrupted
        errors = Errors(refused: tally.refused, lost: tally.lost, missing: measured.missing)
        client = Client(
            cpuSeconds: measured.cpuTime, busiestThread: measured.busiest.busy, busiestThreadWaited: measured.busiest.waiting,
            isBottleneck: bottleneck != nil,
            sendLagMicroseconds: tally.lag.percentiles)
        notes = Self.notes(measured, bottleneck)
        problems = []
        latencyMicroseconds = tally.fromDue.percentiles
        latencyAsSentMicroseconds = plan.rate != nil && plan.kind != .broadcast ? tally.fromSent.percentiles : nil
        count(tally, sends: sends)
        server = measured.server.map { serverFigures($0, measured) }
        problems = problems(measured)
    }

    private mutating func count(_ tally: LoadTally, sends: Bool) {
        let perSecond = { [seconds] (count: Int) in seconds > 0 ? Double(count) / seconds : 0 }
        if sends {
            messages = tally.messages
            messagesPerSecond = perSecond(tally.messages)
            megabytesPerSecond = perSecond(tally.messages) * Double(size ?? 0) / 1e6
            sentPerSecond = perSecond(tally.sentMeasured)
        } else {
            handshakes = tally.messages
            handshakesPerSecond = perSecond(tally.messages)
        }
    }

    private func serverFigures(_ process: ServerProcess, _ measured: BenchMeasurement) -> Server {
        var server = Server(pid: process.pid, cpuSeconds: measured.serverCPUTime)
        if let cpu = measured.serverCPUTime, cpu > 0 { server.messagesPerCPUSecond = Double(measured.tally.messages) / cpu }
        server.residentBytes = measured.memoryAfter
        // One that has memory from before takes the connections in without growing.
        if let before = measured.memoryBefore, let after = measured.memoryAfter, measured.held > 0, after > before {
            server.residentBytesPerConnection = Double(after - before) / Double(measured.held)
        }
        return server
    }

    // MARK: In words

    private static func notes(_ measured: BenchMeasurement, _ bottleneck: String?) -> [String] {
        let tally = measured.tally
        var notes = [bottleneck].compactMap { $0 }
        if measured.isInterrupted { notes.append("ended early, by an interrupt") }
        if tally.heldBack > 0 { notes.append("the server did not read as fast as the rate asks for: messages had to wait") }
        if tally.foreign > 0 { notes.append("\(Figures.grouped(tally.foreign)) messages came that this end had not asked for") }
        return notes
    }

    private func problems(_ measured: BenchMeasurement) -> [String] {
        let tally = measured.tally
        var problems: [String] = []
        // It came to light at the end only.
        if let failure = tally.failure { problems.append(failure) }
        if tally.refused > 0 {
            problems.append("\(Figures.grouped(tally.refused)) handshakes failed, the first as: \(tally.firstRefusal ?? "")")
        }
        if let loss = tally.firstLoss {
            problems.append("\(Figures.grouped(tally.lost)) connections were lost, the first was \(Report.line(loss))")
        }
        if measured.missing > 0 && tally.messages > 0 {
            let missing =
                "\(Figures.grouped(measured.missing)) messages did not come within \(Figures.decimal(measured.plan.drain, 1)) s after the end"
            let why = "only who said them got any: the server at this address has to \(BenchError.need(.broadcast))"
            problems.append(measured.isNoBroadcast ? "\(missing); \(why)" : missing)
        }
        if messages == 0 && tally.lost == 0 && !measured.isInterrupted {
            problems.append(
                tally.received == 0
                    ? "\(BenchError.noAnswer(measured.plan.kind, after: max(1, seconds)))"
                    : "no answer came while it was measured, and \(Figures.grouped(tally.received)) before or after")
        }
        if measured.plan.kind == .handshake && tally.messages == 0 && tally.refused == 0 && !measured.isInterrupted {
            problems.append(
                "no handshake was done in \(Figures.decimal(seconds, 1)) s: the server is too slow for so short a time, or does not answer")
        }
        return problems
    }
}
