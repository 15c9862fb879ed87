// A program's link to Redis: two connections, as one that is subscribed can do nothing else in RESP2, and as what one node hears must not hold
// up what it says; and a third one for who reads a stream, which waits.

import Logging
import NIOConcurrencyHelpers
package import NIOCore

/// Connects a program to Redis, for as many backplanes and adapters as it has.
///
/// It connects when it is first used and again whenever the connection is lost. Publishing never waits for that; ``waitUntilReady(within:)`` does.
/// Call ``close(within:)`` at the end: it waits until Redis has what was published before. A process that ends without it may lose that.
public final class RedisClient: Sendable {
    private let monitor: RedisMonitor
    private let logger: Logger
    private let commands: RedisConnection
    private let subscriptions: RedisConnection
    private let reads: RedisConnection
    private let receivers: RedisReceivers
    private let losses: NIOLockedValueBox<[@Sendable () -> Void]>
    private let isOpen = NIOLockedValueBox(false)
    private let isReading = NIOLockedValueBox(false)
    private let flushes = NIOLockedValueBox<[@Sendable (Duration) async -> Void]>([])
    private let flushTimeout: Duration
    package let maxWait: Duration

    /// Makes a client; it does not connect yet.
    public init(_ configuration: RedisConfiguration) {
        let (monitor, receivers, logger) = (RedisMonitor(configuration), RedisReceivers(), configuration.logger)
        let losses = NIOLockedValueBox<[@Sendable () -> Void]>([])
        (self.monitor, self.receivers, self.logger, self.losses) = (monitor, receivers, logger, losses)
        maxWait = configuration.replyTimeout / 2
        flushTimeout = configuration.flushTimeout
        let eventLoop = configuration.eventLoopGroup.next()
        func connection(_ role: RedisMachine.Role) -> RedisConnection {
            RedisConnection(role, configuration, on: eventLoop) { event in
                Self.take(event, role, monitor, receivers, logger)
                if role == .commands, case .lost = event { for body in losses.withLockedValue({ $0 }) { body() } }
            }
        }
        commands = connection(.commands)
        subscriptions = connection(.subscriptions)
        reads = connection(.reads)
    }

    /// Makes a client of an address: `redis://[[user]:password@]host[:port][/database]`, `rediss://` for TLS;
    /// `redis+sentinel://[[user]:password@]host[:port],…/master[/database]` by way of Sentinels.
    ///
    /// - Throws: `RedisURLError`.
    public convenience init(url: String) throws(RedisURLError) { self.init(RedisConfiguration(url: try RedisURL(url))) }

    deinit {
        let connections = [commands, subscriptions, reads]
        commands.end()
        // What was published is sent all the same: the connections live until then.
        commands.perform(
            .flush(flushTimeout) { [logger, monitor] left in
                let dropped = monitor.takeDrops()
                if dropped + left > 0 { logger.warning("\(Self.description(of: dropped, left, monitor.status))") }
                for connection in connections { connection.perform(.close(connection.eventLoop.makePromise())) }
            })
    }

    /// How it stands with Redis. Asking does not connect: until something is published or asked for, it is `.idle`. ``waitUntilReady(within:)`` connects.
    public var status: RedisStatus { monitor.status }

    /// Connects, if nothing has done so before.
    public func open() {
        let isFirst = isOpen.withLockedValue { isOpen in
            defer { isOpen = true }
            return !isOpen
        }
        guard isFirst else { return }
        monitor.opened()
        commands.perform(.start)
        subscriptions.perform(.start)
    }

    /// Connects, if nothing has done so before, and waits until all connections can be used.
    ///
    /// - Parameter timeout: the longest wait. Defaults to `RedisConfiguration.flushTimeout`, 5 seconds.
    /// - Throws: `RedisError` with the reason `notConnected` after that time, and what the last attempt failed of; `closed` if the client is closed.
    public func waitUntilReady(within timeout: Duration? = nil) async throws(RedisError) {
        open()
        let (timeout, isOver) = (timeout ?? flushTimeout, NIOLockedValueBox(false))
        let timer = call(after: timeout) { [monitor] in
            isOver.withLockedValue { $0 = true }
            monitor.wake()
        }
        defer { timer.cancel() }
        await monitor.waitUntilReady { isOver.withLockedValue { $0 } }
        let status = monitor.status
        switch status.state {
        case .ready: return
        case .closed: throw .closed
        case .idle, .connecting:
            throw RedisError(.notConnected, "not within \(timeout)" + (status.lastError.map { ": \($0)" } ?? ""))
        }
    }

    /// Waits until Redis has answered all that was published before.
    ///
    /// What does not reach Redis for lack of time goes on waiting, and is sent when Redis can be reached, unless the client is closed before.
    ///
    /// - Parameter timeout: the longest wait. Defaults to `RedisConfiguration.flushTimeout`, 5 seconds.
    /// - Throws: `RedisError` with the reason `notPublished` and the numbers, if a publication since the last flush was dropped or still waits.
    public func flush(within timeout: Duration? = nil) async throws(RedisError) {
        let left = await settle(within: timeout ?? flushTimeout)
        let dropped = monitor.takeDrops()
        guard dropped + left > 0 else { return }
        throw RedisError(.notPublished, Self.numbers(of: dropped, left, monitor.status))
    }

    /// Waits for what was published, and what waits besides it.
    ///
    /// - Returns: how much has not ended.
    private func settle(within timeout: Duration) async -> Int {
        let end = ContinuousClock.now + timeout
        for body in flushes.withLockedValue({ $0 }) { await body(max(Duration.zero, end - ContinuousClock.now)) }
        return await commands.flush(within: max(Duration.zero, end - ContinuousClock.now))
    }

    private static func numbers(of dropped: Int, _ left: Int, _ status: RedisStatus) -> String {
        let numbers = [dropped > 0 ? "\(dropped) dropped" : nil, left > 0 ? "\(left) still waiting at the time limit (flushTimeout)" : nil]
        return numbers.compactMap { $0 }.joined(separator: ", ") + (status.lastError.map { "; the last error: \($0)" } ?? "")
    }

    private static func description(of dropped: Int, _ left: Int, _ status: RedisStatus) -> String {
        RedisError.notPublished(numbers(of: dropped, left, status)).description
    }

    /// Waits until Redis has what was published before, and ends the connections. What is published from now on is dropped.
    ///
    /// - Parameter timeout: the longest wait for publications. Defaults to `RedisConfiguration.flushTimeout`, 5 seconds. What has not reached Redis by
    ///   then is dropped.
    /// - Returns: how many publications since the last `flush` did not reach Redis, or may not have. The log tells of them as well.
    @discardableResult
    public func close(within timeout: Duration? = nil) async -> Int {
        commands.end()
        _ = await settle(within: timeout ?? flushTimeout)
        monitor.closed()
        for connection in [commands, subscriptions, reads] {
            let promise = connection.eventLoop.makePromise(of: Void.self)
            connection.perform(.close(promise))
            try? await promise.futureResult.get()
        }
        let dropped = monitor.takeDrops()
        if dropped > 0 { logger.warning("\(Self.description(of: dropped, 0, monitor.status))") }
        return dropped
    }

    /// Whether Redis has confirmed a subscription, and nothing else since.
    func isSubscribed(to target: RedisTarget) -> Bool { receivers.isActive(target) }

    private static func take(
        _ event: RedisConnection.Event, _ role: RedisMachine.Role, _ monitor: RedisMonitor, _ receivers: RedisReceivers, _ logger: Logger
    ) {
        switch event {
        case .ready(let version): monitor.ready(role, version: version)
        case .lost(let reason): monitor.lost(role, reason)
        case .subscribed(let target): receivers.tell(.subscribed, target)
        case .unsubscribed(let target): receivers.tell(.unsubscribed, target)
        case .message(let target, let channel, let payload):
            monitor.received(1)
            receivers.tell(.message(channel: channel, payload), target)
        case .refused(let text): logger.error("Redis refuses a command: \(text)", metadata: ["for": "\(role.rawValue)"])
        case .published(let count): monitor.published(count)
        case .dropped(let count): monitor.dropped(count)
        }
    }
}

extension RedisClient: RedisCommandLink {
    package func publish(_ payload: ByteBuffer, to channel: String) {
        open()
        if !commands.perform(.publish(payload, channel: channel)) { monitor.dropped(1) }
    }

    package func publishReliably(_ payload: ByteBuffer, to channel: String) throws(RedisError) {
        open()
        do throws(RedisError) {
            try commands.publishReliably(.publish(payload, to: channel))
        } catch {
            // The program is told by the error: a flush need not tell it again.
            monitor.refused()
            throw error
        }
    }

    package func publish(_ payload: ByteBuffer, toShard channel: String) {
        open()
        if !commands.perform(.publish(payload, channel: channel, isSharded: true)) { monitor.dropped(1) }
    }

    package func publish(_ payload: ByteBuffer, to channel: String, heard: @escaping @Sendable (Int?) -> Void) {
        open()
        commands.perform(
            .request(.publish(payload, to: channel)) { result in
                if case .success(.integer(let count)) = result { heard(count) } else { heard(nil) }
            })
    }

    package func subscribe(_ receiver: any RedisReceiver, to target: RedisTarget) {
        open()
        // The connection is told under the lock of the receivers: the first and the last must not overtake each other.
        let isLate = receivers.add(receiver, to: target) { subscriptions.perform(.subscribe(target)) }
        if isLate { subscriptions.eventLoop.execute { self.receivers.tellLate(receiver, target) } }
    }

    package func unsubscribe(_ receiver: any RedisReceiver, from target: RedisTarget) {
        receivers.remove(ObjectIdentifier(receiver), from: target) { subscriptions.perform(.unsubscribe(target)) }
    }

    package func request(_ command: [ByteBuffer], _ answered: @escaping @Sendable (Result<RESPValue, RedisError>) -> Void) {
        open()
        commands.perform(.request(RedisCommand(arguments: command), answered))
    }

    package func read(_ command: [String], _ answered: @escaping @Sendable (Result<RESPValue, RedisError>) -> Void) {
        open()
        let isFirst = isReading.withLockedValue { isReading in
            defer { isReading = true }
            return !isReading
        }
        if isFirst {
            monitor.reads()
            reads.perform(.start)
        }
        reads.perform(.request(RedisCommand(command), answered))
    }

    package func onLost(_ body: @escaping @Sendable () -> Void) { losses.withLockedValue { $0.append(body) } }

    package func onFlush(_ body: @escaping @Sendable (Duration) async -> Void) { flushes.withLockedValue { $0.append(body) } }

    package func count(published: Int, received: Int, dropped: Int) {
        if published > 0 { monitor.published(published) }
        if received > 0 { monitor.received(received) }
        if dropped > 0 { monitor.dropped(dropped) }
    }

    package func subscriberCount(of target: RedisTarget) async throws -> Int {
        open()
        // A program that has just started asks once Redis has answered, not before.
        await monitor.waitForFirstAttempt()
        let question: RedisCommand
        switch target {
        case .channel(let name): question = RedisCommand("PUBSUB", "NUMSUB", name)
        case .shardChannel(let name): question = RedisCommand("PUBSUB", "SHARDNUMSUB", name)
        case .pattern: throw RedisError.refused("Redis does not say how many listen to a pattern")
        }
        let answer = try await commands.request(question)
        guard case .array(let values) = answer, values.count == 2, case .integer(let count) = values[1] else {
            throw RedisError.unexpected("an answer to PUBSUB NUMSUB that is none")
        }
        return count
    }

    package func call(after time: Duration, _ body: @escaping @Sendable () -> Void) -> any RedisTimer {
        LoopTimer(task: commands.eventLoop.scheduleTask(in: TimeAmount(time), body))
    }

    private struct LoopTimer: RedisTimer {
        let task: Scheduled<Void>
        func cancel() { task.cancel() }
    }
}
