// Tests of what a timeout is for, on machines that may be slow.

/// Tries with ever longer timeouts until what a test waits for has come before the timeout did: no machine is too slow for it, and none
/// waits longer than it must.
package func withTimeouts(_ passes: (Duration) async throws -> Bool) async rethrows -> Bool {
    for timeout in [Duration.milliseconds(200), .seconds(1), .seconds(5), .seconds(25)] where try await passes(timeout) { return true }
    return false
}
