// Where WebSocket has worked, so that the next session may begin with it; as in the official client that is kept for the process.

import NIOConcurrencyHelpers

/// The servers that were reached by WebSocket the last time.
enum UpgradeMemory {
    /// The most servers: 1,000; who knows more begins with long-polling there.
    private static let maxCount = 1000
    private static let servers = NIOLockedValueBox<Set<String>>([])

    static func contains(_ key: String) -> Bool { servers.withLockedValue { $0.contains(key) } }

    static func note(_ key: String, _ hasWorked: Bool) {
        servers.withLockedValue { servers in
            if !hasWorked { servers.remove(key) } else if servers.count < maxCount { servers.insert(key) }
        }
    }
}
