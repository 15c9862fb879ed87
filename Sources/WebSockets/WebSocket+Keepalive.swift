// Pings, pongs, round-trip times and the connection's one timer: RFC 6455 §5.5.2–5.5.3.

import Logging
import NIOCore
import Synchronization
import WebSocketCore

/// A ping that awaits its pong.
struct PendingPing {
    let payload: UInt64
    let sentAt: NIODeadline
    /// Nil for the keepalive's, and for one whose task was cancelled.
    var continuation: CheckedContinuation<Duration, any Error>?
    let wait: Wait?
}

/// Fresh mask keys: RFC 6455 §5.3 wants each "derived from a strong source of entropy", so that nobody who chooses the payload can
/// choose the bytes on the wire. The system's generator is one; it gives two keys a call.
struct MaskKeys {
    private var generator = SystemRandomNumberGenerator()
    private var spare: UInt32?

    mutating func next() -> UInt32 {
        if let key = spare.take() { return key }
        let bits: UInt64 = generator.next()
        spare = UInt32(truncatingIfNeeded: bits >> 32)
        return UInt32(truncatingIfNeeded: bits)
    }
}

extension WebSocket {
    /// Sends a ping and waits for its pong (RFC 6455 §5.5.2).
    ///
    /// - Returns: the round-trip time.
    /// - Throws: `UsageError` after a close; `ConnectionClosed` if the connection ends first; `CancellationError` if the task is
    ///   cancelled, as nothing else ends the wait for a peer that goes on talking but answers no ping.
    @discardableResult
    public nonisolated(nonsending) func ping() async throws -> Duration {
        guard readyState == .open else { throw UsageError(.sendAfterClose) }
        let wait = Wait()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                thread.perform { self.sendPing(continuation, wait) }
            }
        } onCancel: {
            wait.cancel()
            thread.performLater { self.cancelPing(wait) }
        }
    }

    // MARK: Pings of ours

    private func sendPing(_ continuation: CheckedContinuation<Duration, any Error>?, _ wait: Wait? = nil) {
        if wait?.isCancelled == true { return continuation?.resume(throwing: CancellationError()) ?? () }
        guard connection.state == .open, transport != nil else {
            continuation?.resume(throwing: UsageError(.sendAfterClose))
            return
        }
        let payload = UInt64.random(in: .min ... .max)
        // Those that nobody awaits give way to the new one: a peer that answers none would otherwise have us keep them all.
        pings.removeAll { $0.continuation == nil }
        pings.append(PendingPing(payload: payload, sentAt: thread.exactNow, continuation: continuation, wait: wait))
        append(.ping, ByteBuffer(integer: payload))
    }

    private func cancelPing(_ wait: Wait) {
        guard let index = pings.firstIndex(where: { $0.wait === wait }) else { return }
        pings[index].continuation.take()?.resume(throwing: CancellationError())
    }

    /// A pong answers its ping and, as §5.5.3 lets a peer answer only the most recent, all that went before it.
    func takePong() {
        let bytes = connection.controlPayload
        guard bytes.count == 8 else { return }
        let payload = bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard let index = pings.firstIndex(where: { $0.payload == payload }) else { return }
        let now = thread.exactNow
        let answered = pings[...index]
        pings.removeFirst(index + 1)
        for ping in answered {
            let roundTrip = Duration.nanoseconds((now - ping.sentAt).nanoseconds)
            lastRoundTrip.store((now - ping.sentAt).nanoseconds, ordering: .relaxed)
            ping.continuation?.resume(returning: roundTrip)
        }
    }

    // MARK: Pings of the peer

    /// Answers a ping: §5.5.3 "a Pong frame sent in response to a Ping frame must have identical Application data".
    ///
    /// While the transport takes nothing, only the latest is kept ("it MAY elect to send a Pong frame for only the most recently
    /// processed Ping frame"), and goes before the data that waits.
    func answerPing() {
        let payload = ByteBuffer(bytes: connection.controlPayload)
        if transport?.isWritable == true && outbox.byteCount <= configuration.sendHighWaterMark {
            append(.pong, payload)
        } else {
            heldPong = payload
            markDirty()
        }
    }

    func sendHeldPong() {
        guard let payload = heldPong.take(), connection.state == .open else { return }
        let header = FrameHeader(opcode: .pong, payloadLength: payload.readableBytes, maskKey: nextMaskKey())
        transport?.write(.shared(ByteBuffer(header, payload)))
        countWritten(header.encodedLength + payload.readableBytes)
    }

    // MARK: The timer

    func startKeepalive() {
        guard let settings = configuration.keepalive else { return }
        let now = Timestamp(thread.now)
        keepalive = WebSocketCore.Keepalive.State(now: now)
        armTimer(keepaliveAt: now.advanced(by: settings.interval))
    }

    /// Looks whether the peer is still there, by two rules:
    ///
    /// - It was silent for `interval`, and then for `timeout` after a ping. While this end itself does not read, be it that the program
    ///   does not take the messages or that the peer does not take the answers, no pong can be seen, and silence proves nothing.
    /// - It has taken nothing of what waits for it for `interval + timeout`, whatever it sends: a peer that never reads would otherwise
    ///   keep the connection and its queue for ever. Time in which this program keeps the peer waiting does not count: the peer may not
    ///   read because it waits for us.
    ///
    /// What waited and has left is a sign of life, too: the system's buffer was full, so room in it means that the peer's system took
    /// something. A ping behind a long queue on a slow line therefore cuts nobody off.
    private func checkKeepalive() {
        guard keepalive != nil, let settings = configuration.keepalive, let terms = shared.keepalive else { return armTimer() }
        let now = Timestamp(thread.now)
        updateQueuedBytes()
        // Where nothing waits, nor has, there is nothing to see.
        let finding =
            waitingBytes == 0 && rare == nil
            ? StallWatch.Finding()
            : stallWatch.look(at: now, waiting: waitingBytes, sent: bytesWritten - transportBytes, isExcused: keepsPeerWaiting)
        if finding.hasMoved { keepalive?.heard(at: now) }
        let stallEnd = finding.stalledSince?.advanced(by: settings.interval + settings.timeout)
        if let stallEnd, now >= stallEnd {
            return giveUp("the peer took nothing of the \(waitingBytes) bytes that wait for it for \(settings.interval + settings.timeout)")
        }
        switch keepalive?.check(at: now, terms, isReadingPaused: inbox?.isPaused == true || isReadingHeldUp) {
        case .wait(let moment): armTimer(keepaliveAt: Swift.min(moment, stallEnd ?? moment))
        case .ping(let moment):
            sendPing(nil)
            armTimer(keepaliveAt: Swift.min(moment, stallEnd ?? moment))
        case .dead: giveUp("the peer was silent for \(settings.interval) and did not answer a ping within \(settings.timeout)")
        case nil: break
        }
    }

    /// Whether this program, rather than the peer, holds up what goes on: messages wait to be taken, and nobody waits to send.
    private var keepsPeerWaiting: Bool { inbox?.isPaused == true && sendWaiters.isEmpty && pieceWaiters.isEmpty }

    private func giveUp(_ what: String) {
        let cause = NetworkError(what)
        logger.info("cutting the connection: \(cause)", metadata: ["peer": "\(peerDescription)"])
        cut(cause)
    }

    /// Sets the timer to the close deadline or the next look at the keepalive, whichever there is: they are never there together.
    func armTimer(keepaliveAt: Timestamp? = nil) {
        guard transport != nil, let moment = closeDeadline ?? keepaliveAt else { return }
        thread.arm(self, at: NIODeadline(moment))
    }

    package func timerFired() {
        guard let closeDeadline else { return checkKeepalive() }
        if Timestamp(thread.now) >= closeDeadline {
            cut(NetworkError("the peer did not finish the close handshake within \(configuration.closeTimeout)"))
        } else {
            armTimer()
        }
    }
}
