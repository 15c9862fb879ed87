// A program's link to Redis: two connections, as one that is subscribed can do nothing else in RESP2, and as what one node hears must not hold
// up what it says; and a third one for who reads a stream, which waits.

import Logging
import NIOConcurrencyHelpers
package import NIOCore

/// Connects a program to Redis, for as many backplanes and adapters as it has.
///
/// It connects when it is first used and again whenever the connection is lost, and never makes anybody wait for that. Call `close` at the end.
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
    package let maxWait: Duration

    /// Makes a client; it does not connect yet.
    public init(_ configuration: RedisConfiguration) {
        let (monitor, receivers, logger) = (RedisMonitor(configuration), RedisReceivers(), configuration.logger)
        let losses = NIOLockedValueBox<[@Sendable () -> Void]>([])
        (self.monitor, self.receivers, self.logger, self.losses) = (monitor, receivers, logger, losses)
        maxWait = configuration.replyTimeout / 2
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
        for connection in [commands, subscriptions, reads] { connection.perform(.close(connection.eventLoop.makePromise())) }
    }

    /// How it stands with Redis.
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

    /// Ends the connections; what is published later is dropped.
    public func close() async {
        monitor.closed()
        for connection in [commands, subscriptions, reads] {
            let promise = connection.eventLoop.makePromise(of: Void.self)
            connection.perform(.close(promise))
            try? await promise.futureResult.get()
        }
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

    package func count(published: Int, received: Int, dropped: Int) {
        if published > 0 { monitor.published(published) }
        if received > 0 { monitor.received(received) }
        if dropped > 0 { monitor.dropped(dropped) }
    }

    package func subscriberCount(of target: RedisTarget) async throws -> Int {
        open()
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
