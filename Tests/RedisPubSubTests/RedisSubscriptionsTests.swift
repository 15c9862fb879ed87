import NIOCore
import TestSupport
import Testing

@testable import RedisPubSub

@Suite struct RedisSubscriptionsTests {
    private let a = RedisTarget.channel("a")
    private func at(_ seconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .seconds(seconds) }

    @Test func asksOnceAndGivesUpAfterTheDelay() {
        var subscriptions = RedisSubscriptions(delay: .seconds(5))
        #expect(subscriptions.want(a, isConnected: true) == true)
        #expect(subscriptions.want(a, isConnected: true) == false)
        #expect(subscriptions.confirmed(a, isActive: true) == true)
        #expect(subscriptions.confirmed(a, isActive: true) == false)
        subscriptions.giveUp(a, now: at(10))
        #expect(subscriptions.deadline == at(15))
        #expect(subscriptions.expired(now: at(14)) == [])
        #expect(subscriptions.expired(now: at(15)) == [a])
        #expect(subscriptions.expired(now: at(99)) == [])
        #expect(subscriptions.count == 1)
        #expect(subscriptions.confirmed(a, isActive: false) == true)
        #expect(subscriptions.count == 0)
        #expect(subscriptions.deadline == nil)
    }

    @Test func staysWhenItIsWantedAgainInTime() {
        var subscriptions = RedisSubscriptions(delay: .seconds(5))
        #expect(subscriptions.want(a, isConnected: true) == true)
        _ = subscriptions.confirmed(a, isActive: true)
        subscriptions.giveUp(a, now: at(10))
        #expect(subscriptions.want(a, isConnected: true) == false)
        #expect(subscriptions.expired(now: at(20)) == [])
        // Given up, wanted and given up again: the last time counts.
        subscriptions.giveUp(a, now: at(20))
        #expect(subscriptions.want(a, isConnected: true) == false)
        subscriptions.giveUp(a, now: at(23))
        #expect(subscriptions.expired(now: at(25)) == [])
        #expect(subscriptions.deadline == at(28))
        #expect(subscriptions.expired(now: at(28)) == [a])
    }

    @Test func isAskedForAgainWhileTheEndIsOnItsWay() {
        var subscriptions = RedisSubscriptions(delay: .seconds(5))
        _ = subscriptions.want(a, isConnected: true)
        _ = subscriptions.confirmed(a, isActive: true)
        subscriptions.giveUp(a, now: at(0))
        #expect(subscriptions.expired(now: at(5)) == [a])
        #expect(subscriptions.want(a, isConnected: true) == true)
        #expect(subscriptions.confirmed(a, isActive: false) == true)
        #expect(subscriptions.confirmed(a, isActive: true) == true)
        #expect(subscriptions.count == 1)
    }

    @Test func isAskedForAgainAfterTheConnectionIsLost() {
        var subscriptions = RedisSubscriptions(delay: .seconds(5))
        let (b, c) = (RedisTarget.pattern("b*"), RedisTarget.channel("c"))
        for target in [a, b, c] { _ = subscriptions.want(target, isConnected: true) }
        _ = subscriptions.confirmed(a, isActive: true)
        _ = subscriptions.confirmed(b, isActive: true)
        #expect(Set(subscriptions.lost()) == [a, b])
        #expect(subscriptions.want(.channel("d"), isConnected: false) == false)
        subscriptions.giveUp(b, now: at(0))
        // Nothing is told of what is given up while there is no connection.
        #expect(subscriptions.expired(now: at(5)) == [])
        #expect(Set(subscriptions.resubscribe()) == [a, c, .channel("d")])
    }

    /// A property: whatever is wanted and given up, nothing stays that nobody wants, and the commands are those that Redis needs.
    @Test func followsWhateverIsWanted() {
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededGenerator(seed: seed)
        var subscriptions = RedisSubscriptions(delay: .seconds(5))
        var (wanted, redis, isConnected): (Set<RedisTarget>, Set<RedisTarget>, Bool) = ([], [], true)
        var wire: [(RedisTarget, Bool)] = []
        var now = at(0)
        for _ in 0..<5000 {
            let target = RedisTarget.channel(String(Int.random(in: 0..<5, using: &random)))
            switch Int.random(in: 0..<8, using: &random) {
            case 0, 1:
                wanted.insert(target)
                if subscriptions.want(target, isConnected: isConnected) { wire.append((target, true)) }
            case 2, 3:
                wanted.remove(target)
                subscriptions.giveUp(target, now: now)
            case 4 where isConnected && Bool.random(using: &random):
                _ = subscriptions.lost()
                (isConnected, wire, redis) = (false, [], [])
            case 5 where !isConnected:
                isConnected = true
                wire = subscriptions.resubscribe().map { ($0, true) }
            case 6 where !wire.isEmpty:
                let (target, isActive) = wire.removeFirst()
                if isActive { redis.insert(target) } else { redis.remove(target) }
                _ = subscriptions.confirmed(target, isActive: isActive)
            default:
                now = now + .seconds(Int64.random(in: 0...3, using: &random))
                wire += subscriptions.expired(now: now).map { ($0, false) }
            }
        }
        if !isConnected { wire = subscriptions.resubscribe().map { ($0, true) } }
        for round in 1...3 {
            wire += subscriptions.expired(now: now + .seconds(Int64(round) * 20)).map { ($0, false) }
            for (target, isActive) in wire {
                if isActive { redis.insert(target) } else { redis.remove(target) }
                _ = subscriptions.confirmed(target, isActive: isActive)
            }
            wire = []
        }
        #expect(redis == wanted, "seed \(seed)")
        #expect(subscriptions.count == wanted.count, "seed \(seed)")
        #expect(subscriptions.deadline == nil, "seed \(seed)")
    }
}
