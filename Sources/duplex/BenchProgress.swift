// How far a benchmark is, for whoever watches.

import Synchronization

/// How far a benchmark is.
final class BenchProgress: Sendable {
    enum Phase: Sendable {
        case connecting
        /// - Parameter since: when the warm-up began, which is followed by the seconds that are measured.
        case running(since: UInt64, warmUp: Double, seconds: Double)
        case closing
    }

    private let current = Mutex(Phase.connecting)
    private let threads: [LoadThread]
    private let connections: Int

    init(_ threads: [LoadThread], connections: Int) {
        self.threads = threads
        self.connections = connections
    }

    var phase: Phase {
        get { current.withLock { $0 } }
        set { current.withLock { $0 = newValue } }
    }

    /// Messages or handshakes so far.
    var total: Int { threads.reduce(0) { $0 + $1.total.load(ordering: .relaxed) } }

    /// Whether the load has lasted for so many seconds.
    func hasLasted(_ seconds: Double) -> Bool {
        guard case .running(let since, _, _) = phase else { return false }
        return Double(monotonicTime() - since) / 1e9 > seconds
    }

    /// How far it is at a time.
    func state(at now: UInt64) -> ProgressBar.State {
        switch phase {
        case .connecting:
            let open = threads.reduce(0) { $0 + $1.open.load(ordering: .relaxed) }
            return .init(part: Double(open) / Double(max(connections, 1)), text: "\(Figures.grouped(open)) connections open")
        case .running(let since, let warmUp, let seconds):
            let elapsed = Double(now - min(since, now)) / 1e9
            let left = Figures.decimal(max(0, warmUp + seconds - elapsed), 0)
            return .init(
                part: elapsed / (warmUp + seconds), text: "\(left) s left" + (elapsed < warmUp ? ", warming up" : ""), count: total)
        case .closing: return .init(part: 1, text: "closing")
        }
    }
}
