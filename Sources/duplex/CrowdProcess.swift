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
        try state.withLock { child in
            // Somebody else was faster, and theirs is as good.
            guard child == nil else { return }
            child = try ChildProcess(["members", url, "--count", String(members), "--seconds", String(seconds)])
        }
    }

    /// Sends all away, without waiting.
    func end() { state.withLock { $0.take() }?.close() }
}
