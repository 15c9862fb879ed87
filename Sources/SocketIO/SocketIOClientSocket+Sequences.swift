// Events and states of a client's socket as sequences.

import NIOConcurrencyHelpers

extension SocketIOClientSocket {
    /// The events of a name, from now on, beside the handlers. It ends when the client is closed; it lasts across connections.
    ///
    /// An event that asks for an acknowledgement has one: `SocketIOEvent.acknowledge`. Whoever reads too slowly gets
    /// `SocketIOSequenceOverflow`, behind the events that wait, when those are over `SocketIOClientConfiguration.maxPendingEvents` or
    /// `maxPendingBytes`, and the sequence is over.
    public func events(_ name: String) -> AsyncThrowingStream<SocketIOEvent, any Error> { makeEvents(name) }

    /// All events, from now on; see `events(_:)`.
    public var allEvents: AsyncThrowingStream<SocketIOEvent, any Error> { makeEvents(nil) }

    private func makeEvents(_ name: String?) -> AsyncThrowingStream<SocketIOEvent, any Error> {
        let configuration = client.configuration
        let feed = EventFeed(name, maxCount: configuration.maxPendingEvents, maxBytes: configuration.maxPendingBytes)
        let subscription = Subscription(feed, self)
        return AsyncThrowingStream { try await subscription.feed.next() }
    }

    func feed(_ event: SocketIOEvent, _ size: Int) {
        let feeds = state.withLockedValue { $0.eventFeeds.isEmpty ? [] : Array($0.eventFeeds.values) }
        guard !feeds.isEmpty else { return }
        let name = event.name
        for feed in feeds where feed.takes(name) { feed.add(event, size: size) }
    }

    /// The state now, and each one it changes to. It ends when the client is closed; of a hundred that nobody has read, the oldest are
    /// dropped.
    public var connectionStates: AsyncStream<SocketIOConnectionState> {
        let (stream, continuation) = AsyncStream<SocketIOConnectionState>.makeStream(bufferingPolicy: .bufferingNewest(100))
        let number = client.lock.withLock {
            // Under the client's lock, so that no change comes between.
            continuation.yield(machine.connectionState)
            return state.withLockedValue { state in
                state.lastFeed += 1
                state.stateFeeds[state.lastFeed] = continuation
                return state.lastFeed
            }
        }
        continuation.onTermination = { [weak self] _ in _ = self?.state.withLockedValue { $0.stateFeeds.removeValue(forKey: number) } }
        return stream
    }

    func endSequences() {
        let (events, states) = state.withLockedValue { (Array($0.eventFeeds.values), Array($0.stateFeeds.values)) }
        for feed in events { feed.finish() }
        for feed in states { feed.finish() }
    }
}

/// Lets a socket know of a sequence, as long as somebody has that.
private final class Subscription: Sendable {
    let feed: EventFeed
    private let number: Int
    private let remove: @Sendable (Int) -> Void

    init(_ feed: EventFeed, _ socket: SocketIOClientSocket) {
        self.feed = feed
        number = socket.state.withLockedValue { state in
            state.lastFeed += 1
            state.eventFeeds[state.lastFeed] = feed
            return state.lastFeed
        }
        remove = { [weak socket] number in _ = socket?.state.withLockedValue { $0.eventFeeds.removeValue(forKey: number) } }
    }

    deinit { remove(number) }
}
