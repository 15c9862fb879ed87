// Simulated members of the gallery's chat, in a process of their own: for each there is a socket at both ends, and a process may have only so
// many.

import Gallery
import Synchronization

/// The crowd of `duplex serve`: another process of this program, `duplex members`.
final class CrowdProcess: Crowd {
    let seconds = 180
    private let url: @Sendable () async throws -> String
    private let state = Mutex<ChildProcess?>(nil)

    /// - Parameter url: where the chat is.
    init(url: @escaping @Sendable () async throws -> String) { self.url = url }

    func set(_ members: Int) async throws {
        let former = state.withLock { $0.take() }
        await former?.end()
        guard members > 0 else { return }
        let url = try await url()
        let child = try state.withLock { state throws(SystemError) -> ChildProcess? in
            // Somebody else was faster, and theirs is as good.
            guard state == nil else { return nil }
            let child = try ChildProcess(["members", url, "--count", String(members), "--seconds", String(seconds)])
            state = child
            return child
        }
        if let child { Task { await clearAway(child) } }
    }

    /// What has ended by itself is still the system's to remember until somebody asks.
    private func clearAway(_ child: ChildProcess) async {
        try? await Task.sleep(for: .seconds(seconds + 5))
        state.withLock { if $0 === child { $0 = nil } }
        await child.end()
    }

    /// Sends all away, without waiting.
    func end() { state.withLock { $0.take() }?.close() }
}
