// The program that libFuzzer drives: `FUZZ_TARGET=connection Fuzz [libFuzzer's own arguments]`. Scripts/fuzz builds and runs it. The target
// comes by the environment, so that the processes libFuzzer starts itself (-merge, -fork) get it too.
//
// libFuzzer's own `main` is left out of the link (SwiftPM insists on a Swift one), and its driver is called from here.

import Foundation

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
        guard let named = FuzzTarget(rawValue: ProcessInfo.processInfo.environment["FUZZ_TARGET"] ?? "") else {
            return print("set FUZZ_TARGET to one of: \(FuzzTarget.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        target = named
        var count = CommandLine.argc
        var arguments = CommandLine.unsafeArgv
        withUnsafeMutablePointer(to: &arguments) { arguments in
            _ = runDriver(&count, arguments) { run($0, $1) }
        }
    }
}
