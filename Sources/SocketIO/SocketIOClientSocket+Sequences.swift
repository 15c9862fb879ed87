// Events and states of a client's socket as sequences.

import NIOConcurrencyHelpers

extension SocketIOClientSocket {
    /// The events of a name, from now on, beside the handlers. It ends when the client is closed; it lasts across connections.
    ///
    /// An event that asks for an acknowledgement has one: `SocketIOEvent.acknowledge`. Whoever reads too slowly gets
    /// `SocketIOSequenceOverflow` when over `SocketIOClientConfiguration.maxPendingEvents` wait, and the sequence is over.
    public func events(_ name: String) -> AsyncThrowingStream<SocketIOEvent, any Error> { makeEvents(name) }

    /// All events, from now on; see `events(_:)`.
    public var allEvents: AsyncThrowingStream<SocketIOEvent, any Error> { makeEvents(nil) }

    private func makeEvents(_ name: String?) -> AsyncThrowingStream<SocketIOEvent, any Error> {
        let (stream, continuation) = AsyncThrowingStream<SocketIOEvent, any Error>.makeStream(
            bufferingPolicy: .bufferingOldest(client.configuration.maxPendingEvents))
        let number = state.withLockedValue { state in
            state.lastFeed += 1
            state.eventFeeds[state.lastFeed] = EventFeed(name: name, continuation: continuation)
            return state.lastFeed
        }
        continuation.onTermination = { [weak self] _ in _ = self?.state.withLockedValue { $0.eventFeeds.removeValue(forKey: number) } }
        return stream
    }

    func feed(_ event: SocketIOEvent) {
        let feeds = state.withLockedValue { $0.eventFeeds.isEmpty ? [] : Array($0.eventFeeds.values) }
        guard !feeds.isEmpty else { return }
        let name = event.name
        for feed in feeds where feed.name == nil || feed.name == name {
            if case .dropped = feed.continuation.yield(event) {
                feed.continuation.finish(throwing: SocketIOSequenceOverflow(limit: client.configuration.maxPendingEvents))
            }
        }
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
        for feed in events { feed.continuation.finish() }
        for feed in states { feed.finish() }
    }
}

/// A sequence of events was read too slowly: more would have had to be left out.
public struct SocketIOSequenceOverflow: Error, Sendable, Hashable, CustomStringConvertible {
    /// How many events may wait.
    public let limit: Int

    /// What happened, and which limit it was.
    public var description: String { "over \(limit) events waited to be read from a sequence (limit maxPendingEvents)" }
}
