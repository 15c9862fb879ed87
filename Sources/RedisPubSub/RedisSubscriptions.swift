// What is subscribed to on one connection: a pure machine, time passed in.
//
//   unwanted ── want ──► asked (SUBSCRIBE) ── confirmed ──► active
//   active ── give up ──► leaving, for a while ── want ──► active
//                                          └── time is up ──► UNSUBSCRIBE ── confirmed ──► gone
//   any ── the connection is lost ──► asked again on the next one, if it is wanted or leaving; else gone
//
// Giving up waits, since who leaves a topic is often followed by the next who joins it.

import DequeModule
import NIOCore

struct RedisSubscriptions {
    private struct Entry {
        /// When it is given up, if nobody wants it.
        var givenUpAt: NIODeadline?
        /// Whether the last command of this connection about it was SUBSCRIBE.
        var isAsked = false
        /// Whether Redis has confirmed it, and nothing else since.
        var isActive = false
        /// Whether it stands in `leaving`.
        var isQueued = false
    }

    private let delay: TimeAmount
    private var entries: [RedisTarget: Entry] = [:]
    /// What is given up when its time has come; at most one place each.
    private var leaving: Deque<(target: RedisTarget, at: NIODeadline)> = []

    /// Makes one without subscriptions.
    init(delay: TimeAmount) { self.delay = delay }

    /// How many are wanted or not given up yet.
    var count: Int { entries.count }

    /// When the next one is to be given up.
    var deadline: NIODeadline? { leaving.first?.at }

    /// Somebody wants it.
    ///
    /// - Returns: whether to ask Redis for it, if there is a connection.
    mutating func want(_ target: RedisTarget, isConnected: Bool) -> Bool {
        var entry = entries[target] ?? Entry()
        entry.givenUpAt = nil
        let asks = isConnected && !entry.isAsked
        if asks { entry.isAsked = true }
        entries[target] = entry
        return asks
    }

    /// Nobody wants it any more.
    mutating func giveUp(_ target: RedisTarget, now: NIODeadline) {
        guard var entry = entries[target], entry.givenUpAt == nil else { return }
        entry.givenUpAt = now + delay
        if !entry.isQueued { leaving.append((target, now + delay)) }
        entry.isQueued = true
        entries[target] = entry
    }

    /// What is given up by now; Redis is to be told of what is returned.
    mutating func expired(now: NIODeadline) -> [RedisTarget] {
        var told: [RedisTarget] = []
        while let first = leaving.first, first.at <= now {
            leaving.removeFirst()
            guard var entry = entries[first.target] else { continue }
            entry.isQueued = false
            if let at = entry.givenUpAt, at > now {
                // Wanted again and given up again meanwhile.
                leaving.append((first.target, at))
                entry.isQueued = true
            } else if entry.givenUpAt != nil, entry.isAsked {
                told.append(first.target)
                entry.isAsked = false
            }
            entries[first.target] = entry
            forgetIfGone(first.target)
        }
        return told
    }

    /// Redis has confirmed a subscription, or its end.
    ///
    /// - Returns: whether that is news.
    mutating func confirmed(_ target: RedisTarget, isActive: Bool) -> Bool {
        guard var entry = entries[target] else { return false }
        let isNews = entry.isActive != isActive
        entry.isActive = isActive
        entries[target] = entry
        forgetIfGone(target)
        return isNews
    }

    private mutating func forgetIfGone(_ target: RedisTarget) {
        guard let entry = entries[target], entry.givenUpAt != nil, !entry.isQueued, !entry.isAsked, !entry.isActive else { return }
        entries[target] = nil
    }

    /// The connection is lost.
    ///
    /// - Returns: what was active.
    mutating func lost() -> [RedisTarget] {
        var active: [RedisTarget] = []
        for (target, entry) in entries {
            if entry.isActive { active.append(target) }
            entries[target]?.isActive = false
            entries[target]?.isAsked = false
            forgetIfGone(target)
        }
        return active
    }

    /// There is a connection again: all that is to be asked for.
    mutating func resubscribe() -> [RedisTarget] {
        for target in entries.keys { entries[target]?.isAsked = true }
        return Array(entries.keys)
    }
}
