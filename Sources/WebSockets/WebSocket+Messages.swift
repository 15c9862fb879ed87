// `for try await message in socket`.

public import WebSocketCore

extension WebSocket: AsyncSequence {
    /// What arrives.
    public typealias Element = Message

    /// The messages in the order of their arrival; one task at a time may ask.
    ///
    /// The sequence ends when the connection ended normally (1000, 1001, or a close without a code), and throws
    /// `ConnectionClosed` when it ended otherwise. A cancelled task gets `CancellationError`, and no message is lost: another
    /// iterator goes on where it stopped. While nobody asks, messages wait, and over `maxUnreadBytes` the peer is made to wait.
    public struct AsyncIterator: AsyncIteratorProtocol {
        @usableFromInline let socket: WebSocket

        /// The next message; nil at the end.
        ///
        /// - Throws: `ConnectionClosed`, `CancellationError`, or `UsageError` if another task is waiting, or if the socket has a
        ///   callback handler, which gets the messages.
        @inlinable @inline(__always)
        public nonisolated(nonsending) mutating func next(isolation actor: (any Actor)?) async throws -> Message? {
            // Not `isolated`: such a parameter would have each call ask the runtime whether to change executors, which costs as
            // much as all the rest; `nonisolated(nonsending)` stays where it is called, by itself. What need not wait is a plain call.
            if let message = socket.nextAtOnce() { return message }
            return try await socket.nextInTime()
        }

        /// The next message; nil at the end. `for try await` calls `next(isolation:)`.
        public nonisolated(nonsending) mutating func next() async throws -> Message? { try await next(isolation: #isolation) }
    }

    /// Does something with the inbox, which this socket keeps: to retain it for each message is as much work as to take the message.
    @inline(__always)
    func withInbox<R>(_ body: (Inbox) throws -> R) rethrows -> R? {
        try inbox.map(Unmanaged.passUnretained)?._withUnsafeGuaranteedRef { try body($0) }
    }

    /// The next message, if it is there and this is the thread to take it on.
    @usableFromInline
    func nextAtOnce() -> Message? {
        guard thread.isCurrent else { return nil }
        return withInbox { $0.pop(self) } ?? nil
    }

    /// The next message, which was not there a moment ago.
    @usableFromInline
    nonisolated(nonsending) func nextInTime() async throws -> Message? {
        guard thread.isCurrent else { return try await nextFromElsewhere() }
        switch try withInbox({ try $0.beginWait() }) {
        case nil: throw UsageError(.messagesGoToHandler)
        case .nothing: return nil
        case .owner:
            #if compiler(<6.4)
            // As `withUnsafeThrowingContinuation`, which asks the runtime for the task's preferred executor on its way in, where there is
            // nothing to change: a lock, and a hundredth of an echo. Not public for good, so only where it is known to be.
            return try await _unsafeInheritExecutor_withUnsafeThrowingContinuation { park($0) }
            #else
            return try await withUnsafeThrowingContinuation { park($0) }
            #endif
        case .other(let wait): return try await inbox?.wait(wait, self)
        }
    }

    @inline(__always)
    private func park(_ continuation: Inbox.Continuation) { withInbox { $0.waiter = continuation } }

    private func nextFromElsewhere() async throws -> Message? {
        guard let inbox else { throw UsageError(.messagesGoToHandler) }
        return try await inbox.nextFromElsewhere(self)
    }

    /// An iterator over the messages.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(socket: self) }
}

/// A connection ended otherwise than normally.
public struct ConnectionClosed: Error, Sendable, CustomStringConvertible {
    /// How it ended.
    public let closure: Closure
    /// What caused it, if it was a fault: a `ProtocolError` of the peer or a `NetworkError`.
    public let cause: (any Error)?

    /// What happened.
    public var description: String {
        cause.map { "the connection closed: \(closure); \($0)" } ?? "the connection closed: \(closure)"
    }
}

/// The network's faults.
public struct NetworkError: Error, Sendable, CustomStringConvertible {
    /// What happened, and after how long.
    public let description: String
    /// The system's error, if it was one.
    public let underlying: (any Error)?

    init(_ description: String, underlying: (any Error)? = nil) {
        self.description = description
        self.underlying = underlying
    }
}
