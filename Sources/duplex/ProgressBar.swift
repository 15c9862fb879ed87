// A bar that shows how far something is; on a terminal only.

/// A bar that shows how far something is.
struct ProgressBar {
    struct State: Equatable {
        /// 0 to 1.
        var part: Double
        var text: String
        /// What is counted so far, to show how fast it grows.
        var count: Int?
    }

    private var last: (count: Int, at: UInt64)?

    /// The bar in one line, shorter than the terminal is wide.
    ///
    /// - Parameter now: nanoseconds.
    mutating func line(_ state: State, at now: UInt64, columns: Int) -> String {
        let text = state.text + rate(state, now)
        let room = min(columns - text.count - 4, 40)
        guard room >= 5 else { return String(text.prefix(max(0, columns - 1))) }
        let filled = Int((min(max(state.part, 0), 1) * Double(room)).rounded(.down))
        return "[\(String(repeating: "#", count: filled))\(String(repeating: ".", count: room - filled))] \(text)"
    }

    private mutating func rate(_ state: State, _ now: UInt64) -> String {
        guard let count = state.count else { return "" }
        defer { last = (count, now) }
        guard let last, now > last.at, count >= last.count else { return "" }
        return ", \(Figures.rate(Double(count - last.count) / (Double(now - last.at) / 1e9)))/s"
    }
}

/// Draws a bar on stderr until it is ended; nothing if that is no terminal.
struct ProgressDisplay {
    private let drawing: Task<Void, Never>?

    init(_ progress: BenchProgress) {
        guard Descriptor.error.isTerminal, Style.canMoveCursor(term: environment("TERM")) else {
            drawing = nil
            return
        }
        drawing = Task {
            var bar = ProgressBar()
            while !Task.isCancelled {
                let columns = Descriptor.error.windowSize?.columns ?? 80
                let now = monotonicTime()
                Self.write("\r\u{1B}[K" + bar.line(progress.state(at: now), at: now, columns: columns))
                try? await Task.sleep(for: .milliseconds(250))
            }
            Self.write("\r\u{1B}[K")
        }
    }

    /// Removes the bar.
    func end() async {
        drawing?.cancel()
        await drawing?.value
    }

    private static func write(_ text: String) { try? Descriptor.error.writeAll(Array(text.utf8)) }
}
