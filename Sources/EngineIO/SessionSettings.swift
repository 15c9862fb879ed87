// What a server's configuration says about its sessions, kept once for all of them.

/// What all sessions of a server have in common.
final class SessionSettings: Sendable {
    let pingInterval: Duration
    let pingTimeout: Duration
    let upgradeTimeout: Duration
    let maxPayload: Int
    let maxPacketsPerPoll: Int
    let maxBufferedBytes: Int
    /// How often a poll that waits is ended while the client prepares to upgrade, as it waits for that: as often as Node does it.
    let noopInterval = Duration.milliseconds(100)
    /// How long a close waits for the client to poll what is left: as long as Node's.
    let closeTimeout = Duration.seconds(30)

    init(_ configuration: EngineIOConfiguration) {
        pingInterval = configuration.pingInterval
        pingTimeout = configuration.pingTimeout
        upgradeTimeout = configuration.upgradeTimeout
        maxPayload = configuration.maxPayload
        maxPacketsPerPoll = max(1, configuration.maxPacketsPerPoll)
        maxBufferedBytes = configuration.maxBufferedBytes
    }
}
