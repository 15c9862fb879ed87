// Why a benchmark has no result.

/// Why a benchmark has no result.
struct BenchError: Error, Equatable, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    static func noAnswer(_ kind: BenchPlan.Kind, after seconds: Double) -> BenchError {
        BenchError("nothing came back in \(Figures.decimal(seconds, 0)) s: the server at this address has to \(need(kind))")
    }

    /// What a server has to do for a kind of load.
    static func need(_ kind: BenchPlan.Kind) -> String {
        kind == .broadcast ? "send what anyone says to everyone, the sender included" : "send back what it gets"
    }

    static func noProcess(_ pid: Int32) -> BenchError { BenchError("there is no process \(pid) to measure (--pid)") }

    static func notAllOpen(_ count: Int, _ error: any Error) -> BenchError {
        BenchError("not all of the \(count) connections could be opened: \(error)")
    }
}
