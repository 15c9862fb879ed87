// One connection to Redis, over all its lives: a pure machine. It does nothing itself; time and randomness are passed in, and what is to be
// done is taken from it (`takeOutput`, `takeActions`).
//
//   idle ── start ──► connecting ── connected ──► greeting ── the greeting is answered ──► ready
//   connecting, greeting, ready ── lost, a deadline passes, what came is no answer ──► waiting ── time ──► connecting
//   any ── close ──► closed
//
// Every command has a place in `pending` until its answer has come, in order; silence while there is one is what tells that Redis does not answer.
// A command whose answer has not come when the connection is lost has failed: whether Redis has seen it is not known, and it is not sent again.
//
// Publications and requests have numbers. `outstanding` counts those whose end is not known yet; a flush ends when all that came before it have.

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
        /// All that came before a flush has ended, answered or failed.
        case flushed(Int)
    }

    /// A publication whose end is not known yet.
    struct Publication {
        let number: Int
        let size: Int
        /// Whether it is kept while there is no connection, whatever `whileUnreachable` says.
        let isReliable: Bool
    }

    enum Expected {
        case hello, greeting, role, ping, publish(Publication), request(Int, number: Int)
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
    var kept: Deque<(command: RedisCommand, publication: Publication)> = []
    /// The bytes of those in `kept` that are not reliable.
    var keptBytes = 0
    /// Whether no attempt to connect has ended yet.
    private var isFirstAttempt = true
    private var lastNumber = 0
    /// The publications and requests that have not ended.
    private(set) var outstanding = 0
    private var flushes: [(id: Int, last: Int, left: Int)] = []
    /// The bytes of all reliable publications that have ended.
    private(set) var endedReliableBytes = 0
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
        isFirstAttempt = false
        failPending(.connectionLost(reason))
        if case .drop = settings.whileUnreachable { dropKept { !$0.isReliable } }
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
        dropKept { _ in true }
        for target in subscriptions.lost() { actions.append(.unsubscribed(target)) }
        actions.append(.cut)
    }

    private mutating func failPending(_ error: RedisError) {
        for (what, _) in pending {
            switch what {
            case .request(let id, let number):
                actions.append(.answered(id, .failure(error)))
                ended(number)
            case .publish(let publication): dropped(publication)
            default: break
            }
        }
        pending = []
        unansweredBytes = 0
    }

    private mutating func dropKept(where isDropped: (Publication) -> Bool) {
        let left = kept.filter { !isDropped($0.publication) }
        for (_, publication) in kept where isDropped(publication) { dropped(publication) }
        kept = Deque(left)
        keptBytes = kept.reduce(0) { $0 + ($1.publication.isReliable ? 0 : $1.publication.size) }
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

    private mutating func nextNumber() -> Int {
        lastNumber += 1
        outstanding += 1
        return lastNumber
    }

    /// A publication or a request has ended, in whatever way.
    mutating func ended(_ number: Int) {
        outstanding -= 1
        guard !flushes.isEmpty else { return }
        for index in flushes.indices where number <= flushes[index].last { flushes[index].left -= 1 }
        for flush in flushes where flush.left == 0 { actions.append(.flushed(flush.id)) }
        flushes.removeAll { $0.left == 0 }
    }

    /// Redis has answered a publication, or it is dropped.
    mutating func ended(_ publication: Publication) {
        if publication.isReliable { endedReliableBytes += publication.size }
        ended(publication.number)
    }

    private mutating func dropped(_ publication: Publication) {
        droppedPublications += 1
        ended(publication)
    }

    /// What has become of a publication.
    enum Publishing: Sendable, Hashable { case sent, kept, dropped }

    /// Publishes to a channel.
    mutating func publish(_ payload: ByteBuffer, to channel: String, isSharded: Bool = false, now: NIODeadline) -> Publishing {
        let command = RedisCommand.publish(payload, to: channel, isSharded: isSharded)
        let size = command.size
        switch state {
        case .ready:
            guard unansweredBytes + size <= settings.maxPendingBytes else {
                droppedPublications += 1
                return .dropped
            }
            sendPublication(command, Publication(number: nextNumber(), size: size, isReliable: false), now)
            return .sent
        case .idle, .connecting, .greeting, .waiting, .closed:
            guard let limit = keepLimit, size <= limit else {
                droppedPublications += 1
                return .dropped
            }
            kept.append((command, Publication(number: nextNumber(), size: size, isReliable: false)))
            keptBytes += size
            makeRoom(limit)
            return .kept
        }
    }

    /// Publishes what is kept while there is no connection. Its sender has made sure that there is room for it.
    mutating func publishReliably(_ command: RedisCommand, now: NIODeadline) -> Publishing {
        let publication = Publication(number: nextNumber(), size: command.size, isReliable: true)
        switch state {
        case .ready:
            sendPublication(command, publication, now)
            return .sent
        case .idle, .connecting, .greeting, .waiting:
            kept.append((command, publication))
            return .kept
        case .closed:
            dropped(publication)
            return .dropped
        }
    }

    mutating func sendPublication(_ command: RedisCommand, _ publication: Publication, _ now: NIODeadline) {
        unansweredBytes += publication.size
        send(command, .publish(publication), now)
    }

    /// The most bytes of publications that are kept now; nil for none. Until the first attempt to connect has ended, nobody knows that Redis can not be
    /// reached.
    private var keepLimit: Int? {
        switch (settings.whileUnreachable, state) {
        case (_, .closed): nil
        case (.keep(let most), _): most
        case (.drop, .connecting), (.drop, .greeting): isFirstAttempt ? settings.maxPendingBytes : nil
        case (.drop, _): nil
        }
    }

    /// Drops the oldest of those that are not reliable until the rest is within a limit.
    private mutating func makeRoom(_ limit: Int) {
        while keptBytes > limit, let index = kept.firstIndex(where: { !$0.publication.isReliable }) {
            let (_, oldest) = kept.remove(at: index)
            keptBytes -= oldest.size
            dropped(oldest)
        }
    }

    /// Sends what was kept: there is a connection.
    mutating func sendKept(_ now: NIODeadline) {
        isFirstAttempt = false
        while let (command, publication) = kept.popFirst() { sendPublication(command, publication, now) }
        keptBytes = 0
    }

    /// Sends a command, and tells of its answer under this number.
    mutating func request(_ id: Int, _ command: RedisCommand, now: NIODeadline) {
        guard state == .ready else { return actions.append(.answered(id, .failure(state == .closed ? .closed : .notConnected))) }
        send(command, .request(id, number: nextNumber()), now)
    }

    /// Tells, by `flushed`, when all publications and requests up to now have ended.
    mutating func flush(_ id: Int) {
        guard outstanding > 0 else { return actions.append(.flushed(id)) }
        flushes.append((id, lastNumber, outstanding))
    }

    /// Waits no longer.
    ///
    /// - Returns: how many publications and requests have not ended.
    mutating func endFlush(_ id: Int) -> Int {
        guard let index = flushes.firstIndex(where: { $0.id == id }) else { return 0 }
        return flushes.remove(at: index).left
    }

    mutating func subscribe(to target: RedisTarget, now: NIODeadline) {
        guard state != .closed else { return }
        if subscriptions.want(target, isConnected: state == .ready) { send(target.command(subscribing: true), .subscribe(target), now) }
    }

    mutating func unsubscribe(from target: RedisTarget, now: NIODeadline) { subscriptions.giveUp(target, now: now) }
}
