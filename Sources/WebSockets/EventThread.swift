// The thread that owns connections: its turns, and the executor that lets async code run in them.
//
// A turn is what one read from a socket causes: messages are handled, the tasks that they woke run, and then every connection that has
// something to say writes once. Nothing of it is locked, as nothing of it leaves the thread.

import NIOCore

/// The thread that owns connections, and the executor of the tasks that serve them.
///
/// `@unchecked Sendable`: every stored variable is touched only on `eventLoop`'s thread (`isCurrent`); other threads reach it only by
/// `eventLoop.execute`.
final class EventThread: TaskExecutor, @unchecked Sendable {
    let eventLoop: any EventLoop
    /// What happened on this thread's connections; published at the end of a turn.
    var tally = Tally()
    let statistics: Statistics
    private var jobs = CircularBuffer<UnownedJob>()
    private var dirty: [WebSocket] = []
    private var sockets: [WebSocket] = []
    private var isInTurn = false
    private var isScheduled = false
    /// A buffer that was written out and can be filled again.
    private var spare: ByteBuffer?

    /// How many woken tasks run before the thread looks at its sockets again.
    private static let maxJobsPerTurn = 1024

    init(eventLoop: any EventLoop, statistics: Statistics = Statistics()) {
        self.eventLoop = eventLoop
        self.statistics = statistics
    }

    @inline(__always)
    var isCurrent: Bool { eventLoop.inEventLoop }

    var now: NIODeadline { .now() }

    // MARK: Turns

    /// Begins a turn; `endTurn` follows once what arrived has been handled.
    @inline(__always)
    func beginTurn() { isInTurn = true }

    /// Runs the tasks that were woken, then lets every connection write what it has to say.
    func endTurn() {
        isInTurn = true
        runJobs()
        flushDirty()
        isInTurn = false
        if tally.isDirty { tally.publish(to: statistics) }
        if !jobs.isEmpty || !dirty.isEmpty { scheduleTurn() }
    }

    /// Does something as a turn of its own, or as part of the one that is under way.
    func inTurn(_ body: () -> Void) {
        guard !isInTurn else { return body() }
        beginTurn()
        body()
        endTurn()
    }

    /// Does something in a turn on this thread, at once if called there.
    func perform(_ body: @escaping @Sendable () -> Void) {
        if isCurrent { inTurn(body) } else { eventLoop.execute { self.inTurn(body) } }
    }

    /// Does something in a turn on this thread, later.
    func performLater(_ body: @escaping @Sendable () -> Void) {
        eventLoop.execute { self.inTurn(body) }
    }

    private func scheduleTurn() {
        guard !isInTurn, !isScheduled else { return }
        isScheduled = true
        eventLoop.execute {
            self.isScheduled = false
            self.endTurn()
        }
    }

    // MARK: Tasks

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if isCurrent {
            enqueueHere(job)
        } else {
            eventLoop.execute { self.enqueueHere(job) }
        }
    }

    private func enqueueHere(_ job: UnownedJob) {
        jobs.append(job)
        scheduleTurn()
    }

    private func runJobs() {
        let executor = asUnownedTaskExecutor()
        for _ in 0..<Self.maxJobsPerTurn {
            guard let job = jobs.popFirst() else { return }
            job.runSynchronously(on: executor)
        }
    }

    // MARK: Writes

    /// Lets a connection write at the end of the turn.
    func markDirty(_ socket: WebSocket) {
        dirty.append(socket)
        scheduleTurn()
    }

    private func flushDirty() {
        // Flushing may wake tasks and make other connections dirty; those are for the next turn.
        let round = dirty
        dirty.removeAll(keepingCapacity: true)
        for socket in round { socket.flush() }
    }

    /// An empty buffer to collect frames in.
    func takeBuffer() -> ByteBuffer {
        guard var buffer = spare else { return ByteBufferAllocator().buffer(capacity: 2048) }
        spare = nil
        buffer.clear(minimumCapacity: 2048)
        return buffer
    }

    /// Takes a buffer back that was handed to the transport; one at a time is enough, as one connection writes at a time.
    func giveBack(_ buffer: ByteBuffer) {
        if buffer.storageCapacity <= 65536 { spare = buffer }
    }

    // MARK: Connections

    /// The open connections of this thread.
    var openSockets: [WebSocket] { sockets }

    func add(_ socket: WebSocket) {
        socket.slot = sockets.count
        sockets.append(socket)
        statistics.opened()
    }

    func remove(_ socket: WebSocket) {
        guard let last = sockets.popLast() else { return }
        if last !== socket {
            last.slot = socket.slot
            sockets[socket.slot] = last
        }
    }
}
