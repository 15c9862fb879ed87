// What came of a benchmark, as a table for people.
//
// The table is ours: swift TextTable makes tables by reflection and needs all of Foundation for it, to right-align a row of numbers.

extension BenchResult {
    /// What it was, the figures, and what should be known of them.
    func table(_ style: Style) -> String {
        var lines = [heading, ""]
        lines += TextTable.lines(columns: columns, rows: rows, style)
        if let line = serverLine { lines += ["", line] }
        if !notes.isEmpty { lines += [""] + notes.map { style.paint($0, .yellow) } }
        return lines.map { $0 + "\n" }.joined()
    }

    private var heading: String {
        var parts = [many(connections, "connection")]
        if let publishers, publishers > 1 { parts.append(many(publishers, "publisher")) }
        if let size { parts.append(many(size, "byte")) }
        if let depth { parts.append("depth \(depth)") }
        if let rate { parts.append("\(Figures.rate(rate)) messages/s asked for") }
        if kind != "idle" { parts.append("\(Figures.decimal(seconds, 1)) s") }
        parts.append(many(threads, "thread"))
        return "\(kind) \(Escaping.escape(url)): " + parts.joined(separator: ", ")
    }

    private func many(_ count: Int, _ noun: String) -> String { "\(Figures.grouped(count)) \(noun)\(count == 1 ? "" : "s")" }

    private var columns: [String] {
        let times = ["p50", "p90", "p99", "p99.9", "max", "errors"]
        switch kind {
        case "broadcast": return ["", "published/s", "deliveries/s", "MB/s"] + times
        case "handshake": return ["", "handshakes/s"] + times
        case "idle": return ["", "opened", "handshakes/s"] + times
        default: return ["", "messages/s", "MB/s"] + times
        }
    }

    private var rows: [[String]] {
        let first = figures + times(latencyMicroseconds) + [Figures.grouped(errors.total)]
        guard let latencyAsSentMicroseconds else { return [["delay"] + first] }
        let second = figures.map { _ in "" } + times(latencyAsSentMicroseconds) + [""]
        return [["from when due"] + first, ["from when sent"] + second]
    }

    private var figures: [String] {
        let megabytes = Figures.decimal(megabytesPerSecond ?? 0, 1)
        switch kind {
        case "broadcast": return [Figures.rate(sentPerSecond ?? 0), Figures.rate(messagesPerSecond ?? 0), megabytes]
        case "handshake": return [Figures.rate(handshakesPerSecond ?? 0)]
        case "idle": return [Figures.grouped(handshakes ?? 0), Figures.rate(handshakesPerSecond ?? 0)]
        default: return [Figures.rate(messagesPerSecond ?? 0), megabytes]
        }
    }

    private func times(_ percentiles: Percentiles?) -> [String] {
        guard let percentiles else { return Array(repeating: "–", count: 5) }
        return [percentiles.p50, percentiles.p90, percentiles.p99, percentiles.p999, percentiles.max].map(Figures.time)
    }

    private var serverLine: String? {
        guard let server else { return nil }
        var parts: [String] = []
        if let cpu = server.cpuSeconds, seconds > 0 { parts.append("\(Figures.decimal(cpu / seconds, 2)) processors") }
        if let each = server.messagesPerCPUSecond {
            parts.append("\(Figures.rate(each)) \(messages == nil ? "handshakes" : "messages") per second of its own time")
        }
        if let bytes = server.residentBytes { parts.append("\(Figures.decimal(Double(bytes) / 1e6, 1)) MB resident") }
        if let each = server.residentBytesPerConnection {
            parts.append("\(Figures.decimal(each, 0)) bytes a connection")
        } else if kind == "idle", server.residentBytes != nil {
            parts.append("which did not grow: start it anew to see what a connection takes")
        }
        return parts.isEmpty ? nil : "server (process \(server.pid)): " + parts.joined(separator: ", ")
    }
}

/// A table of text.
enum TextTable {
    /// The first column is aligned left, the others right.
    static func lines(columns: [String], rows: [[String]], _ style: Style) -> [String] {
        let widths = columns.indices.map { index in ([columns] + rows).map { $0[index].count }.max() ?? 0 }
        let line = { (cells: [String]) in
            let aligned = zip(cells, widths).enumerated().map { index, cell in
                let space = String(repeating: " ", count: cell.1 - cell.0.count)
                return index == 0 ? cell.0 + space : space + cell.0
            }.joined(separator: "  ")
            return String(aligned.prefix(through: aligned.lastIndex { $0 != " " } ?? aligned.startIndex))
        }
        return [style.paint(line(columns), .faint)] + rows.map(line)
    }
}
