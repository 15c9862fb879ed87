// From the transport to the handler: RFC 6455 §5.4–§5.5, §6.2.

import NIOCore
import WebSocketCore

extension WebSocket {
    /// Takes what arrived; called on the thread, in a turn. `readCompleted` follows.
    func receive(_ buffer: ByteBuffer) {
        assertOwned()
        // What others said before the peer sent this is said before it is answered.
        _ = catchUp()
        keepalive?.heard(at: Timestamp(thread.now))
        countReceived(buffer.readableBytes)
        withInbox { $0.beginBurst(heldBytes: buffer.storageCapacity) }
        let start = buffer.readerIndex
        let waitedBefore = outbox.byteCount + deferredBytes
        buffer.withVeryUnsafeBytes { storage in
            // The bytes come fresh from the socket or the TLS engine, and this is the only place that reads them: unmasking them where
            // they lie changes nothing that anybody else sees, although the buffer pool, too, holds a reference.
            let bytes = UnsafeMutableRawBufferPointer(
                mutating: UnsafeRawBufferPointer(rebasing: storage[start..<buffer.writerIndex]))
            receive(bytes, of: buffer, start: start)
        }
        if inbox == nil && outbox.byteCount + deferredBytes > waitedBefore { hasAnsweredInRead = true }
    }

    @inline(__always)
    private func receive(_ bytes: UnsafeMutableRawBufferPointer, of buffer: ByteBuffer, start: Int) {
        // Taken once a read instead of once a message; neither changes while a handler runs.
        let handler = inbox == nil ? handler : nil
        let recipient = Recipient(
            inbox: inbox.map(Unmanaged.passUnretained), handler: handler.map(Unmanaged.passUnretained), thread: .passUnretained(thread))
        defer { withExtendedLifetime(handler) {} }
        var offset = 0
        do throws(ProtocolError) {
            while let event = try connection.receive(bytes, at: &offset) {
                handle(event, of: buffer, start: start, recipient)
            }
        } catch {
            // What came before the bad frame was right, and whoever awaits it may answer before the connection fails.
            thread.runWokenTasks()
            fail(error)
        }
    }

    /// Who gets the messages. Whoever makes one keeps all of them for as long: to retain and release them for each message is a tenth of
    /// the work where the messages are small.
    private struct Recipient {
        let inbox: Unmanaged<Inbox>?
        let handler: Unmanaged<HandlerBox>?
        let thread: Unmanaged<EventThread>
    }

    @inline(__always)
    private func handle(_ event: Connection.Event, of buffer: ByteBuffer, start: Int, _ recipient: Recipient) {
        switch event {
        case .message(let kind, let range, let isCompressed):
            guard let payload = buffer.getSlice(at: start + range.lowerBound, length: range.count) else { return }
            if isCompressed { return inflate(kind, payload, recipient) }
            deliver(Message(kind: kind, payload: consume payload), range.count, recipient)
        case .piece(let kind, let range, let isCompressed, let isLast):
            guard let piece = buffer.getSlice(at: start + range.lowerBound, length: range.count) else { return }
            guard let payload = assemble(piece, isLast) else { return }
            if isCompressed { return inflate(kind, payload, recipient) }
            deliver(Message(kind: kind, payload: payload), payload.readableBytes, recipient)
        case .ping: answerPing()
        case .pong: takePong()
        case .close(let beganByPeer): receivedClose(beganByPeer: beganByPeer)
        }
    }

    @inline(__always)
    private func deliver(_ message: consuming Message, _ length: Int, _ recipient: Recipient) {
        recipient.thread._withUnsafeGuaranteedRef { thread in
            thread.tally.messagesReceived += 1
            thread.tally.bytesReceived += length
        }
        if let inbox = recipient.inbox {
            inbox._withUnsafeGuaranteedRef { $0.add(message) }
        } else {
            recipient.handler?._withUnsafeGuaranteedRef { $0.received(message, from: self) }
        }
    }

    @inline(never)
    private func inflate(_ kind: MessageKind, _ compressed: ByteBuffer, _ recipient: Recipient) {
        do throws(ProtocolError) {
            let message = try inflate(kind, compressed)
            deliver(message, message.payload.readableBytes, recipient)
        } catch {
            thread.runWokenTasks()
            fail(error)
        }
    }

    /// Collects the pieces of a message that came in several frames or reads; nil while it is not whole.
    @inline(never)
    private func assemble(_ piece: ByteBuffer, _ isLast: Bool) -> ByteBuffer? {
        var whole = assembly.take() ?? startAssembly(piece.readableBytes)
        whole.writeImmutableBuffer(piece)
        if isLast { return whole }
        assembly = whole
        return nil
    }

    /// Room for what is there of a message and for what its frame still brings; not much more than that, however much it announces.
    private func startAssembly(_ length: Int) -> ByteBuffer {
        ByteBufferAllocator().buffer(capacity: length + Swift.min(connection.missingBytes, Swift.max(length, Self.maxEagerRoom)))
    }

    private static var maxEagerRoom: Int { 32_768 }

    /// Notes that a read is over and the tasks that it woke have run.
    @inline(__always)
    func readCompleted() { withInbox { $0.endBurst(self) } }

    /// Begins to read, where that waits for whoever takes the messages: once the code that runs on the thread now awaits something.
    func beginReading() {
        thread.performLater { if self.inbox?.isPaused == false { self.transport?.resumeReading() } }
    }

    // MARK: Back-pressure

    /// Stops or resumes reading, as the inbox or the outbox asks: a connection with an inbox leaves it to that.
    func setReadingPaused(_ isPaused: Bool) {
        assertOwned()
        if isPaused { transport?.pauseReading() } else { transport?.resumeReading() }
    }
}

extension Timestamp {
    @inline(__always)
    init(_ deadline: NIODeadline) { self.init(nanoseconds: deadline.uptimeNanoseconds) }
}

extension NIODeadline {
    init(_ timestamp: Timestamp) { self = .uptimeNanoseconds(timestamp.nanoseconds) }
}
