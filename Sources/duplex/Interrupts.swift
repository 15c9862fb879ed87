// Ctrl-C and SIGTERM: first politely, then at once.

import Synchronization
import UnixSignals
import WebSockets

/// Turns the first interrupt into a close handshake, and the second into the end of the process.
final class Interrupts: Sendable {
    private let politely = Mutex<(@Sendable () -> Void)?>(nil)
    private let console: Console

    init(_ console: Console) { self.console = console }

    /// From now on, an interrupt closes this connection.
    func close(_ socket: WebSocket) { close { socket.close() } }

    /// From now on, an interrupt does this.
    func close(_ body: @escaping @Sendable () -> Void) { politely.withLock { $0 = body } }

    /// Watches for signals from now until the process ends. Where there is no connection to close yet, the first ends the process too.
    ///
    /// The status is 128 and the signal's number, as shells have it: 130 for Ctrl-C. Returns once the signals are trapped: whoever sees
    /// that a connection is open may rely on it being closed properly.
    func watch() async {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        Task { await obey(signals) }
    }

    private func obey(_ signals: UnixSignalsSequence) async {
        for await signal in signals {
            guard let close = politely.withLock({ $0.take() }) else { quit(128 + signal.rawValue) }
            close()
            await console.removePrompt()
            if console.isInteractive { await console.note("closing; Ctrl-C again quits at once") }
        }
    }

    private func quit(_ status: Int32) -> Never {
        // The terminal has echoed `^C`. Not through the console, which may be waiting for a reader.
        if console.isInteractive { try? Descriptor.error.writeAll([UInt8(ascii: "\n")]) }
        leave(status)
    }
}

extension Interrupts {
    /// Does something that the first interrupt cancels; the second ends the process.
    static func cancelling<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) async throws -> R {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        let work = Task { try await body() }
        let watch = Task {
            for await signal in signals {
                if work.isCancelled { leave(128 + signal.rawValue) }
                work.cancel()
            }
        }
        defer { watch.cancel() }
        return try await work.value
    }
}
