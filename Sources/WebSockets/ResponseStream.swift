// A response whose body comes piece by piece: RFC 9112 §7.1.

public import HTTPTypes
import Logging
public import NIOCore
import NIOHTTP1

/// Sends the body of a response piece by piece; see `ServerResponse.stream`.
public struct ResponseStream: Sendable {
    /// Writes the body of a response.
    typealias Body = nonisolated(nonsending) @Sendable (ResponseStream) async throws -> Void

    let thread: EventThread
    let handler: ThreadBound<HTTPServerHandler>

    /// Sends a piece, and waits until the system has taken it.
    ///
    /// - Throws: `NetworkError` if the connection is gone, which cancels the task too.
    public func write(_ bytes: ByteBuffer) async throws {
        guard bytes.readableBytes > 0 else { return }
        let (thread, handler) = (thread, handler)
        try await withCheckedThrowingContinuation { continuation in
            thread.perform { handler.value.write(bytes, continuation) }
        }
    }

    /// Sends a piece of text, and waits until the system has taken it.
    ///
    /// - Throws: `NetworkError` if the connection is gone, which cancels the task too.
    public func write(_ text: String) async throws { try await write(ByteBuffer(string: text)) }
}

extension ServerResponse {
    /// A response whose body a closure writes; returning ends it, throwing cuts the connection, so that nobody takes a part for the whole.
    ///
    /// The closure runs on the connection's thread: it must not block. It is cancelled when the connection ends, and when the server shuts
    /// down. Each piece must go on as `responseTimeout` says; between pieces any time may pass.
    public static func stream(
        _ status: HTTPResponse.Status = .ok, headerFields: HTTPFields = [:],
        _ body: nonisolated(nonsending) @escaping @Sendable (ResponseStream) async throws -> Void
    ) -> Self {
        var response = Self(status, headerFields: headerFields)
        response.stream = body
        return response
    }
}

extension HTTPServerHandler {
    /// Runs what writes the body; the head has been sent.
    func stream(_ body: @escaping ResponseStream.Body, closes: Bool) {
        guard context != nil else { return }
        let bound = ThreadBound(self, to: thread)
        let (thread, logger) = (thread, server.logger)
        task = server.streams.begin(on: thread) {
            do {
                try await body(ResponseStream(thread: thread, handler: bound))
                thread.perform { bound.value.sent(.success(()), closes: closes) }
            } catch is CancellationError {
                thread.perform { bound.value.sent(.success(()), closes: true) }
            } catch {
                if !(error is NetworkError) { logger.error("what wrote a response threw: \(error)") }
                thread.perform { bound.value.close() }
            }
        }
    }

    fileprivate func write(_ bytes: ByteBuffer, _ continuation: CheckedContinuation<Void, any Error>) {
        guard case .deciding = state, let context else {
            return continuation.resume(throwing: NetworkError("the connection is gone"))
        }
        setDeadline(.response)
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { [weak self] result in
            self?.cancelDeadline()
            continuation.resume(with: result.mapError { NetworkError("\($0)") })
        }
        context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(bytes))), promise: promise)
        watchResponse()
    }
}
