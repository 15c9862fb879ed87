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

    /// The next message, if it is there and this is the thread to take it on.
    @usableFromInline
    func nextAtOnce() -> Message? {
        guard let inbox, thread.isCurrent else { return nil }
        return inbox.pop(self)
    }

    /// The next message, which was not there a moment ago.
    @usableFromInline
    nonisolated(nonsending) func nextInTime() async throws -> Message? {
        guard let inbox else { throw UsageError(.messagesGoToHandler) }
        return thread.isCurrent ? try await inbox.wait(self) : try await inbox.nextFromElsewhere(self)
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
