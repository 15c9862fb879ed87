// A message that leaves piece by piece: RFC 6455 §5.4.

public import NIOCore
public import WebSocketCore

/// Sends one message piece by piece; see `WebSocket.sendMessage`.
public struct MessageWriter: Sendable {
    let socket: WebSocket

    /// Sends a piece of text, and suspends first while too much waits to be sent.
    ///
    /// - Throws: `UsageError` after a close; `CancellationError` if the task is cancelled while it waits.
    public nonisolated(nonsending) func write(_ text: some StringProtocol) async throws {
        try await socket.writePiece(ByteBuffer(substring: Substring(text)), isLast: false)
    }

    /// Sends a piece; in a text message it may end inside a character, as long as the whole is UTF-8.
    ///
    /// - Throws: `UsageError` after a close, or for text that is not UTF-8; `CancellationError` if the task is cancelled while it waits.
    public nonisolated(nonsending) func write(_ bytes: ByteBuffer) async throws {
        try await socket.writePiece(bytes, isLast: false)
    }
}

extension WebSocket {
    /// Sends a message piece by piece, for what is too long to hold or is made as it goes (RFC 6455 §5.4).
    ///
    /// Messages that others send meanwhile leave after it; control frames leave in between. If the closure throws, the message can not
    /// be finished, and the connection is closed with 1011.
    ///
    /// - Throws: what the closure throws; `UsageError` after a close, inside another such message, or for text that is not UTF-8.
    public nonisolated(nonsending) func sendMessage(
        _ kind: MessageKind, _ body: nonisolated(nonsending) (MessageWriter) async throws -> Void
    ) async throws {
        try await onThread { try $0.beginPieces(kind) }
        do {
            try await body(MessageWriter(socket: self))
            try await writePiece(ByteBuffer(), isLast: true)
        } catch {
            thread.perform { self.beginClose(.internalServerError, "") }
            throw error
        }
    }

    nonisolated(nonsending) func writePiece(_ bytes: ByteBuffer, isLast: Bool) async throws {
        if bufferedAmount > configuration.sendHighWaterMark { try await waitForRoom() }
        try await onThread { try $0.enqueuePiece(bytes, isLast: isLast) }
    }

    /// Does something on the connection's thread and waits for it.
    private nonisolated(nonsending) func onThread(_ body: @escaping @Sendable (WebSocket) throws -> Void) async throws {
        if thread.isCurrent { return try body(self) }
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            thread.performLater { continuation.resume(with: Result { try body(self) }) }
        }
    }

    // MARK: On the thread

    private func beginPieces(_ kind: MessageKind) throws {
        try connection.beginMessage(kind)
        outgoingText = kind == .text ? UTF8Validator() : nil
    }

    private func enqueuePiece(_ bytes: ByteBuffer, isLast: Bool) throws {
        try checkText(bytes, isLast: isLast)
        let header = try connection.sendPiece(length: bytes.readableBytes, isLast: isLast, maskKey: nextMaskKey())
        outbox.append(header, bytes, thread)
        thread.tally.bytesSent += bytes.readableBytes
        markDirty()
        guard isLast else { return }
        thread.tally.messagesSent += 1
        releaseDeferred()
    }

    private func checkText(_ bytes: ByteBuffer, isLast: Bool) throws {
        guard outgoingText != nil else { return }
        let isValid = bytes.withUnsafeReadableBytes { outgoingText?.validate($0) ?? true }
        guard isValid, !isLast || outgoingText?.isComplete != false else { throw UsageError(.invalidUTF8) }
    }
}
