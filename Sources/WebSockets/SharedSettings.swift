// What all connections of a server or a client have in common.

import Logging
import WebSocketCore

/// What all connections of a server or a client have in common; one object for all of them.
final class SharedSettings: Sendable {
    let connection: ConnectionConfiguration
    let limits: SharedLimits
    let keepalive: WebSocketCore.Keepalive.Terms?
    let logger: Logger

    init(_ connection: ConnectionConfiguration, logger: Logger) {
        self.connection = connection
        limits = SharedLimits(connection.limits)
        keepalive = connection.keepalive.map { .init(interval: $0.interval, timeout: $0.timeout) }
        self.logger = logger
    }
}
