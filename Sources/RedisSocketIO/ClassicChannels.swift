// The channels of a namespace; see ClassicMessage.swift.

import RedisPubSub

struct ClassicChannels: Sendable, Hashable {
    let broadcast: String
    let request: String
    let response: String

    init(key: String, namespace: String) {
        broadcast = "\(key)#\(namespace)#"
        request = "\(key)-request#\(namespace)#"
        response = "\(key)-response#\(namespace)#"
    }

    /// Where a broadcast is said: a room has a channel of its own, so that nodes without it need not read the message.
    func broadcast(to rooms: Set<String>) -> String {
        guard rooms.count == 1, let room = rooms.first else { return broadcast }
        return "\(broadcast)\(room)#"
    }

    /// The one room that a broadcast is for.
    enum Room: Sendable, Hashable { case any, one(String) }

    /// - Returns: nil if the channel is another namespace's.
    func room(of channel: String) -> Room? {
        guard channel.utf8.starts(with: broadcast.utf8) else { return nil }
        let rest = channel.utf8.dropFirst(broadcast.utf8.count)
        if rest.isEmpty { return .any }
        guard rest.last == UInt8(ascii: "#") else { return nil }
        return .one(String(Substring(rest.dropLast())))
    }

    /// Where answers to one node are said, if nodes are configured so.
    func response(to node: String) -> String { "\(response)\(node)#" }

    /// What a node listens to.
    func targets(of node: String) -> [RedisTarget] {
        [.pattern(RedisTarget.escaped(broadcast) + "*"), .channel(request), .channel(response), .channel(response(to: node))]
    }
}
