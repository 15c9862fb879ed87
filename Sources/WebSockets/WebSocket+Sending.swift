// From the program to the transport: RFC 6455 §6.1.

import NIOCore
import Synchronization
import WebSocketCore

/// What became of a message that `trySend` was given.
public enum SendResult: Sendable, Hashable {
    /// It leaves with this turn's write.
    case sent
    /// It waits behind others, or for the connection's thread.
    case buffered
    /// It was not taken: the connection is closing or closed, or the peer reads too slowly (`ConnectionConfiguration.maxSendBuffer`).
    case dropped
}

/// The messages that other threads have queued to a connection's own.
struct Transit {
    let bytes: Int
    let count: Int

    private static let shift = 40
    /// How many there may be: 65,536, as even one without a payload takes some 200 bytes until its thread comes to it.
    static let maxCount = 65_536

    /// One message.
    init(bytes: Int) { (self.bytes, count) = (bytes, 1) }

    init(packed: Int) {
        bytes = packed & (1 << Self.shift - 1)
        count = packed >> Self.shift
    }

    var packed: Int { count << Self.shift | bytes }
    var isFull: Bool { count >= Self.maxCount }
}

extension WebSocket {
    var transit: Transit { Transit(packed: inTransit.load(ordering: .relaxed)) }

    // MARK: Any thread

    /// Sends a message, and suspends first while more than `sendHighWaterMark` bytes wait to be sent.
    ///
    /// A message is sent whole or not at all. From one task, messages leave in the order of the calls.
    ///
    /// - Throws: `UsageError.Rule.sendAfterClose`; `CancellationError` if the task is cancelled while it waits: the message was not sent.
    @inlinable @inline(__always)
    public nonisolated(nonsending) func send(_ message: Message) async throws {
        // What need not wait is a plain call.
        if !sendAtOnce(message) { try await sendInTime(message) }
    }

    /// Sends a message if there is room and this is the thread to send it on; false if not.
    @usableFromInline
    func sendAtOnce(_ message: Message) -> Bool {
        guard bufferedAmount <= configuration.sendHighWaterMark, readyState == .open, thread.isCurrent else { return false }
        enqueue(message)
        return true
    }

    @usableFromInline
    nonisolated(nonsending) func sendInTime(_ message: Message) async throws {
        if mustWait { try await waitForRoom() }
        guard readyState == .open else { throw UsageError(.sendAfterClose) }
        if thread.isCurrent { enqueue(message) } else { enqueueElsewhere(message) }
    }

    /// Sends a text message; see `send(_:)`.
    public nonisolated(nonsending) func send(_ text: String) async throws { try await send(.text(text)) }

    /// Sends a message if it can be taken now; never suspends.
    ///
    /// When more than `maxSendBuffer` bytes wait, the message is dropped and the peer, which reads too slowly, is cut off with 1013.
    @discardableResult
    public func trySend(_ message: Message) -> SendResult {
        guard readyState == .open else { return .dropped }
        guard hasRoom(message.payload.readableBytes) else { return drop() }
        guard thread.isCurrent else { return transit.isFull ? drop() : enqueueElsewhere(message) }
        enqueue(message)
        return result
    }

    /// Sends a message that was framed once for many, if it can be taken now; never suspends.
    @discardableResult
    public func trySend(_ prepared: PreparedMessage) -> SendResult {
        guard readyState == .open else { return .dropped }
        guard hasRoom(prepared.frame.readableBytes) else { return drop() }
        guard thread.isCurrent else { return transit.isFull ? drop() : queue(prepared.frame.readableBytes) { $0.enqueue(prepared) } }
        enqueue(prepared)
        return result
    }

    @inline(__always)
    func hasRoom(_ size: Int) -> Bool {
        let buffered = bufferedAmount
        return buffered + size <= configuration.maxSendBuffer || buffered == 0
    }

    @inline(__always)
    var result: SendResult { isTransportWritable && deferred.isEmpty ? .sent : .buffered }

    @inline(never)
    func drop() -> SendResult {
        // Once, however much more it is given before its thread comes to it.
        guard condemn() else { return .dropped }
        thread.perform {
            self.thread.tally.sendsDropped += 1
            self.cutOffSlowReader()
        }
        return .dropped
    }

    @inline(never) @discardableResult
    private func enqueueElsewhere(_ message: Message) -> SendResult {
        queue(message.payload.readableBytes) { $0.enqueue(message) }
    }

    private func queue(_ size: Int, _ enqueue: @escaping @Sendable (WebSocket) -> Void) -> SendResult {
        performInOrder(Transit(bytes: size)) { if self.readyState == .open { enqueue(self) } }
        return .buffered
    }

    // MARK: On the thread

    @inline(__always)
    func enqueue(_ message: Message) {
        assertOwned()
        if thread.hasBurst { letBurstPass() }
        let length = message.payload.readableBytes
        guard !connection.isSendingPieces else { return hold(message) }
        if let codec, codec.takes(message), enqueueCompressed(message, codec) { return }
        guard let header = try? connection.send(message.kind, length: length, maskKey: nextMaskKey()) else { return }
        outbox.append(header, message.payload, thread)
        count(length)
    }

    func enqueue(_ prepared: PreparedMessage) {
        if thread.hasBurst { letBurstPass() }
        // §5.5.1: an endpoint "MUST NOT send any more data frames after sending a Close frame", and the burst may have brought one.
        guard connection.canSend else { return }
        // A client masks each frame with a key of its own, so nothing prepared fits.
        guard connection.role == .server, !connection.isSendingPieces else { return enqueue(prepared.message) }
        if let codec, codec.takes(prepared.message), enqueueCompressed(prepared, codec) { return }
        outbox.append(encoded: prepared.frame, thread)
        count(prepared.message.payload.readableBytes)
    }

    @inline(__always)
    func count(_ length: Int) {
        thread.tally.messagesSent += 1
        thread.tally.bytesSent += length
        thread.pendingBytes += length
        markDirty()
    }

    /// Keeps a message that was sent while another one leaves piece by piece (RFC 6455 §5.4 forbids to interleave them).
    @inline(never)
    private func hold(_ message: Message) {
        deferred.append(message)
        deferredBytes += message.payload.readableBytes
        updateQueuedBytes()
    }

    /// Sends what was held back, once the message of pieces has ended.
    func releaseDeferred() {
        guard !deferred.isEmpty else { return }
        let held = deferred
        deferred = []
        deferredBytes = 0
        for message in held { enqueue(message) }
        markDirty()
    }

    @inline(__always)
    func nextMaskKey() -> UInt32? { connection.role == .server ? nil : maskKeys.next() }

    @inline(__always)
    func markDirty() {
        storeQueuedBytes()
        guard !isDirty else { return }
        isDirty = true
        thread.markDirty(self)
    }

    /// Gives the transport what it takes; called at the end of a turn, and when the transport can take more.
    func flush() {
        isDirty = false
        guard let transport else { return }
        if transport.isWritable {
            if heldPong == nil, let frames = outbox.takeFrames() {
                countWritten(frames.count)
                transport.writeAndFlush(frames)
            } else if heldPong == nil, let (header, payload) = outbox.takeLargeFrame(thread) {
                countWritten(header.count + payload.readableBytes)
                transport.writeAndFlush(header, payload)
            } else {
                flushPieces(transport)
            }
        }
        isTransportWritable = transport.isWritable
        transportBytes = transport.bufferedBytes
        storeQueuedBytes()
        if hasBacklog { sendBacklog() }
        wakeWaiters()
        adjustReading()
        if connection.state == .closed { finishIfFlushed() }
    }

    private func flushPieces(_ transport: any Transport) {
        sendHeldPong()
        let waited = outbox.byteCount
        repeat {
            while transport.isWritable || outbox.isInsideFrame, let piece = outbox.next(thread) { transport.write(piece) }
            transport.flush()
        } while transport.isWritable && !outbox.isEmpty
        countWritten(waited - outbox.byteCount)
    }

    /// The transport can take more.
    func transportBecameWritable() {
        isTransportWritable = true
        thread.inTurn {
            if !outbox.isEmpty || heldPong != nil || isHeldUp || hasBacklog { markDirty() } else { updateQueuedBytes() }
        }
    }

    func updateQueuedBytes() {
        transportBytes = transport?.bufferedBytes ?? 0
        storeQueuedBytes()
    }

    @inline(__always)
    private func storeQueuedBytes() { queuedBytes.store(waitingBytes + deferredBytes, ordering: .relaxed) }

    /// Whether the transport has not been given all.
    var hasUnsentFrames: Bool { !outbox.isEmpty }

    /// What waits in the outbox and, as last asked, in the transport.
    var waitingBytes: Int { outbox.byteCount + transportBytes }

    /// The bytes that must wait no longer before those who wait for room go on.
    var lowWaterMark: Int { configuration.sendHighWaterMark / 2 }

    /// Whether a task or this connection's reading waits until less is to be sent.
    private var isHeldUp: Bool { !sendWaiters.isEmpty || !pieceWaiters.isEmpty || isReadingHeldUp }

    // MARK: Waiting for room

    private var mustWait: Bool { bufferedAmount > configuration.sendHighWaterMark || transit.isFull }

    nonisolated(nonsending) func waitForRoom() async throws {
        while mustWait {
            guard readyState == .open else { throw UsageError(.sendAfterClose) }
            try await parkUntilRoom(isPiece: false)
        }
    }

    /// Waits for room for a piece of a message: for what goes before it only. The messages that are held back go after its end, and to
    /// wait for those would be to wait for ever.
    nonisolated(nonsending) func waitForRoomForPiece() async throws { try await parkUntilRoom(isPiece: true) }

    private nonisolated(nonsending) func parkUntilRoom(isPiece: Bool) async throws {
        let wait = Wait()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                // Later, also on the thread itself: what others have sent counts already, and has to come in before there can be room.
                thread.performLater { self.park(continuation, wait, isPiece) }
            }
        } onCancel: {
            wait.cancel()
            thread.performLater {
                self.sendWaiters.cancel(wait)
                self.pieceWaiters.cancel(wait)
            }
        }
    }

    private func park(_ continuation: CheckedContinuation<Void, any Error>, _ wait: Wait, _ isPiece: Bool) {
        updateQueuedBytes()
        let waiting = isPiece ? waitingBytes : waitingBytes + deferredBytes
        guard readyState == .open, waiting > configuration.sendHighWaterMark else { return continuation.resume() }
        if isPiece { pieceWaiters.add(continuation, wait) } else { sendWaiters.add(continuation, wait) }
    }

    private func wakeWaiters() {
        guard rare != nil else { return }
        if !pieceWaiters.isEmpty && waitingBytes <= lowWaterMark { pieceWaiters.resumeAll() }
        if !sendWaiters.isEmpty && waitingBytes + deferredBytes <= lowWaterMark { sendWaiters.resumeAll() }
    }

    // MARK: Answers nobody reads

    /// Stops reading while a callback handler's answers back up, as awaiting `send` does for `for try await`.
    ///
    /// Only where reading is what fills the outbox: a subscriber whose outbox others fill is read on, and two ends that both send of
    /// their own accord never wait for each other. What is paused sees no pong, nor the peer's close; see `checkKeepalive` for how long.
    private func adjustReading() {
        if isReadingHeldUp {
            if waitingBytes + deferredBytes <= lowWaterMark || readyState != .open { holdUpReading(false) }
        } else if hasAnsweredInRead && readyState == .open && waitingBytes + deferredBytes > configuration.sendHighWaterMark {
            holdUpReading(true)
        }
        hasAnsweredInRead = false
    }

    private func holdUpReading(_ isHeldUp: Bool) {
        isReadingHeldUp = isHeldUp
        setReadingPaused(isHeldUp)
    }
}
