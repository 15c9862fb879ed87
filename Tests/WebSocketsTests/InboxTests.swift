// What has arrived and waits for the program: in order, bounded, and every wait ended once.

import NIOCore
import Testing
import WebSocketCore

@testable import WebSockets

@Suite struct InboxTests {
    // MARK: In and out

    @Test func keepsMessagesInOrderUntilAskedFor() {
        let bench = SocketBench()
        for text in ["a", "b", "c"] { bench.receive(.text(text)) }
        let texts = bench.begin { socket in
            var messages = socket.makeAsyncIterator()
            return try await [messages.next()?.text, messages.next()?.text, messages.next()?.text]
        }
        #expect(texts.value == ["a", "b", "c"])
    }

    @Test func givesAMessageToWhoeverWaits() {
        let bench = SocketBench()
        let message = bench.begin { try await next($0) }
        #expect(!message.hasEnded)
        bench.receive(.text("a"))
        #expect(message.value == .text("a"))
    }

    @Test func allowsOneWaitAtATime() {
        let bench = SocketBench()
        let first = bench.begin { try await next($0) }
        let second = bench.begin { try await next($0) }
        #expect(second.error as? UsageError == UsageError(.concurrentIteration))
        bench.receive(.text("a"))
        #expect(first.value == .text("a"))
        #expect(bench.begin { try await next($0, .elsewhere) }.hasEnded == false)
        #expect(bench.begin { try await next($0, .elsewhere) }.error as? UsageError == UsageError(.concurrentIteration))
    }

    // MARK: Back-pressure

    @Test func stopsReadingAboveItsLimitAndGoesOnAtHalf() {
        var configuration = ConnectionConfiguration.quiet
        configuration.maxUnreadBytes = 100_000
        let bench = SocketBench(configuration)
        var read = ByteBufferAllocator().buffer(capacity: 32_768)
        read.writeBytes(WireFrame.binary([UInt8](repeating: 1, count: 20_000)).encoded(masked: true))
        // Each costs what the read holds in memory and an overhead: 32,832.
        for _ in 0..<3 { bench.read(read) }
        #expect(bench.transport.isReading)
        for _ in 0..<2 { bench.read(read) }
        #expect(!bench.transport.isReading)
        #expect(bench.transport.pauses == 1)
        bench.run()
        for _ in 0..<3 { bench.begin { try await next($0) } }
        #expect(!bench.transport.isReading)
        #expect(bench.begin { try await next($0) }.value??.payload.readableBytes == 20_000)
        #expect(bench.transport.isReading)
    }

    @Test func countsTheMemoryThatSmallMessagesKeepAlive() {
        var configuration = ConnectionConfiguration.quiet
        configuration.maxUnreadBytes = 10_000
        let bench = SocketBench(configuration)
        // A quarter of what the read holds is worth keeping it.
        var read = ByteBufferAllocator().buffer(capacity: 4096)
        read.writeBytes(WireFrame.binary([UInt8](repeating: 1, count: 1024)).encoded(masked: true))
        for _ in 0..<2 {
            bench.read(read)
            bench.run()
        }
        #expect(bench.transport.isReading)
        bench.read(read)
        #expect(!bench.transport.isReading)
    }

    @Test func copiesSmallMessagesOutOfALargeRead() throws {
        let bench = SocketBench()
        var read = ByteBufferAllocator().buffer(capacity: 65_536)
        for text in ["a", "", "bcd"] { read.writeBytes(WireFrame.text(text).encoded(masked: true)) }
        bench.read(read)
        bench.run()
        for text in ["a", "", "bcd"] {
            let message = try #require(try bench.begin { try await next($0) }.result?.get())
            #expect(message == .text(text))
            #expect(message.payload.storageCapacity < 100)
        }
    }

    @Test func chargesAReadOnceForAllItsMessages() {
        let inbox = Inbox(limit: 10_000)
        let bench = SocketBench()
        inbox.beginBurst(heldBytes: 9000)
        let message = Message.binary([UInt8](repeating: 1, count: 600))
        for _ in 0..<5 { inbox.add(message) }
        inbox.endBurst(bench.socket)
        // 9000 and five overheads.
        #expect(!inbox.isPaused)
        inbox.beginBurst(heldBytes: 600)
        inbox.add(message)
        inbox.endBurst(bench.socket)
        #expect(!inbox.isPaused)
        inbox.beginBurst(heldBytes: 600)
        inbox.add(.text(""))
        inbox.endBurst(bench.socket)
        #expect(inbox.isPaused)
    }

    // MARK: Ends

    @Test func givesWhatIsQueuedBeforeTheEnd() {
        let bench = SocketBench()
        bench.receive(WireFrame.text("a").encoded(masked: true) + WireFrame.close(1000).encoded(masked: true))
        let texts = bench.begin { socket in
            var texts: [String?] = []
            for try await message in socket { texts.append(message.text) }
            return texts
        }
        #expect(texts.value == ["a"])
    }

    @Test func throwsAtTheEndOfABrokenConnectionAndEveryTimeAfter() {
        let bench = SocketBench()
        let waiting = bench.begin { try await next($0) }
        bench.transport.terminate()
        bench.run()
        #expect((waiting.error as? ConnectionClosed)?.closure.code == .abnormalClosure)
        #expect(bench.begin { try await next($0) }.error is ConnectionClosed)
        #expect(bench.begin { try await next($0, .elsewhere) }.error is ConnectionClosed)
    }

    @Test func forgetsWhatIsQueuedWhenThisEndCloses() {
        let bench = SocketBench()
        bench.receive(.text("a"))
        bench.socket.close()
        bench.receive(.text("b"))
        bench.receive(.close(1000))
        #expect(bench.begin { try await next($0) }.value == .some(nil))
    }

    @Test func readsOnAfterACloseWhateverIsQueued() {
        var configuration = ConnectionConfiguration.quiet
        configuration.maxUnreadBytes = 10
        let bench = SocketBench(configuration)
        bench.receive(.text("a"))
        #expect(!bench.transport.isReading)
        bench.socket.close()
        #expect(bench.transport.isReading)
    }

    // MARK: Cancellation

    @Test(arguments: Asker.allCases) func cancellationEndsAWaitAndLosesNothing(asker: Asker) {
        let bench = SocketBench()
        let waiting = bench.begin { try await next($0, asker) }
        waiting.cancel()
        bench.run()
        #expect(waiting.error is CancellationError)
        bench.receive(.text("a"))
        #expect(bench.begin { try await next($0) }.value == .text("a"))
    }

    @Test(arguments: Asker.allCases) func aTaskThatIsCancelledAlreadyDoesNotWait(asker: Asker) {
        let bench = SocketBench()
        let waiting = bench.prepare { try await next($0, asker) }
        waiting.cancel()
        bench.run()
        #expect(waiting.error is CancellationError)
        bench.receive(.text("a"))
        #expect(bench.begin { try await next($0) }.value == .text("a"))
    }

    /// A message and a cancellation cross; another task waits by the time the cancellation gets to the thread.
    @Test(arguments: Asker.allCases, [Asker.guest, .elsewhere])
    func aLateCancellationDoesNotHitTheNextWait(first: Asker, second: Asker) {
        let bench = SocketBench()
        let early = bench.begin { try await next($0, first) }
        let late = bench.prepare { try await next($0, second) }
        bench.thread.inTurn { bench.socket.inbox?.add(.text("a")) }
        early.cancel()
        bench.run()
        #expect(early.value == .text("a"))
        #expect(!late.hasEnded)
        bench.receive(.text("b"))
        #expect(late.value == .text("b"))
    }

    @Test func theOwnerWaitsNoMoreOnceItIsCancelled() {
        let bench = SocketBench()
        let owner = bench.begin { socket in
            var errors = 0
            try await socket.inbox?.own(socket) {
                for _ in 0..<3 { do { _ = try await next(socket) } catch is CancellationError { errors += 1 } }
            }
            return errors
        }
        owner.cancel()
        bench.run()
        #expect(owner.value == 3)
    }

    @Test func aChildOfTheOwnerIsCancelledAlone() {
        let bench = SocketBench()
        let owner = bench.begin { socket in
            var got: Message?
            try await socket.inbox?.own(socket) {
                let isCancelled = await withTaskGroup(of: Bool.self) { group in
                    group.addTask { await Self.isCancelled { try await next(socket) } }
                    group.cancelAll()
                    return await group.next() ?? false
                }
                #expect(isCancelled)
                got = try await next(socket)
            }
            return got
        }
        bench.run()
        #expect(!owner.hasEnded)
        bench.receive(.text("a"))
        #expect(owner.value == .text("a"))
    }

    private static func isCancelled(_ body: () async throws -> Message?) async -> Bool {
        do { _ = try await body() } catch { return error is CancellationError }
        return false
    }
}

/// Who asks for messages.
enum Asker: CaseIterable {
    /// A task on the connection's thread.
    case guest
    /// The task that serves the connection.
    case owner
    /// A task on another thread.
    case elsewhere
}

/// The next message.
@Sendable
private func next(_ socket: WebSocket, _ asker: Asker = .guest) async throws -> Message? {
    guard let inbox = socket.inbox else { return nil }
    switch asker {
    case .guest: return try await nextHere(socket)
    case .elsewhere: return try await inbox.nextFromElsewhere(socket)
    case .owner:
        var message: Message?
        try await inbox.own(socket) { message = try await nextHere(socket) }
        return message
    }
}

/// The next message, as the iterator asks for it on the connection's thread.
private nonisolated(nonsending) func nextHere(_ socket: WebSocket) async throws -> Message? {
    #expect(socket.thread.isCurrent)
    if let message = socket.nextAtOnce() { return message }
    return try await socket.nextInTime()
}
