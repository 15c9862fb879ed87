// How a connection ends: RFC 6455 §7.

import HTTPTypes
import Logging
import NIOCore
import Synchronization
public import WebSocketCore

extension WebSocket {
    // MARK: Any thread

    /// Begins the close handshake with 1000; what was sent before leaves first.
    ///
    /// Does nothing if the connection is closing already. A peer that does not answer within `closeTimeout` is cut off.
    public func close() { thread.perform { self.beginClose(.normalClosure, "") } }

    /// Begins the close handshake (RFC 6455 §7.1.2); what was sent before leaves first.
    ///
    /// - Parameters:
    ///   - code: 1000–1003, 1007–1014 or 3000–4999.
    ///   - reason: at most 123 bytes of UTF-8.
    /// - Throws: `UsageError` for a code or reason that may not be sent.
    public func close(code: CloseCode, reason: String = "") throws(UsageError) {
        guard code.isSendable else { throw UsageError(.invalidCloseCode) }
        guard reason.utf8.count <= 123 else { throw UsageError(.closeReasonTooLong) }
        thread.perform { self.beginClose(code, reason) }
    }

    /// Cuts the connection at once, without a close handshake.
    public func terminate() { thread.perform { self.cut(nil) } }

    /// Waits until the connection has ended, and says how.
    public nonisolated(nonsending) func waitUntilClosed() async -> Closure {
        // Without a way to the thread and back.
        if let closure = endedClosure { return closure }
        return await withCheckedContinuation { continuation in
            thread.perform { self.park(continuation) }
        }
    }

    /// How the connection ended, once it has: written before `readyState` turns to closed, and never after.
    private var endedClosure: Closure? { readyState == .closed ? finalClosure : nil }

    private func park(_ continuation: CheckedContinuation<Closure, Never>) {
        if transport == nil, let closure = connection.closure {
            continuation.resume(returning: closure)
        } else {
            closeWaiters.append(continuation)
        }
    }

    // MARK: On the thread

    func beginClose(_ code: CloseCode, _ reason: String) {
        assertOwned()
        if thread.hasBurst { letBurstPass() }
        guard let frame = (try? connection.close(code: code, reason: reason)).flatMap({ $0 }) else { return }
        readyState = .closing
        inbox?.discard()
        sendClose(frame)
    }

    /// The peer's close frame has come (§7.1.3–7.1.4).
    func receivedClose(beganByPeer: Bool) {
        // Whoever awaits the messages that came with it may answer them first, as a callback handler already has.
        if beganByPeer { thread.runWokenTasks() }
        readyState = .closing
        inbox?.finish(closeResult)
        if let frame = connection.answerClose() { sendClose(frame) } else { markDirty() }
    }

    /// The peer broke the protocol or a limit (§7.1.7).
    func fail(_ error: ProtocolError) {
        closeCause = error
        logger.info("closing: \(error)", metadata: ["peer": "\(peerDescription)", "path": "\(path)"])
        readyState = .closing
        if let frame = connection.fail(error) { sendClose(frame) } else { markDirty() }
        inbox?.finish(closeResult)
    }

    /// The peer reads too slowly: what waits for it is dropped, as it would take the close frame with it.
    func cutOffSlowReader() {
        guard readyState == .open || isCondemned else { return }
        let limit = configuration.maxSendBuffer
        logger.info("closing: the peer reads too slowly", metadata: ["peer": "\(peerDescription)", "maxSendBuffer": "\(limit)"])
        cutOff("reads too slowly", "the peer read too slowly: over \(limit) bytes waited to be sent (limit maxSendBuffer)")
    }

    /// The thread is too slow for what is published to this connection, which must not miss any of it.
    func cutOffFromBacklog(limit: Int) {
        logger.info(
            "closing: more is published than this thread can deliver",
            metadata: ["peer": "\(peerDescription)", "maxPublicationBacklog": "\(limit)"])
        cutOff(
            "too much is published",
            "more was published than the server could deliver: over \(limit) bytes waited (limit maxPublicationBacklog)")
    }

    private func cutOff(_ reason: String, _ cause: String) {
        closeCause = NetworkError(cause)
        readyState = .closing
        outbox.removeAll()
        if let frame = connection.fail(code: .tryAgainLater, reason: reason) { sendClose(frame) }
        inbox?.finish(closeResult)
    }

    private func sendClose(_ payload: [UInt8]) {
        append(.close, ByteBuffer(bytes: payload))
        closeDeadline = Timestamp(thread.now).advanced(by: configuration.closeTimeout)
        keepalive = nil
        dropDeferred()
        armTimer()
        // Nobody may be taking messages any more; the peer's close frame and the end of TCP must be read all the same.
        inbox?.readOn(self)
        wakeAllWaiters()
    }

    private func dropDeferred() {
        guard rare != nil else { return }
        deferred = []
        deferredBytes = 0
    }

    private func wakeAllWaiters() {
        guard rare != nil else { return }
        sendWaiters.resumeAll()
        pieceWaiters.resumeAll()
    }

    /// Puts a control frame into the outbox, whatever the connection's state.
    func append(_ opcode: Opcode, _ payload: ByteBuffer) {
        let header = FrameHeader(opcode: opcode, payloadLength: payload.readableBytes, maskKey: nextMaskKey())
        outbox.append(header, payload, thread)
        markDirty()
    }

    /// Everything is said: ends TCP, in the order of §7.1.1.
    func finishIfFlushed() {
        guard outbox.isEmpty, let transport else { return }
        if hasInputEnded {
            transport.closeAfterFlush()
        } else if connection.closure?.isClean != true {
            // The peer may still be sending. Closing with unread bytes would reset the connection, and the reset would overtake
            // our close frame; so only our side ends, and the rest is read until the peer's end or the deadline.
            transport.finishSending()
        } else if connection.role == .server {
            // §7.1.1: "The server MUST close the TCP connection immediately" after both close frames.
            transport.closeAfterFlush()
        }
        // A client waits: "in abnormal cases (such as not having received a TCP Close from the server after a reasonable amount of
        // time) a client MAY initiate the TCP Close"; the deadline does.
    }

    /// Cuts the connection.
    func cut(_ cause: NetworkError?) {
        assertOwned()
        guard let transport else { return }
        if closeCause == nil { closeCause = cause }
        connection.disconnected(by: .local)
        // The transport tells of the end later, and what is sent until then is not sent.
        readyState = .closing
        transport.terminate()
    }

    /// The peer has ended its side, of TCP or of TLS: nothing more comes, and what was said to it leaves, if it does so within `closeTimeout`.
    ///
    /// > RFC 6455 §5.5.1: If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST send a
    /// > Close frame in response.
    func inputEnded() {
        guard transport != nil, !hasInputEnded else { return }
        connection.disconnected(by: .remote)
        readyState = .closing
        keepalive = nil
        hasInputEnded = true
        if closeDeadline == nil { closeDeadline = Timestamp(thread.now).advanced(by: configuration.closeTimeout) }
        armTimer()
        // What waits is written now, and the transport closes behind it.
        flush()
    }

    /// The system reported an error; the transport closes next.
    func transportFailed(_ error: any Error) {
        if closeCause == nil { closeCause = NetworkError("the connection broke: \(error)", underlying: error) }
    }

    /// The transport is gone.
    func transportClosed() {
        guard transport != nil else { return }
        connection.disconnected(by: .remote)
        transport = nil
        outbox.removeAll()
        dropDeferred()
        updateQueuedBytes()
        finalClosure = connection.closure
        readyState = .closed
        thread.disarm(self)
        thread.remove(self)
        leaveTopics()
        guard let closure = connection.closure else { return }
        thread.statistics.closed(closure.code)
        logClosed(closure)
        settle(closure)
    }

    private func settle(_ closure: Closure) {
        inbox?.finish(closeResult)
        wakeAllWaiters()
        guard let rare else { return tellHandler(closure) }
        for ping in rare.pings { ping.continuation?.resume(throwing: closedError(closure)) }
        rare.pings = []
        for waiter in rare.closeWaiters { waiter.resume(returning: closure) }
        rare.closeWaiters = []
        rare.assembly = nil
        tellHandler(closure)
    }

    private func tellHandler(_ closure: Closure) {
        let handler = handler
        self.handler = nil
        handler?.closed(self, closure)
    }

    private func logClosed(_ closure: Closure) {
        let seconds = Double((thread.now - openedAt).nanoseconds) / 1e9
        var metadata: Logger.Metadata = [
            "path": "\(path)", "peer": "\(peerDescription)", "closure": "\(closure)", "seconds": "\(seconds)",
        ]
        if let closeCause { metadata["cause"] = "\(closeCause)" }
        logger.debug("closed", metadata: metadata)
    }

    private var closeResult: Result<Void, ConnectionClosed> {
        guard let closure = connection.closure else { return .success(()) }
        return closure.isNormal || endedByUs(closure) ? .success(()) : .failure(closedError(closure))
    }

    /// Whether this end closed on purpose, with a normal code: the sequence ends, even if the peer's answer never came.
    private func endedByUs(_ closure: Closure) -> Bool {
        closure.initiator == .local && closeCause == nil && (closure.code == .normalClosure || closure.code == .goingAway)
    }

    func closedError(_ closure: Closure) -> ConnectionClosed { ConnectionClosed(closure: closure, cause: closeCause) }
}
