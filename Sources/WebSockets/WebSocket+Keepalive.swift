// Pings, pongs, round-trip times and the connection's one timer: RFC 6455 §5.5.2–5.5.3.

import Logging
import NIOCore
import Synchronization
import WebSocketCore

/// A ping that awaits its pong.
struct PendingPing {
    let payload: UInt64
    let sentAt: NIODeadline
    let continuation: CheckedContinuation<Duration, any Error>?
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
    /// - Throws: `UsageError` after a close; `ConnectionClosed` if the connection ends first.
    @discardableResult
    public nonisolated(nonsending) func ping() async throws -> Duration {
        try await withCheckedThrowingContinuation { continuation in
            thread.perform { self.sendPing(continuation) }
        }
    }

    // MARK: Pings of ours

    private func sendPing(_ continuation: CheckedContinuation<Duration, any Error>?) {
        guard connection.state == .open, transport != nil else {
            continuation?.resume(throwing: UsageError(.sendAfterClose))
            return
        }
        let payload = UInt64.random(in: .min ... .max)
        pings.append(PendingPing(payload: payload, sentAt: .now(), continuation: continuation))
        append(.ping, ByteBuffer(integer: payload))
    }

    /// A pong answers its ping and, as §5.5.3 lets a peer answer only the most recent, all that went before it.
    func takePong() {
        let bytes = connection.controlPayload
        guard bytes.count == 8 else { return }
        let payload = bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard let index = pings.firstIndex(where: { $0.payload == payload }) else { return }
        let now = NIODeadline.now()
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
    }

    // MARK: The timer

    func startKeepalive() {
        guard let settings = configuration.keepalive else { return }
        keepalive = WebSocketCore.Keepalive(
            interval: settings.interval, timeout: settings.timeout, now: Timestamp(thread.now))
        checkKeepalive()
    }

    private func checkKeepalive() {
        guard keepalive != nil else { return armTimer() }
        let action = keepalive?.check(at: Timestamp(thread.now), isReadingPaused: inbox?.isPaused == true)
        switch action {
        case .wait(let moment): armTimer(keepaliveAt: moment)
        case .ping(let moment):
            sendPing(nil)
            armTimer(keepaliveAt: moment)
        case .dead: giveUp()
        case nil: break
        }
    }

    private func giveUp() {
        guard let settings = configuration.keepalive else { return }
        let cause = NetworkError("the peer was silent for \(settings.interval) and did not answer a ping within \(settings.timeout)")
        logger.info("cutting the connection: \(cause)", metadata: ["peer": "\(peerDescription)"])
        cut(cause)
    }

    /// Sets the timer to the close deadline or the next look at the keepalive, whichever there is: they are never there together.
    func armTimer(keepaliveAt: Timestamp? = nil) {
        guard transport != nil, let moment = closeDeadline ?? keepaliveAt else { return }
        timer?.cancel()
        timer = thread.schedule(at: NIODeadline(moment)) { [weak self] in self?.timerFired() }
    }

    private func timerFired() {
        guard let closeDeadline else { return checkKeepalive() }
        if Timestamp(thread.now) >= closeDeadline {
            cut(NetworkError("the peer did not finish the close handshake within \(configuration.closeTimeout)"))
        } else {
            armTimer()
        }
    }
}
