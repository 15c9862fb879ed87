// A pattern of topics as one of Redis's.
//
// Redis's `*` knows no levels, and `a/#` takes `a` as well: what Redis sends is more than what is meant, and each message is held against the
// pattern itself when it comes.

import PubSub

extension TopicPattern {
    /// A pattern of Redis's that takes the channels of all topics that this pattern takes, and others.
    ///
    /// - Parameter prefix: what stands before the topic in a channel's name.
    func redisPattern(prefix: String) -> String {
        var levels = description.split(separator: "/", omittingEmptySubsequences: false)
        let isOpen = levels.last == "#"
        if isOpen { levels.removeLast() }
        let closed = levels.map { $0 == "+" ? "*" : RedisTarget.escaped(String($0)) }.joined(separator: "/")
        return RedisTarget.escaped(prefix) + closed + (isOpen ? "*" : "")
    }
}
