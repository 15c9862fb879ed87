// Performs what a `RedisMachine` asks for, on one event loop.
//
// Other threads put what they want into `inbox`, with one wake-up a batch; its bytes are bounded, so that a loop that is held up costs no more
// memory than Redis may.

import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

#if canImport(Darwin)
import Darwin
#elseif canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// One connection to Redis, made again whenever it is lost.
final class RedisConnection: Sendable {
    enum Operation: Sendable {
        case start
        case publish(ByteBuffer, channel: String, isSharded: Bool = false)
        /// A publication that is kept while there is no connection; see `publishReliably`.
        case publishReliably(RedisCommand)
        case request(RedisCommand, @Sendable (Result<RESPValue, RedisError>) -> Void)
        case subscribe(RedisTarget)
        case unsubscribe(RedisTarget)
        /// Tells when all that was asked for before has ended, or after a while; then how much has not.
        case flush(Duration, @Sendable (Int) -> Void)
        case close(EventLoopPromise<Void>)

        var size: Int {
            switch self {
            case .publish(let payload, let channel, _): payload.readableBytes + channel.utf8.count + 64
            case .request(let command, _), .publishReliably(let command): command.size
            default: 0
            }
        }
    }

    /// What its owner is told, on the event loop.
    enum Event: Sendable {
        case ready(version: Int)
        case lost(String)
        case subscribed(RedisTarget)
        case unsubscribed(RedisTarget)
        case message(RedisTarget, channel: String, ByteBuffer)
        case refused(String)
        case published(Int)
        case dropped(Int)
    }

    private struct Inbox {
        var operations: [Operation] = []
        var bytes = 0
        var isScheduled = false
        /// The bytes of reliable publications that have not ended.
        var reliableBytes = 0
        /// Whether the program closes it: nothing more is published.
        var isEnding = false
    }

    /// What only the event loop touches. A class: a value would be copied with each change, and all that waits for Redis with it.
    private final class Confined {
        var machine: RedisMachine
        var parser = RESPParser()
        var channel: (any Channel)?
        /// Which connection this is: what comes of an earlier one is late.
        var attempt = 0
        var timer: Scheduled<Void>?
        var timerAt: NIODeadline?
        var requests: [Int: @Sendable (Result<RESPValue, RedisError>) -> Void] = [:]
        var nextRequest = 0
        var flushes: [Int: (timer: Scheduled<Void>?, ended: @Sendable (Int) -> Void)] = [:]
        var endedFlushes: [Int] = []
        var nextFlush = 0
        var reportedDrops = 0
        var reportedReliableBytes = 0
        var isPerforming = false

        init(_ machine: RedisMachine) { self.machine = machine }
    }

    let eventLoop: any EventLoop
    private let settings: RedisConfiguration
    private let confined: NIOLoopBoundBox<Confined>
    private let inbox = NIOLockedValueBox(Inbox())
    private let tell: @Sendable (Event) -> Void

    /// Makes a connection, which begins with `.start`.
    init(_ role: RedisMachine.Role, _ settings: RedisConfiguration, on eventLoop: any EventLoop, tell: @escaping @Sendable (Event) -> Void)
    {
        self.eventLoop = eventLoop
        self.settings = settings
        self.tell = tell
        confined = .makeBoxSendingValue(Confined(RedisMachine(role, settings)), eventLoop: eventLoop)
    }

    // MARK: From any thread

    /// Has something done; false if that is a publication for which there is no room.
    @discardableResult
    func perform(_ operation: Operation) -> Bool {
        let (isTaken, wakes) = inbox.withLockedValue { inbox in
            if case .publish = operation, inbox.isEnding || inbox.bytes + operation.size > settings.maxPendingBytes {
                return (false, false)
            }
            return (true, Self.put(operation, into: &inbox))
        }
        if wakes { eventLoop.execute { self.drain() } }
        return isTaken
    }

    /// - Returns: whether the loop has to be woken.
    private static func put(_ operation: Operation, into inbox: inout Inbox) -> Bool {
        inbox.operations.append(operation)
        inbox.bytes += operation.size
        defer { inbox.isScheduled = true }
        return !inbox.isScheduled
    }

    /// Publishes what is kept until there is a connection.
    ///
    /// - Throws: `RedisError` if it can not be kept.
    func publishReliably(_ command: RedisCommand) throws(RedisError) {
        let (error, wakes) = inbox.withLockedValue { inbox -> (RedisError?, Bool) in
            guard !inbox.isEnding else { return (.closed, false) }
            guard inbox.reliableBytes + command.size <= settings.maxPendingBytes else {
                return (.tooMuchWaits(settings.maxPendingBytes), false)
            }
            inbox.reliableBytes += command.size
            return (nil, Self.put(.publishReliably(command), into: &inbox))
        }
        if let error { throw error }
        if wakes { eventLoop.execute { self.drain() } }
    }

    /// Takes no more publications.
    func end() { inbox.withLockedValue { $0.isEnding = true } }

    /// Waits until all that was asked for before has ended.
    ///
    /// - Returns: how many publications and requests had not ended after that time.
    func flush(within time: Duration) async -> Int {
        await withCheckedContinuation { continuation in perform(.flush(time) { continuation.resume(returning: $0) }) }
    }

    /// Asks Redis.
    func request(_ command: RedisCommand) async throws(RedisError) -> RESPValue {
        let result = await withCheckedContinuation { continuation in
            perform(.request(command) { continuation.resume(returning: $0) })
        }
        return try result.get()
    }

    // MARK: On the event loop

    private func drain() {
        let operations = inbox.withLockedValue { inbox in
            defer {
                inbox.operations = []
                inbox.bytes = 0
                inbox.isScheduled = false
            }
            return inbox.operations
        }
        let now = NIODeadline.now()
        var published = 0
        for operation in operations { take(operation, now, &published) }
        if published > 0 { tell(.published(published)) }
        performActions()
    }

    private func take(_ operation: Operation, _ now: NIODeadline, _ published: inout Int) {
        switch operation {
        case .start: confined.value.machine.start(now: now)
        case .publish(let payload, let channel, let isSharded):
            if confined.value.machine.publish(payload, to: channel, isSharded: isSharded, now: now) != .dropped { published += 1 }
        case .publishReliably(let command):
            if confined.value.machine.publishReliably(command, now: now) != .dropped { published += 1 }
        case .request(let command, let answer):
            confined.value.nextRequest += 1
            confined.value.requests[confined.value.nextRequest] = answer
            confined.value.machine.request(confined.value.nextRequest, command, now: now)
        case .subscribe(let target): confined.value.machine.subscribe(to: target, now: now)
        case .unsubscribe(let target): confined.value.machine.unsubscribe(from: target, now: now)
        case .flush(let time, let ended): flush(time, ended)
        case .close(let promise): close(promise)
        }
    }

    private func flush(_ time: Duration, _ ended: @escaping @Sendable (Int) -> Void) {
        confined.value.nextFlush += 1
        let id = confined.value.nextFlush
        // Holds the connection: what is waited for is sent although its owner is gone.
        let timer = eventLoop.scheduleTask(in: TimeAmount(time)) { self.endFlush(id) }
        confined.value.flushes[id] = (timer, ended)
        confined.value.machine.flush(id)
    }

    private func endFlush(_ id: Int) {
        let left = confined.value.machine.endFlush(id)
        guard let (timer, ended) = confined.value.flushes.removeValue(forKey: id) else { return }
        timer?.cancel()
        ended(left)
    }

    private func close(_ promise: EventLoopPromise<Void>) {
        let channel = confined.value.channel
        confined.value.machine.close()
        performActions()
        guard let channel else { return promise.succeed() }
        channel.closeFuture.cascade(to: promise)
    }

    /// Does what the machine asks for, until it asks for nothing more.
    private func performActions() {
        // What is told may come back with more, which the loop below takes up.
        guard !confined.value.isPerforming else { return }
        confined.value.isPerforming = true
        while case let actions = confined.value.machine.takeActions(), !actions.isEmpty { for action in actions { perform(action) } }
        confined.value.isPerforming = false
        if let output = confined.value.machine.takeOutput() { confined.value.channel?.writeAndFlush(output, promise: nil) }
        reportDrops()
        schedule()
        let flushes = confined.value.endedFlushes
        confined.value.endedFlushes = []
        for id in flushes { endFlush(id) }
    }

    private func perform(_ action: RedisMachine.Action) {
        switch action {
        case .connect: connect()
        case .cut: cut()
        case .becameReady(let version): tell(.ready(version: version))
        case .becameLost(let reason):
            confined.value.channel = nil
            tell(.lost(reason))
        case .answered(let id, let result): confined.value.requests.removeValue(forKey: id)?(result)
        case .subscribed(let target): tell(.subscribed(target))
        case .unsubscribed(let target): tell(.unsubscribed(target))
        case .message(let target, let channel, let payload): tell(.message(target, channel: channel, payload))
        case .refused(let text): tell(.refused(text))
        case .flushed(let id): confined.value.endedFlushes.append(id)
        }
    }

    private func cut() {
        // Later than what is in the way: closing calls back at once.
        confined.value.attempt += 1
        let channel = confined.value.channel.take()
        if confined.value.machine.state != .closed, let socket = channel as? any SocketOptionProvider {
            // What Redis has not acknowledged counts as lost: the kernel must not deliver it when the network is back.
            _ = socket.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        }
        eventLoop.execute { channel?.close(promise: nil) }
    }

    private func reportDrops() {
        let ended = confined.value.machine.endedReliableBytes - confined.value.reportedReliableBytes
        if ended > 0 {
            confined.value.reportedReliableBytes += ended
            inbox.withLockedValue { $0.reliableBytes -= ended }
        }
        let new = confined.value.machine.droppedPublications - confined.value.reportedDrops
        guard new > 0 else { return }
        confined.value.reportedDrops += new
        tell(.dropped(new))
    }

    // MARK: Time

    private func schedule() {
        let due = confined.value.machine.deadline
        // A timer that fires too early is set again; one that fires too late is none.
        if let at = confined.value.timerAt, let due, at <= due { return }
        confined.value.timer?.cancel()
        confined.value.timerAt = due
        confined.value.timer = due.map { due in eventLoop.scheduleTask(deadline: due) { [weak self] in self?.timerFired() } }
    }

    private func timerFired() {
        confined.value.timerAt = nil
        confined.value.machine.tick(now: .now(), random: .random(in: 0...1))
        performActions()
    }

    // MARK: The channel

    private func connect() {
        confined.value.attempt += 1
        let attempt = confined.value.attempt
        confined.value.parser = RESPParser(limits: RESPLimits(maxReplySize: settings.maxMessageBytes))
        guard let sentinel = settings.url.sentinel else { return connect(settings.url.host, settings.url.port, attempt) }
        // Asked each time: after a failover it is another one.
        SentinelQuery(sentinel: sentinel, settings: settings, eventLoop: eventLoop).master().assumeIsolated().whenComplete { result in
            switch result {
            case .success(let master): if self.confined.value.attempt == attempt { self.connect(master.host, master.port, attempt) }
            case .failure(let error): self.lost("\(error)", attempt)
            }
        }
    }

    private func connect(_ host: String, _ port: Int, _ attempt: Int) {
        let settings = settings
        ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(settings.connectTimeout))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try settings.secure(channel, host: host)
                    try channel.pipeline.syncOperations.addHandler(RedisChannelHandler(self, attempt))
                }
            }
            .connect(host: host, port: port)
            .hop(to: eventLoop)
            .assumeIsolated()
            .whenComplete { result in
                switch result {
                case .success(let channel): self.connected(channel, attempt)
                case .failure(let error): self.lost("\(error)", attempt)
                }
            }
    }

    private func connected(_ channel: any Channel, _ attempt: Int) {
        guard confined.value.attempt == attempt else { return channel.close(promise: nil) }
        confined.value.channel = channel
        confined.value.machine.connected(now: .now())
        performActions()
        // It may have ended before anybody heard of it.
        if !channel.isActive { lost("the connection has ended", attempt) }
    }

    func received(_ bytes: ByteBuffer, _ attempt: Int) {
        guard confined.value.attempt == attempt else { return }
        confined.value.parser.append(bytes)
        let now = NIODeadline.now()
        do throws(RESPError) {
            while confined.value.attempt == attempt, let value = try confined.value.parser.next() {
                confined.value.machine.received(value, now: now, random: .random(in: 0...1))
            }
        } catch {
            let channel = confined.value.channel
            lost("\(error)", attempt)
            channel?.close(promise: nil)
            return
        }
        performActions()
    }

    func lost(_ reason: String, _ attempt: Int) {
        guard confined.value.attempt == attempt else { return }
        confined.value.attempt += 1
        confined.value.machine.lost(reason, now: .now(), random: .random(in: 0...1))
        performActions()
    }
}

/// Hands on what comes from one connection.
private final class RedisChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let connection: RedisConnection
    private let attempt: Int
    private var reason = "Redis has closed the connection"

    init(_ connection: RedisConnection, _ attempt: Int) {
        self.connection = connection
        self.attempt = attempt
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { connection.received(unwrapInboundIn(data), attempt) }

    func channelInactive(context: ChannelHandlerContext) { connection.lost(reason, attempt) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        reason = "\(error)"
        context.close(promise: nil)
    }
}
