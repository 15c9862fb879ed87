// One connection to Redis, over all its lives: a pure machine. It does nothing itself; time and randomness are passed in, and what is to be
// done is taken from it (`takeOutput`, `takeActions`).
//
//   idle ── start ──► connecting ── connected ──► greeting ── the greeting is answered ──► ready
//   connecting, greeting, ready ── lost, a deadline passes, what came is no answer ──► waiting ── time ──► connecting
//   any ── close ──► closed
//
// Every command has a place in `pending` until its answer has come, in order; silence while there is one is what tells that Redis does not answer.
// A command whose answer has not come when the connection is lost has failed: whether Redis has seen it is not known, and it is not sent again.

import DequeModule
import NIOCore

struct RedisMachine {
    /// What a connection is for: one that has subscriptions can do nothing else in RESP2, and one that waits for something holds up all that
    /// comes after.
    enum Role: String, Sendable { case commands, subscriptions, reads }

    enum State: Sendable, Hashable {
        case idle, connecting, greeting, ready
        case waiting(until: NIODeadline)
        case closed
    }

    /// What the machine's driver has to do.
    enum Action: Sendable, Hashable {
        case connect
        /// Cuts the connection that there is.
        case cut
        /// The connection can be used.
        case becameReady(version: Int)
        /// The connection is lost, or could not be made.
        case becameLost(String)
        case answered(Int, Result<RESPValue, RedisError>)
        case subscribed(RedisTarget)
        case unsubscribed(RedisTarget)
        case message(RedisTarget, channel: String, ByteBuffer)
        /// Redis has refused a command that nobody waits for.
        case refused(String)
    }

    enum Expected {
        case hello, greeting, role, ping, publish(size: Int), request(Int)
        case subscribe(RedisTarget), unsubscribe(RedisTarget)
    }

    let role: Role
    let settings: RedisConfiguration
    var state = State.idle
    var pending: Deque<(what: Expected, at: NIODeadline)> = []
    var subscriptions: RedisSubscriptions
    private var backoff: RedisBackoff
    /// When the connection has to be ready.
    var greetingDeadline: NIODeadline?
    var readySince: NIODeadline?
    var lastHeard = NIODeadline.uptimeNanoseconds(0)
    var version = 3
    private var output = ByteBuffer()
    var actions: [Action] = []
    var kept: Deque<RedisCommand> = []
    var keptBytes = 0
    /// The bytes of publications that Redis has not answered.
    var unansweredBytes = 0
    /// Publications that Redis did not get, or may not have got.
    var droppedPublications = 0

    init(_ role: Role, _ settings: RedisConfiguration) {
        self.role = role
        self.settings = settings
        subscriptions = RedisSubscriptions(delay: TimeAmount(settings.unsubscribeDelay))
        backoff = RedisBackoff(initial: TimeAmount(settings.reconnectInitial), maximum: TimeAmount(settings.reconnectMaximum))
    }

    // MARK: What is to be done

    /// The bytes to write; nil for none.
    mutating func takeOutput() -> ByteBuffer? {
        guard output.readableBytes > 0 else { return nil }
        defer { output = ByteBuffer() }
        return output
    }

    /// What else is to be done, in order.
    mutating func takeActions() -> [Action] {
        guard !actions.isEmpty else { return [] }
        defer { actions = [] }
        return actions
    }

    /// When `tick` has to be called at the latest.
    var deadline: NIODeadline? {
        let own: NIODeadline? =
            switch state {
            case .idle, .closed: nil
            case .connecting, .greeting: greetingDeadline
            case .waiting(let until): until
            case .ready: replyDeadline ?? lastHeard + TimeAmount(settings.pingInterval)
            }
        guard let leaving = subscriptions.deadline, state != .closed else { return own }
        return own.map { min($0, leaving) } ?? leaving
    }

    /// When Redis has been silent for too long while something waits for it; one that is slow, and answers, is there.
    private var replyDeadline: NIODeadline? { pending.first.map { max($0.at, lastHeard) + TimeAmount(settings.replyTimeout) } }

    // MARK: The connection

    mutating func start(now: NIODeadline) {
        guard state == .idle else { return }
        connect(now)
    }

    private mutating func connect(_ now: NIODeadline) {
        state = .connecting
        greetingDeadline = now + TimeAmount(settings.connectTimeout)
        actions.append(.connect)
    }

    /// There is a connection, not greeted yet.
    mutating func connected(now: NIODeadline) {
        guard state == .connecting else { return }
        state = .greeting
        lastHeard = now
        version = 3
        var hello = ["HELLO", "3"]
        if let password = settings.url.password { hello += ["AUTH", settings.url.user ?? "default", password] }
        send(RedisCommand(hello + ["SETNAME", settings.clientName]), .hello, now)
    }

    /// The connection is lost, or could not be made.
    mutating func lost(_ reason: String, now: NIODeadline, random: Double) {
        switch state {
        case .idle, .closed, .waiting: return
        case .connecting, .greeting, .ready: break
        }
        failPending(.connectionLost(reason))
        if let since = readySince, now - since >= TimeAmount(settings.reconnectMaximum) { backoff.reset() }
        readySince = nil
        output = ByteBuffer()
        for target in subscriptions.lost() { actions.append(.unsubscribed(target)) }
        state = .waiting(until: now + backoff.next(random: random))
        actions.append(.becameLost(reason))
    }

    mutating func cut(_ reason: String, _ now: NIODeadline, _ random: Double) {
        actions.append(.cut)
        lost(reason, now: now, random: random)
    }

    /// Ends for good.
    mutating func close() {
        guard state != .closed else { return }
        state = .closed
        failPending(.closed)
        droppedPublications += kept.count
        kept = []
        keptBytes = 0
        for target in subscriptions.lost() { actions.append(.unsubscribed(target)) }
        actions.append(.cut)
    }

    private mutating func failPending(_ error: RedisError) {
        for (what, _) in pending {
            switch what {
            case .request(let id): actions.append(.answered(id, .failure(error)))
            case .publish: droppedPublications += 1
            default: break
            }
        }
        pending = []
        unansweredBytes = 0
    }

    /// Does what time asks for.
    mutating func tick(now: NIODeadline, random: Double) {
        let expired = subscriptions.expired(now: now)
        if state == .ready { for target in expired { send(target.command(subscribing: false), .unsubscribe(target), now) } }
        switch state {
        case .idle, .closed: return
        case .waiting(let until): if until <= now { connect(now) }
        case .connecting, .greeting:
            if let deadline = greetingDeadline, deadline <= now {
                cut("it did not answer within \(settings.connectTimeout) (limit connectTimeout)", now, random)
            }
        case .ready:
            if let replyDeadline {
                guard replyDeadline <= now else { return }
                cut("it did not answer a command within \(settings.replyTimeout) (limit replyTimeout)", now, random)
            } else if lastHeard + TimeAmount(settings.pingInterval) <= now {
                send(RedisCommand("PING"), .ping, now)
            }
        }
    }

    // MARK: Commands

    mutating func send(_ command: RedisCommand, _ expected: Expected, _ now: NIODeadline) {
        command.write(to: &output)
        pending.append((expected, now))
    }

    /// What has become of a publication.
    enum Publishing: Sendable, Hashable { case sent, kept, dropped }

    /// Says something to a channel.
    mutating func publish(_ payload: ByteBuffer, to channel: String, isSharded: Bool = false, now: NIODeadline) -> Publishing {
        let command = RedisCommand.publish(payload, to: channel, isSharded: isSharded)
        guard state == .ready else { return keep(command) }
        guard unansweredBytes + command.size <= settings.maxPendingBytes else {
            droppedPublications += 1
            return .dropped
        }
        sendPublication(command, now)
        return .sent
    }

    mutating func sendPublication(_ command: RedisCommand, _ now: NIODeadline) {
        unansweredBytes += command.size
        send(command, .publish(size: command.size), now)
    }

    /// Keeps a publication for the time when Redis is there again; the oldest ones make room.
    private mutating func keep(_ command: RedisCommand) -> Publishing {
        guard case .keep(let most) = settings.whileUnreachable, state != .closed, command.size <= most else {
            droppedPublications += 1
            return .dropped
        }
        kept.append(command)
        keptBytes += command.size
        while keptBytes > most, let oldest = kept.popFirst() {
            keptBytes -= oldest.size
            droppedPublications += 1
        }
        return .kept
    }

    /// Sends a command, and tells of its answer under this number.
    mutating func request(_ id: Int, _ command: RedisCommand, now: NIODeadline) {
        guard state == .ready else { return actions.append(.answered(id, .failure(state == .closed ? .closed : .notConnected))) }
        send(command, .request(id), now)
    }

    mutating func subscribe(to target: RedisTarget, now: NIODeadline) {
        guard state != .closed else { return }
        if subscriptions.want(target, isConnected: state == .ready) { send(target.command(subscribing: true), .subscribe(target), now) }
    }

    mutating func unsubscribe(from target: RedisTarget, now: NIODeadline) { subscriptions.giveUp(target, now: now) }
}
