// One page's comparison: the events, and what each method has cost so far.

import HTTPTypes
import Synchronization
import WebSockets

final class CompareRun: Sendable {
    enum Method: String, CaseIterable {
        case polling, longPolling, serverSentEvents, webSocket
        /// What plain HTTP does better, and the same over a WebSocket.
        case pages, socketPages, questions, socketQuestions
    }
    struct Report: Encodable {
        var methods: [String: CompareCounts]
        var events: Int, rate: Double
        /// How long the server's process has worked, on all threads, and when that was; in seconds.
        var cpu: Double, time: Double
        /// How many other comparisons the process works for.
        var others: Int
    }
    private static let start = ContinuousClock.now
    /// The server's clock, in milliseconds.
    static var now: Double { ((ContinuousClock.now - start) / .microseconds(1)).rounded() / 1000 }

    let log = EventLog()
    private let state = Mutex(CompareLedger())
    private let publish: @Sendable (String) -> Void

    /// - Parameter publish: gives an event to the WebSockets.
    init(publish: @escaping @Sendable (String) -> Void) { self.publish = publish }

    func setRate(_ rate: Double) throws(Refusal) {
        guard (0.1...1000).contains(rate) else { throw Refusal("There may be 0.1 to 1000 events a second.") }
        state.withLock { $0.rate = rate }
    }

    /// Makes events at random moments: were they even, a poll might come right after each.
    func makeEvents() async {
        var due = ContinuousClock.now
        while !Task.isCancelled {
            let gap = Duration.seconds(Double.random(in: 0...2) / state.withLock { $0.rate })
            // What could not be made in time is not made up for.
            due = max(due + gap, .now - .milliseconds(100))
            if due > .now { try? await Task.sleep(until: due, tolerance: .zero) }
            if !Task.isCancelled { makeEvent() }
        }
    }

    func makeEvent() {
        let cents = 10_000 + Int.random(in: 0...4999)
        let event = log.append { "{\"number\":\($0),\"time\":\(Self.now),\"symbol\":\"DPX\",\"price\":\(Double(cents) / 100)}" }
        delivered(state.withLock { $0.open[.webSocket]?.count ?? 0 }, by: .webSocket)
        publish(event)
    }

    /// An answer to a poll.
    func response(_ piece: EventLog.Piece?, _ method: Method) -> ServerResponse {
        let events = piece?.events ?? []
        delivered(events.count, by: method)
        var response = ServerResponse.json("[\(events.joined(separator: ","))]")
        response.head.headerFields[.cacheControl] = "no-store"
        return response
    }

    // MARK: Counting

    /// Counts a request, or a WebSocket; false if there are too many.
    func begin(_ method: Method, _ carrier: CompareLedger.Carrier) -> Bool { state.withLock { $0.begin(method, carrier) } }

    func delivered(_ events: Int, by method: Method) { state.withLock { $0.counts[method, default: CompareCounts()].events += events } }

    func report(others: Int) -> Report {
        state.withLock { state in
            // Read first: whatever was over by then is in the counts.
            let time = Self.now / 1000
            state.settle()
            return Report(
                methods: Dictionary(uniqueKeysWithValues: Method.allCases.map { ($0.rawValue, state.total($0)) }), events: log.last + 1,
                rate: state.rate, cpu: ProcessFigures.cpuSeconds, time: time, others: others)
        }
    }
}
