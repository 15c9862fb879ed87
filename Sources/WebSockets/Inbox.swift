// The messages of one connection that wait for `for try await`; confined to the connection's thread.

import CDuplexLinux
import NIOCore
import WebSocketCore

/// The messages of one connection that wait for `for try await`.
///
/// `@unchecked Sendable`: the stored variables are touched only on the connection's thread. `@exclusivity(unchecked)`: no foreign code
/// runs while one of these is being changed.
final class Inbox: @unchecked Sendable {
    typealias Continuation = UnsafeContinuation<Message?, any Error>

    private typealias Entry = (message: Message, cost: Int)

    @exclusivity(unchecked) private var messages = RingBuffer<Entry>()
    @exclusivity(unchecked) private var cost = 0
    /// What the messages of the read that is being handled keep alive together, and how many of them had to wait.
    @exclusivity(unchecked) private var heldBytes = 0
    @exclusivity(unchecked) private var burst = 0
    @exclusivity(unchecked) var waiter: Continuation?
    /// Which wait it is, so that a late cancellation does not hit the next one.
    @exclusivity(unchecked) private var waits = 0
    @exclusivity(unchecked) private var end: Result<Void, ConnectionClosed>?
    /// Whether `end` is there: to look at that itself is to copy it, once a message.
    @exclusivity(unchecked) private var hasEnded = false
    @exclusivity(unchecked) private var isDiscarding = false
    /// Whether the connection was asked to stop reading.
    @exclusivity(unchecked) private(set) var isPaused = false
    private let limit: Int

    /// What a queued message costs beside its payload.
    private static let overhead = 64
    /// The read's memory is kept if at least one part in so many of it is messages that wait.
    private static let worthKeeping = 4

    init(limit: Int) { self.limit = limit }

    // MARK: In

    /// Begins to take the messages of one read.
    ///
    /// - Parameter heldBytes: how much memory they keep alive together.
    @inline(__always)
    func beginBurst(heldBytes: Int) {
        self.heldBytes = heldBytes
        burst = 0
    }

    func add(_ message: Message) {
        if let continuation = waiter {
            waiter = nil
            return continuation.resume(returning: message)
        }
        guard !isDiscarding else { return }
        let share = message.payload.readableBytes + Self.overhead
        cost += share
        messages.append((message, share))
        burst += 1
    }

    /// Settles what the read brought and nobody has taken yet, and has the connection stop reading if too much waits.
    @inline(__always)
    func endBurst(_ socket: WebSocket) {
        if burst > 0 { settle(socket) }
    }

    private func settle(_ socket: WebSocket) {
        // Some may have been taken already.
        let waiting = max(0, messages.count - burst)..<messages.count
        burst = 0
        guard let first = waiting.first else { return }
        let size = waiting.reduce(0) { $0 + messages[$1].message.payload.readableBytes }
        if size < heldBytes / Self.worthKeeping {
            copyOut(waiting, size)
        } else {
            // Whoever takes the first of them may let the memory go only with the last; so the first carries it.
            let surplus = max(0, heldBytes - size)
            messages[first].cost += surplus
            cost += surplus
        }
        if cost > limit && !isPaused { pause(socket, true) }
    }

    /// Puts the last messages into memory of their own: a peer that sends single bytes would otherwise have us keep thousands of times
    /// what it sent.
    private func copyOut(_ waiting: Range<Int>, _ size: Int) {
        var memory = ByteBufferAllocator().buffer(capacity: size)
        for index in waiting { memory.writeImmutableBuffer(messages[index].message.payload) }
        for index in waiting {
            let (message, share) = messages[index]
            guard let payload = memory.readSlice(length: message.payload.readableBytes) else { return }
            messages[index] = (Message(kind: message.kind, payload: payload), share)
        }
    }

    /// Ends the sequence, after what is still queued.
    func finish(_ end: Result<Void, ConnectionClosed>) {
        guard !hasEnded else { return }
        self.end = end
        hasEnded = true
        guard let continuation = waiter.take() else { return }
        continuation.resume(with: end.map { nil }.mapError { $0 })
    }

    /// Forgets what is queued: this end has closed, and is not told of messages any more, as in the browser's interface.
    func discard() {
        messages.removeAll()
        cost = 0
    }

    /// Has the connection read on, whatever is queued; no message comes any more, and what is queued can still be taken.
    func readOn(_ socket: WebSocket) {
        isDiscarding = true
        if isPaused { pause(socket, false) }
    }

    private func pause(_ socket: WebSocket, _ isPaused: Bool) {
        self.isPaused = isPaused
        socket.setReadingPaused(isPaused)
    }

    // MARK: Out

    /// The next message, if it is there.
    @inline(__always)
    func pop(_ socket: WebSocket) -> Message? {
        guard let (message, share) = messages.popFirst() else { return nil }
        cost -= share
        if isPaused && cost <= limit / 2 { pause(socket, false) }
        return message
    }

    /// How to wait for a message.
    enum WaitKind {
        /// Not at all: none will come.
        case nothing
        /// As the task that serves the connection, by setting `waiter`.
        case owner
        /// As any other task.
        case other(Int)
    }

    /// Says how to wait for the next message, on the connection's thread, where `pop` has just found none.
    @inline(__always)
    func beginWait() throws -> WaitKind {
        if hasEnded, let end {
            try end.get()
            return .nothing
        }
        guard waiter == nil else { throw UsageError(.concurrentIteration) }
        waits += 1
        distantWait = nil
        isOwnersWait = owner != nil && duplex_current_task() == owner
        if isOwnersWait && isOwnerCancelled { throw CancellationError() }
        return isOwnersWait ? .owner : .other(waits)
    }

    /// The next message.
    nonisolated(nonsending) func wait(_ wait: Int, _ socket: WebSocket) async throws -> Message? {
        try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { waiter = $0 }
        } onCancel: {
            socket.thread.performLater { self.cancel(wait) }
        }
    }

    // MARK: The owner

    /// The task that serves the connection, if it is one of ours, and whether it was cancelled.
    @exclusivity(unchecked) private var owner: UnsafeRawPointer?
    @exclusivity(unchecked) private var isOwnerCancelled = false
    @exclusivity(unchecked) private var isOwnersWait = false

    /// Runs the code that serves the connection, on its thread.
    ///
    /// One cancellation handler around all of it, as one around every wait costs as much as the wait.
    nonisolated(nonsending) func own(_ socket: WebSocket, _ body: nonisolated(nonsending) () async throws -> Void) async throws {
        owner = duplex_current_task()
        defer { owner = nil }
        try await withTaskCancellationHandler {
            try await body()
        } onCancel: {
            socket.thread.performLater { self.cancelOwner() }
        }
    }

    private func cancelOwner() {
        isOwnerCancelled = true
        if isOwnersWait { waiter.take()?.resume(throwing: CancellationError()) }
    }

    // MARK: Elsewhere

    /// The next message, asked for from elsewhere.
    func nextFromElsewhere(_ socket: WebSocket) async throws -> Message? {
        let wait = Wait()
        return try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { (continuation: Continuation) in
                socket.thread.perform { self.answer(continuation, wait, socket) }
            }
        } onCancel: {
            wait.cancel()
            socket.thread.performLater { self.cancel(wait) }
        }
    }

    @exclusivity(unchecked) private var distantWait: Wait?

    private func answer(_ continuation: Continuation, _ wait: Wait, _ socket: WebSocket) {
        if wait.isCancelled { return continuation.resume(throwing: CancellationError()) }
        if let message = pop(socket) { return continuation.resume(returning: message) }
        if let end { return continuation.resume(with: end.map { nil }.mapError { $0 }) }
        if waiter != nil { return continuation.resume(throwing: UsageError(.concurrentIteration)) }
        waits += 1
        distantWait = wait
        isOwnersWait = false
        waiter = continuation
    }

    private func cancel(_ wait: Int) {
        guard wait == waits else { return }
        waiter.take()?.resume(throwing: CancellationError())
    }

    private func cancel(_ wait: Wait) {
        guard distantWait === wait else { return }
        distantWait = nil
        waiter.take()?.resume(throwing: CancellationError())
    }
}

/// Runs the user's async code beside the connection; the messages go into the inbox.
struct AsyncHandler: WebSocketHandler {
    /// Begins the user's task.
    let begin: @Sendable (WebSocket) -> Void

    func opened(_ socket: WebSocket) { begin(socket) }
    func received(_ message: Message, from socket: WebSocket) {}
}
