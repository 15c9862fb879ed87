// A connection that comes back: one WebSocket after another, to the same address.

import HTTPTypes
import Logging
import NIOCore
import WebSocketCore

extension WebSocketClient {
    /// Connects, and connects again whenever the loop asks for the next connection.
    ///
    /// ```swift
    /// for try await socket in WebSocketClient.sessions("wss://example.com/feed") {
    ///     for try await message in socket { … }
    /// }
    /// ```
    ///
    /// Each element is a fresh connection. It is closed with 1000, if it is still open, when the loop asks for the next one or is left. Between
    /// two connections there is a pause, by `Reconnect.backoff`. Nothing ends the loop but `break`, an error thrown in it, the task's
    /// cancellation (`CancellationError`), and a failure to connect that `Reconnect` does not retry, which is thrown.
    ///
    /// A `ConnectionClosed` that the inner loop throws leaves the outer loop, too, unless it is caught between the two.
    public static func sessions(
        _ url: String, configuration: Configuration = Configuration(), reconnect: Reconnect = Reconnect()
    ) -> Sessions {
        Sessions(url: url, configuration: configuration, reconnect: reconnect, timing: .system)
    }
}

/// Connections to one address, one after another; see `WebSocketClient.sessions`.
public struct Sessions: AsyncSequence, Sendable {
    /// A connection.
    public typealias Element = WebSocket

    /// What the pauses are made of, so that tests need not wait.
    struct Timing: Sendable {
        let now: @Sendable () -> NIODeadline
        let random: @Sendable () -> Double
        let sleep: @Sendable (Duration) async throws -> Void

        static let system = Timing(
            now: { .now() }, random: { .random(in: 0...1) }, sleep: { try await Task.sleep(for: $0, tolerance: .milliseconds(10)) })
    }

    let url: String
    let configuration: WebSocketClient.Configuration
    let reconnect: Reconnect
    let timing: Timing

    /// Makes connections; the first one is made when it is asked for.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }

    /// Makes connections.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let sessions: Sessions
        private var backoff: BackoffState
        /// How long to wait before the next try; nil for none.
        private var pause: Duration?
        private let current = Current()

        init(_ sessions: Sessions) {
            self.sessions = sessions
            backoff = BackoffState(sessions.reconnect.backoff)
        }

        /// Closes the last connection and makes the next one.
        ///
        /// - Throws: `CancellationError`; the failure to connect that is not worth another try, or was one too many.
        public mutating func next() async throws -> WebSocket? {
            if let ended = await current.end(now: sessions.timing.now) { try leave(ended) }
            while true {
                try Task.checkCancellation()
                if let wait = pause.take() { try await sessions.timing.sleep(wait) }
                do {
                    let socket = try await sessions.connect()
                    current.begin(socket, sessions.timing.now())
                    socket.beginReading()
                    return socket
                } catch {
                    try retry(error)
                }
            }
        }

        /// A session has ended: the next one comes after a pause.
        private mutating func leave(_ ended: (lasted: Duration, closure: Closure)) throws {
            pause = backoff.ended(after: ended.lasted, random: sessions.timing.random())
            guard pause != nil else { throw ConnectionClosed(closure: ended.closure, cause: nil) }
        }

        /// A try has failed: the next one comes after a pause, if it is worth it.
        private mutating func retry(_ error: any Error) throws {
            guard !(error is CancellationError), sessions.reconnect.retries(error) else { throw error }
            pause = backoff.failed(random: sessions.timing.random(), atLeast: Reconnect.pause(asked: error))
            guard let pause else { throw error }
            sessions.configuration.logger.info(
                "connecting again", metadata: ["after": "\(pause)", "failures": "\(backoff.failures)", "cause": "\(error)"])
        }
    }

    private func connect() async throws -> WebSocket {
        var configuration = configuration
        if let headers = reconnect.headers {
            let fresh = try await headers()
            for field in fresh { configuration.headers[field.name] = nil }
            configuration.headers.append(contentsOf: fresh)
        }
        return try await WebSocketClient.open(url, configuration, makeHandler: nil)
    }
}

/// The connection that a loop has; closed when the loop is left.
private final class Current {
    private var socket: WebSocket?
    private var since = NIODeadline.now()

    func begin(_ socket: WebSocket, _ now: NIODeadline) {
        self.socket = socket
        since = now
    }

    /// Ends the connection and says how long it lasted; nil if there was none.
    nonisolated(nonsending) func end(now: () -> NIODeadline) async -> (lasted: Duration, closure: Closure)? {
        guard let socket = socket.take() else { return nil }
        let lasted = Duration(now() - since)
        socket.close()
        return (lasted, await socket.waitUntilClosed())
    }

    deinit { socket?.close() }
}
