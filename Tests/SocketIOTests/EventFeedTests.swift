// What one reader of events has not read: EventFeed.swift.

import NIOConcurrencyHelpers
import Testing

@testable import SocketIO

@Suite(.timeLimit(.minutes(1))) struct EventFeedTests {
    private func event(_ name: String) -> SocketIOEvent { SocketIOEvent(values: [.string(name)], acknowledgement: nil) }

    private func names(_ feed: EventFeed) async throws -> [String] {
        var names: [String] = []
        while let event = try await feed.next() { names.append(event.name) }
        return names
    }

    @Test func whatIsThereIsReadBeforeTheEnd() async throws {
        let feed = EventFeed(nil, maxCount: 3, maxBytes: 100)
        for name in ["a", "b", "c"] { feed.add(event(name), size: 1) }
        feed.finish()
        feed.add(event("late"), size: 1)
        #expect(try await names(feed) == ["a", "b", "c"])
        #expect(try await names(feed) == [])
    }

    @Test func theirNumberIsLimited() async throws {
        let feed = EventFeed(nil, maxCount: 2, maxBytes: 100)
        for name in ["a", "b", "c", "d"] { feed.add(event(name), size: 1) }
        #expect(try await feed.next()?.name == "a")
        #expect(try await feed.next()?.name == "b")
        let error = await #expect(throws: SocketIOSequenceOverflow.self) { _ = try await feed.next() }
        #expect(error?.description == "over 2 events waited to be read from a sequence (limit maxPendingEvents)")
    }

    @Test func theirBytesAreLimited() async throws {
        let feed = EventFeed(nil, maxCount: 100, maxBytes: 10)
        feed.add(event("a"), size: 10)
        #expect(try await feed.next()?.name == "a")
        feed.add(event("b"), size: 6)
        feed.add(event("c"), size: 5)
        #expect(try await feed.next()?.name == "b")
        let error = await #expect(throws: SocketIOSequenceOverflow.self) { _ = try await feed.next() }
        #expect(error?.description == "over 10 bytes waited to be read from a sequence (limit maxPendingBytes)")
    }

    @Test func readersWait() async throws {
        let feed = EventFeed("a", maxCount: 1, maxBytes: 10)
        #expect(feed.takes("a") && !feed.takes("b"))
        // None of them is forgotten, whichever comes first.
        async let first = feed.next()
        async let second = feed.next()
        async let third = feed.next()
        while feed.readerCount < 3 { await Task.yield() }
        feed.add(event("x"), size: 1)
        feed.add(event("y"), size: 1)
        feed.finish()
        let names = try await [first?.name, second?.name, third?.name]
        #expect(Set(names) == ["x", "y", nil])
    }

    @Test func whoIsCancelledGetsNothing() async throws {
        let feed = EventFeed(nil, maxCount: 1, maxBytes: 10)
        let waiting = Task { try await feed.next()?.name }
        while feed.readerCount < 1 { await Task.yield() }
        waiting.cancel()
        #expect(try await waiting.value == nil)
        #expect(feed.readerCount == 0)
        let before = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await feed.next()?.name
        }
        #expect(try await before.value == nil)
    }

    @Test func aSequenceThatIsDroppedIsForgotten() throws {
        let socket = try SocketIOClient("http://localhost").socket()
        do {
            let events = socket.events("x")
            withExtendedLifetime(events) {
                let count = socket.state.withLockedValue { $0.eventFeeds.count }
                #expect(count == 1)
            }
        }
        let count = socket.state.withLockedValue { $0.eventFeeds.count }
        #expect(count == 0)
    }
}
