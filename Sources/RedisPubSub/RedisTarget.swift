// What can be subscribed to.

/// A channel, or all channels that a pattern takes.
package enum RedisTarget: Sendable, Hashable {
    /// The channel of this name.
    case channel(String)
    /// The channels that a pattern takes, as Redis has them: `*`, `?`, `[…]`, and `\` before one that is meant itself.
    case pattern(String)

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
        }
    }
}
