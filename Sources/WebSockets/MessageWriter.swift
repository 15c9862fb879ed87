// A message that leaves piece by piece: RFC 6455 §5.4.

public import NIOCore
public import WebSocketCore

/// Sends one message piece by piece; see `WebSocket.sendMessage`.
public struct MessageWriter: Sendable {
    let socket: WebSocket
    /// Which message it is, so that a writer that outlives its message cannot write into the next one.
    let message: Int

    /// Sends a piece of text, and suspends first while too much waits to be sent.
    ///
    /// - Throws: `UsageError` after a close; `CancellationError` if the task is cancelled while it waits.
    public nonisolated(nonsending) func write(_ text: some StringProtocol) async throws {
        try await socket.writePiece(ByteBuffer(substring: Substring(text)), of: message, isLast: false)
    }

    /// Sends a piece; in a text message it may end inside a character, as long as the whole is UTF-8.
    ///
    /// - Throws: `UsageError` after a close, or for text that is not UTF-8; `CancellationError` if the task is cancelled while it waits.
    public nonisolated(nonsending) func write(_ bytes: ByteBuffer) async throws {
        try await socket.writePiece(bytes, of: message, isLast: false)
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
        let message = try await onThread { try $0.beginPieces(kind) }
        do {
            try await body(MessageWriter(socket: self, message: message))
            try await writePiece(ByteBuffer(), of: message, isLast: true)
        } catch {
            thread.perform { self.beginClose(.internalServerError, "") }
            throw error
        }
    }

    fileprivate nonisolated(nonsending) func writePiece(_ bytes: ByteBuffer, of message: Int, isLast: Bool) async throws {
        if bufferedAmount > configuration.sendHighWaterMark { try await waitForRoomForPiece() }
        try await onThread { try $0.enqueuePiece(bytes, of: message, isLast: isLast) }
    }

    /// Does something on the connection's thread and waits for it.
    private nonisolated(nonsending) func onThread<R: Sendable>(_ body: @escaping @Sendable (WebSocket) throws -> R) async throws -> R {
        if thread.isCurrent { return try body(self) }
        return try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<R, any Error>) in
            thread.performLater { continuation.resume(with: Result { try body(self) }) }
        }
    }

    // MARK: On the thread

    private func beginPieces(_ kind: MessageKind) throws -> Int {
        if thread.hasBurst { letBurstPass() }
        try connection.beginMessage(kind)
        outgoingText = kind == .text ? UTF8Validator() : nil
        piecemealMessages += 1
        return piecemealMessages
    }

    private func enqueuePiece(_ bytes: ByteBuffer, of message: Int, isLast: Bool) throws {
        guard message == piecemealMessages else { throw UsageError(.noMessageBegun) }
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
