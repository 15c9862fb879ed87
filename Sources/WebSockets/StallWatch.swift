// Does the peer take what is sent to it? Seen from the bytes that wait, as nothing on the wire says so (RFC 6455 has no windows).
//
// States: nothing waits → something waits (since when?) → it moves (since now) → … ; time is an argument.

import WebSocketCore

/// Watches whether the bytes that wait for a peer move.
struct StallWatch: Sendable {
    /// What a look has found.
    struct Finding: Equatable {
        /// Whether some of what waited at the last look has left since.
        var hasMoved = false
        /// When what waits last moved, as far as looks have told; nil if nothing waits.
        var stalledSince: Timestamp?
    }

    private var sentAtLastLook = 0
    private var stalledSince: Timestamp?
    private var waitedAtLastLook = false

    /// Looks again.
    ///
    /// - Parameters:
    ///   - waiting: the bytes that wait now.
    ///   - sent: all bytes that the system has taken so far.
    ///   - isExcused: whether it is not the peer's fault if nothing moves.
    mutating func look(at now: Timestamp, waiting: Int, sent: Int, isExcused: Bool = false) -> Finding {
        // Bytes that the system took into an empty buffer tell nothing of the peer; those that had to wait for room do.
        let hasMoved = waitedAtLastLook && sent > sentAtLastLook
        waitedAtLastLook = waiting > 0
        sentAtLastLook = sent
        if waiting == 0 {
            stalledSince = nil
        } else if hasMoved || isExcused || stalledSince == nil {
            stalledSince = now
        }
        return Finding(hasMoved: hasMoved, stalledSince: stalledSince)
    }
}
