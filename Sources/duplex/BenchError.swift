// Why a benchmark has no result.

/// Why a benchmark has no result.
struct BenchError: Error, Equatable, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    static func noAnswer(_ kind: BenchPlan.Kind, after seconds: Double) -> BenchError {
        let needed = kind == .broadcast ? "send what anyone says to everyone, the sender included" : "send back what it gets"
        return BenchError("nothing came back in \(Figures.decimal(seconds, 0)) s: the server at this address has to \(needed)")
    }

    static func notAllOpen(_ count: Int, _ error: any Error) -> BenchError {
        BenchError("not all of the \(count) connections could be opened: \(error)")
    }
}
