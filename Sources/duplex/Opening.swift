// How a benchmark's connections are opened: one after another in as many lanes as there may be handshakes at once.

import NIOCore
import WebSockets

/// One lane of a thread.
struct Opening: Sendable {
    private let thread: LoadThread

    init(_ thread: LoadThread) { self.thread = thread }

    /// Opens connections until the thread has all that are its own.
    func openShare() async throws {
        while let number = thread.nextConnection() {
            do {
                _ = try await open(number)
            } catch {
                if !(error is CancellationError) { await refuse(error) }
                throw thread.plan.kind == .idle ? error : BenchError.notAllOpen(thread.plan.connections, error)
            }
        }
    }

    /// Opens a connection and awaits its end, again and again until the task is cancelled.
    func openAndClose() async {
        while !Task.isCancelled {
            do {
                _ = try await open(0).waitUntilClosed()
            } catch  where !(error is CancellationError) {
                await refuse(error)
                // Not to drive a server that refuses mad, and this end either.
                try? await Task.sleep(for: .milliseconds(100))
            } catch {
                return
            }
        }
    }

    private func open(_ number: Int) async throws -> WebSocket {
        let start = monotonicTime()
        return try await WebSocketClient.connect(thread.plan.url, configuration: thread.configuration) { [thread] _ in
            LoadConnection.make(thread, number: number, begunAt: start)
        }
    }

    private func refuse(_ error: any Error) async {
        try? await thread.loop.submit { thread.refused(error) }.get()
    }
}
