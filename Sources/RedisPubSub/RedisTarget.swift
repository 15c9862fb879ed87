// What can be subscribed to (redis.io, "Redis Pub/Sub").

/// A channel, or all channels that a pattern takes.
package enum RedisTarget: Sendable, Hashable {
    /// The channel of this name.
    case channel(String)
    /// The channels that a pattern takes, as Redis has them: `*`, `?`, `[…]`, and `\` before one that is meant itself.
    case pattern(String)
    /// The channel of this name among those that belong to a cluster's shards (Redis 7): one of the same name that does not is another.
    case shardChannel(String)

    /// A text as a pattern that takes nothing else.
    package static func escaped(_ text: String) -> String {
        var pattern = ""
        for character in text.unicodeScalars {
            if "*?[]\\".unicodeScalars.contains(character) { pattern.append("\\") }
            pattern.unicodeScalars.append(character)
        }
        return pattern
    }

    func command(subscribing: Bool) -> RedisCommand {
        switch self {
        case .channel(let name): RedisCommand(subscribing ? "SUBSCRIBE" : "UNSUBSCRIBE", name)
        case .pattern(let text): RedisCommand(subscribing ? "PSUBSCRIBE" : "PUNSUBSCRIBE", text)
        case .shardChannel(let name): RedisCommand(subscribing ? "SSUBSCRIBE" : "SUNSUBSCRIBE", name)
        }
    }
}
