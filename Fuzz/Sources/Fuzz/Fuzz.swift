// The program that libFuzzer drives: `Fuzz TARGET [libFuzzer's own arguments]`. Scripts/fuzz builds and runs it.
//
// libFuzzer's own `main` is left out of the link (SwiftPM insists on a Swift one), and its driver is called from here.

/// libFuzzer's driver, of the C interface in its documentation ("Using libFuzzer as a library").
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ argumentCount: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// The target of this run. Written once, before the driver starts, and the driver calls from this thread only.
nonisolated(unsafe) private var target = FuzzTarget.connection

/// One execution. A finding traps, which libFuzzer reports, with the input that led to it.
private func run(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    do throws(Finding) {
        try target.check(Array(UnsafeBufferPointer(start: data, count: count)))
    } catch {
        fatalError("\(target.rawValue): \(error.description)")
    }
    return 0
}

@main struct Fuzz {
    static func main() {
        let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: "|")
        guard CommandLine.argc > 1, let named = FuzzTarget(rawValue: CommandLine.arguments[1]) else {
            return print("usage: Fuzz \(names) [arguments of libFuzzer]")
        }
        target = named
        // The target takes the program's place as the first argument.
        var count = CommandLine.argc - 1
        var arguments = CommandLine.unsafeArgv + 1
        withUnsafeMutablePointer(to: &arguments) { arguments in
            _ = runDriver(&count, arguments) { run($0, $1) }
        }
    }
}
