// What Redis says, and what it means for the machine of a connection; see RedisMachine.swift.

import DequeModule
import NIOCore

extension RedisMachine {
    /// Redis has said something.
    mutating func received(_ value: RESPValue, now: NIODeadline, random: @autoclosure () -> Double) {
        guard state == .greeting || state == .ready else { return }
        lastHeard = now
        do throws(RedisError) {
            try take(value, now)
        } catch {
            cut(error.description, now, random())
        }
    }

    private mutating func take(_ value: RESPValue, _ now: NIODeadline) throws(RedisError) {
        switch value {
        case .push(let values): return try push(values)
        case .array(let values) where role == .subscriptions && version == 2 && state == .ready:
            // RESP2 has no pushes: what comes on such a connection are messages, confirmations and the answer to PING.
            if values.first?.text != "pong" { return try push(values) }
        default: break
        }
        guard let expected = pending.popFirst() else { throw .unexpected("an answer to nothing") }
        try answer(expected.what, value, now)
    }

    /// What Redis says while it can not serve, and will again: the connection is made anew, later, and what waits is not refused.
    private static let unavailable = ["LOADING", "MASTERDOWN", "READONLY"]

    private mutating func answer(_ expected: Expected, _ value: RESPValue, _ now: NIODeadline) throws(RedisError) {
        if case .error(let text) = value, Self.unavailable.contains(where: text.hasPrefix) {
            // It fails with all that are behind it.
            pending.prepend((expected, now))
            throw .refused(text)
        }
        switch expected {
        case .hello: try greeted(value, now)
        case .greeting:
            if case .error(let text) = value { throw .refused(text) }
            if pending.isEmpty { becomeReady(now) }
        case .role:
            // What a Sentinel says may be late: a replica takes no PUBLISH that all would hear.
            guard case .array(let values) = value, values.first?.text == "master" else {
                throw .refused("where the Sentinel sends to, there is no master: it may not have been told of a failover yet")
            }
            if pending.isEmpty { becomeReady(now) }
        case .ping: if case .error(let text) = value { throw .refused(text) }
        case .publish(let publication):
            unansweredBytes -= publication.size
            if case .error(let text) = value {
                droppedPublications += 1
                actions.append(.refused(text))
            }
            ended(publication)
        case .request(let id, let number):
            ended(number)
            if case .error(let text) = value {
                actions.append(.answered(id, .failure(.refused(text))))
            } else {
                actions.append(.answered(id, .success(value)))
            }
        case .subscribe, .unsubscribe:
            guard case .error(let text) = value else { throw .unexpected("no confirmation of a subscription") }
            actions.append(.refused(text))
        }
    }

    // MARK: The greeting

    private mutating func greeted(_ value: RESPValue, _ now: NIODeadline) throws(RedisError) {
        if case .error(let text) = value {
            // A wrong password is wrong in RESP2 as well.
            if text.hasPrefix("WRONGPASS") || text.hasPrefix("LOADING") { throw .refused(text) }
            version = 2
            if let password = settings.url.password {
                send(RedisCommand(["AUTH"] + (settings.url.user.map { [$0] } ?? []) + [password]), .greeting, now)
            }
        }
        if settings.url.database != 0 { send(RedisCommand("SELECT", String(settings.url.database)), .greeting, now) }
        if settings.url.sentinel != nil { send(RedisCommand("ROLE"), .role, now) }
        // Without a password, RESP2 has nothing yet that tells whether commands are taken.
        if version == 2 { send(RedisCommand("PING"), .greeting, now) }
        if pending.isEmpty { becomeReady(now) }
    }

    private mutating func becomeReady(_ now: NIODeadline) {
        state = .ready
        readySince = now
        greetingDeadline = nil
        for target in subscriptions.resubscribe() { send(target.command(subscribing: true), .subscribe(target), now) }
        sendKept(now)
        actions.append(.becameReady(version: version))
    }

    // MARK: Pushes

    private mutating func push(_ values: [RESPValue]) throws(RedisError) {
        switch values.first?.text {
        case "message": message(values, at: 1) { .channel($0) }
        case "pmessage": message(values, at: 2) { _ in values[1].text.map { .pattern($0) } }
        case "smessage": message(values, at: 1) { .shardChannel($0) }
        case "subscribe": try confirm(values, isActive: true) { .channel($0) }
        case "psubscribe": try confirm(values, isActive: true) { .pattern($0) }
        case "ssubscribe": try confirm(values, isActive: true) { .shardChannel($0) }
        case "unsubscribe": try confirm(values, isActive: false) { .channel($0) }
        case "punsubscribe": try confirm(values, isActive: false) { .pattern($0) }
        case "sunsubscribe": try confirm(values, isActive: false) { .shardChannel($0) }
        // What later versions may say unasked.
        default: break
        }
    }

    /// A message; one on a channel whose name is not UTF-8 can not be for this node.
    private mutating func message(_ values: [RESPValue], at place: Int, _ target: (String) -> RedisTarget?) {
        guard values.count == place + 2, let channel = values[place].text, case .bulk(let payload) = values[place + 1],
            let target = target(channel)
        else { return }
        actions.append(.message(target, channel: channel, payload))
    }

    private mutating func confirm(_ values: [RESPValue], isActive: Bool, _ target: (String) -> RedisTarget) throws(RedisError) {
        guard values.count == 3, let name = values[1].text else { throw .unexpected("a confirmation without a name") }
        let target = target(name)
        guard let expected = pending.popFirst() else { throw .unexpected("a confirmation of nothing") }
        switch expected.what {
        case .subscribe(target) where isActive, .unsubscribe(target) where !isActive: break
        default: throw .unexpected("a confirmation of something else")
        }
        if subscriptions.confirmed(target, isActive: isActive) { actions.append(isActive ? .subscribed(target) : .unsubscribed(target)) }
    }
}
