// A connection's bytes on the reactor.

#if os(Linux)

import CDuplexLinux
import Logging
import NIOCore

#if canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Moves the bytes of one connection on the reactor; confined to the loop's thread.
///
/// `@exclusivity(unchecked)`: accesses to these variables do not span calls.
final class ReactorTransport: Transport {
    private enum Ending { case none, sending, all }

    private let socket: WebSocket
    /// What the system has not taken; most of the time there is nothing, and no queue.
    @exclusivity(unchecked) private var queue: SendQueue?
    /// Given back when this goes, which is when the connection ends.
    private let slot: HeldSlot
    @exclusivity(unchecked) private var descriptor: OwnedDescriptor?
    /// Whether the system said that it takes no more for now.
    @exclusivity(unchecked) private var isBlocked = false
    @exclusivity(unchecked) private var isReadingPaused = false
    /// Whether the peer has ended its side, and this end has something to say.
    private var hasInputEnded = false
    /// What follows once all is sent.
    private var ending = Ending.none

    init(socket: WebSocket, descriptor: consuming OwnedDescriptor, slot: consuming HeldSlot) {
        self.socket = socket
        self.descriptor = consume descriptor
        self.slot = consume slot
    }

    private var thread: EventThread { socket.thread }
    private var loop: ReactorLoop? { thread.reactor }
    private var number: Int32 { descriptor?.number ?? -1 }

    /// Begins: the handler is told, the handshake answered, and then comes what had been read already.
    func start(_ handler: any WebSocketHandler, answer: ByteBuffer, leftOver: ByteBuffer) {
        guard loop?.add(self, number) == true else {
            let code = errno
            socket.logger.warning("a connection is dropped: epoll can not watch it: \(String(cString: strerror(code)))")
            descriptor = nil
            // Whoever has it already, from its handler's making, is told as of any other's end.
            begin(handler, answer)
            socket.transportFailed(IOError(errnoCode: code, reason: "epoll_ctl"))
            return socket.transportClosed()
        }
        begin(handler, answer)
        guard leftOver.readableBytes > 0 else { return }
        thread.beginTurn()
        socket.receive(leftOver)
        thread.readCompleted()
        socket.readCompleted()
    }

    /// Begins where the loop watches the descriptor already, and has read nothing but the handshake.
    func startWatched(_ handler: any WebSocketHandler, answer: ByteBuffer) {
        loop?.replaceGuest(by: self, number)
        begin(handler, answer)
    }

    private func begin(_ handler: any WebSocketHandler, _ answer: ByteBuffer) {
        write(.shared(answer))
        socket.start(transport: self, handler: handler)
        // A closure that awaits messages begins here.
        thread.runWokenTasks()
        // What the handler says leaves with it.
        if !socket.isDirty { flush() }
    }

    // MARK: From the loop

    @inline(__always)
    func ready(_ events: UInt32) {
        if events & duplex_epoll_out != 0 { becameWritable() }
        // The system tells of a reset and of a full close even where nothing is awaited; what came before them is read first.
        let hasEnded = events & (duplex_epoll_err | duplex_epoll_hup) != 0
        if hasEnded || events & duplex_epoll_in != 0 { readOnce() }
    }

    /// Reads what is there, as much as the thread's buffer holds.
    @inline(__always)
    private func readOnce() {
        guard descriptor != nil else { return }
        // The socket is kept by this transport, the thread by the socket, and this transport by whoever calls: to retain and release them at
        // each step would cost as much as the steps do.
        Unmanaged.passUnretained(socket)._withUnsafeGuaranteedRef { socket in
            Unmanaged.passUnretained(socket.thread)._withUnsafeGuaranteedRef { readOnce(socket, $0) }
        }
    }

    @inline(__always)
    private func readOnce(_ socket: WebSocket, _ thread: EventThread) {
        thread.beginTurn()
        var buffer = thread.takeReadBuffer()
        var code: Int32 = 0
        let count = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 0) { room in
            let result = duplex_recv(number, room.baseAddress, room.count)
            if result < 0 { code = errno }
            return max(0, result)
        }
        if count > 0 {
            socket.receive(buffer)
            thread.giveBackReadBuffer(consume buffer)
            thread.readCompleted()
            socket.readCompleted()
        } else {
            thread.giveBackReadBuffer(consume buffer)
            if code != EAGAIN && code != EINTR { ended(code) }
        }
    }

    /// The peer has ended its side (0), or the connection broke.
    private func ended(_ code: Int32) {
        if code == 0 && !hasInputEnded && (!isQueueEmpty || socket.hasUnsentFrames) { return inputEnded() }
        if code != 0 { socket.transportFailed(IOError(errnoCode: code, reason: "recv")) }
        closeDescriptor()
        socket.transportClosed()
    }

    /// The peer may still read what waits for it.
    private func inputEnded() {
        hasInputEnded = true
        pauseReading()
        socket.inputEnded()
    }

    private func closeDescriptor() {
        guard descriptor != nil else { return }
        loop?.remove(number)
        descriptor = nil
        queue?.retry?.cancel()
        queue?.retry = nil
    }

    private func forgetQueue() { queue = nil }

    // MARK: Sending

    /// No more than this is taken at a time: what waits in the outbox can still be dropped, or preceded by a pong.
    private static let maxBuffered = 65_536

    var isWritable: Bool { !isBlocked && bufferedBytes < Self.maxBuffered }

    var bufferedBytes: Int { queue?.bytes ?? 0 }

    private var isQueueEmpty: Bool { queue?.pieces.isEmpty ?? true }

    func write(_ piece: Outbox.Piece) {
        guard descriptor != nil, ending == .none else { return }
        let queue = madeQueue
        queue.pieces.append(piece)
        queue.bytes += piece.count
    }

    private var madeQueue: SendQueue {
        if let queue { return queue }
        let made = loop?.takeQueue() ?? SendQueue()
        queue = made
        return made
    }

    func writeAndFlush(_ bytes: ByteBuffer) {
        let taken = bytes.withUnsafeReadableBytes { sendAtOnce($0) }
        if taken != bytes.readableBytes { queueRest(.shared(bytes), taken) }
    }

    func writeAndFlush(_ frames: consuming FrameBuffer) {
        let taken = sendAtOnce(frames.bytes)
        if taken == frames.count { thread.giveBack(consume frames) } else { queueRest(.frames(consume frames), taken) }
    }

    func writeAndFlush(_ frames: FrameBuffer, _ bytes: ByteBuffer) {
        let taken = canSendAtOnce ? bytes.withUnsafeReadableBytes { sendBoth(frames.bytes, $0) } : 0
        if taken == frames.count + bytes.readableBytes { return thread.giveBack(frames) }
        write(.frames(frames))
        queueRest(.shared(bytes), taken)
    }

    /// Gives two runs of bytes to the system in one call; says how many bytes it took.
    private func sendBoth(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) -> Int {
        var vectors = (
            iovec(iov_base: UnsafeMutableRawPointer(mutating: first.baseAddress), iov_len: first.count),
            iovec(iov_base: UnsafeMutableRawPointer(mutating: second.baseAddress), iov_len: second.count)
        )
        return withUnsafeMutableBytes(of: &vectors) { vectors in
            var message = msghdr()
            message.msg_iov = vectors.assumingMemoryBound(to: iovec.self).baseAddress
            message.msg_iovlen = 2
            return max(0, sendmsg(number, &message, Int32(MSG_NOSIGNAL)))
        }
    }

    /// Whether nothing is before what comes now.
    @inline(__always)
    private var canSendAtOnce: Bool { queue == nil && !isBlocked && descriptor != nil && ending == .none }

    /// Gives bytes to the system that go behind no others; says how many it took.
    @inline(__always)
    private func sendAtOnce(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard canSendAtOnce else { return 0 }
        return max(0, duplex_send(number, bytes.baseAddress, bytes.count))
    }

    @inline(never)
    private func queueRest(_ piece: Outbox.Piece, _ taken: Int) {
        write(piece)
        if taken > 0, let queue { took(taken, queue) }
        // Asks again, and is told why the system took less.
        flush()
    }

    func flush() {
        while let queue, !queue.pieces.isEmpty, !isBlocked, descriptor != nil {
            let result = queue.send(to: number)
            if result >= 0 { took(result, queue) } else { refused(errno) }
        }
        if isQueueEmpty { finish() }
    }

    /// Forgets what the system has taken.
    @inline(__always)
    private func took(_ count: Int, _ queue: SendQueue) {
        queue.bytes -= count
        var rest = queue.written + count
        var done = 0
        while done < queue.pieces.count && rest >= queue.pieces[done].count {
            rest -= queue.pieces[done].count
            if case .frames(let frames) = queue.pieces[done] { thread.giveBack(frames) }
            done += 1
        }
        queue.written = rest
        guard done == queue.pieces.count else { return queue.pieces.removeFirst(done) }
        queue.pieces.removeAll(keepingCapacity: done <= SendQueue.maxVectors)
        guard queue.retry == nil else { return }
        self.queue = nil
        loop?.giveBack(queue)
    }

    /// Not private: no test can have the system run out of memory.
    func refused(_ code: Int32) {
        switch code {
        case EINTR: break
        case EAGAIN: block()
        case ENOBUFS, ENOMEM:
            // The socket itself would take more, so waiting for it would not wait at all.
            isBlocked = true
            armRetry()
        default:
            // EPIPE, ECONNRESET and their like. What the peer said before may still lie there: perhaps a close frame that says why.
            forgetQueue()
            loop?.afterwards { [self] in readToEnd(code) }
        }
    }

    func limitUnsent() {
        guard descriptor != nil else { return }
        var limit = CInt(maxUnsentBytes)
        // Where it can not be had, more waits, and nothing is lost.
        _ = setsockopt(number, CInt(IPPROTO_TCP), TCP_NOTSENT_LOWAT, &limit, socklen_t(MemoryLayout.size(ofValue: limit)))
    }

    private func block() {
        isBlocked = true
        watch()
    }

    private func armRetry() {
        let queue = madeQueue
        guard queue.retry == nil else { return }
        queue.retry = loop?.schedule(at: .now() + .milliseconds(10)) { [weak self] in
            self?.queue?.retry = nil
            self?.becameWritable()
        }
    }

    private func becameWritable() {
        guard isBlocked, queue?.retry == nil, descriptor != nil else { return }
        isBlocked = false
        watch()
        flush()
        if !isBlocked { socket.transportBecameWritable() }
    }

    private func readToEnd(_ code: Int32) {
        guard descriptor != nil else { return }
        // Once, and what is read is what the buffer holds: the peer is gone, and will not be told how much was missed.
        readOnce()
        if descriptor != nil { ended(code) }
    }

    // MARK: Reading

    func pauseReading() {
        isReadingPaused = true
        watch()
    }

    func resumeReading() {
        // There is nothing to read but the end, again and again.
        isReadingPaused = hasInputEnded
        watch()
    }

    private func watch() {
        guard descriptor != nil else { return }
        let output = isBlocked && queue?.retry == nil ? duplex_epoll_out : 0
        loop?.watch(number, (isReadingPaused ? 0 : duplex_epoll_in) | output)
    }

    // MARK: The end

    func finishSending() {
        guard ending == .none else { return }
        ending = .sending
        if isQueueEmpty { finish() }
    }

    func closeAfterFlush() {
        guard ending != .all else { return }
        ending = .all
        if isQueueEmpty { finish() }
    }

    private func finish() {
        guard descriptor != nil else { return }
        switch ending {
        case .none: break
        case .sending: shutdown(number, Int32(SHUT_WR))
        case .all: terminate()
        }
    }

    func terminate() {
        guard descriptor != nil else { return }
        closeDescriptor()
        // A handler may be running; it is told afterwards.
        loop?.afterwards { [self] in socket.transportClosed() }
    }
}

#endif
