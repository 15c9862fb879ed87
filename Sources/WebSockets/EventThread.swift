// The thread that owns connections: its turns, and the executor that lets async code run in them.
//
// A turn is one round of the event loop: all sockets that have something are read and their messages handled, then the tasks that
// these woke run, then every connection that has something to say writes once. Writes that follow each other closely also find the
// peers awake; a write to each socket after its read costs the system half as much again. Nothing of a turn is locked, as nothing of it
// leaves the thread.

import NIOCore
import Synchronization

/// The thread that owns connections, and the executor of the tasks that serve them.
///
/// `@unchecked Sendable`: every stored variable but the atomic one is touched only on `loop`'s thread (`isCurrent`); other threads reach
/// it only by `loop.execute`. `@exclusivity(unchecked)`: no access to one of these variables runs foreign code, so none can overlap.
final class EventThread: TaskExecutor, @unchecked Sendable {
    private let loop: any ThreadLoop
    #if os(Linux)
    /// The loop, if it is a reactor.
    let reactor: ReactorLoop?
    #endif
    let statistics: Statistics
    /// What happened on this thread's connections; published at the end of a turn.
    @exclusivity(unchecked) var tally = Tally()
    @exclusivity(unchecked) private var jobs = CircularBuffer<UnownedJob>()
    /// Connections that have something to write, and those of them that are writing it.
    @exclusivity(unchecked) private var dirty: [WebSocket] = []
    @exclusivity(unchecked) private var flushing: [WebSocket] = []
    @exclusivity(unchecked) private var sockets: [WebSocket] = []
    @exclusivity(unchecked) private var isInTurn = false
    @exclusivity(unchecked) private var clock: NIODeadline?
    private let socketAlarm = Alarm<WebSocket>()
    private let requestAlarm = Alarm<HTTPServerHandler>()
    /// What compresses and decompresses for the connections.
    let codecs = DeflateCodecs()
    /// The handlers without state, by their types.
    @exclusivity(unchecked) var statelessHandlers: [ObjectIdentifier: HandlerBox] = [:]
    /// Memory that is free again.
    @exclusivity(unchecked) private var frameBuffers: [FrameBuffer] = []
    @exclusivity(unchecked) private var sealed: [Outbox.Sealed] = []
    @exclusivity(unchecked) private var readBuffer: ByteBuffer?
    /// Buffers in which messages lay that had not been sent yet when the next were read.
    @exclusivity(unchecked) private var lentBuffers: [ByteBuffer] = []
    @exclusivity(unchecked) private var writeBuffer: ByteBuffer?
    /// The subscribers among the connections; nil on a client. Not changed after `init`.
    private(set) var topics: ThreadTopics?
    /// What other threads say to them.
    let mailbox: Mailbox?
    /// Whether there is anything in the mailbox. Whoever has posted something finds that there is, on whichever thread it goes on. Asked at each read.
    let hasMail = Atomic<Bool>(false)
    /// Whether messages to a topic have been collected.
    @exclusivity(unchecked) var hasBurst = false
    /// Bytes that connections want to write at the end of the turn.
    @exclusivity(unchecked) var pendingBytes = 0

    /// How many woken tasks run before the thread looks at its sockets again.
    private static let maxJobsPerTurn = 1024
    /// How many connections are read before the first of them is answered.
    private static let maxPendingPerTurn = 256
    /// How many bytes wait before they are written: more would not fit the processor's caches.
    private static let maxPendingBytes = 65_536
    private static let frameCapacity = 2048
    private static let maxSpares = 128
    fileprivate static let readBufferCapacity = 65_536
    /// As many as `maxPendingBytes` may lie in, and their memory a thread's at most.
    private static let maxLentBuffers = 8

    /// - Parameter broker: the topics that this thread's connections may subscribe to.
    init(loop: any ThreadLoop, statistics: Statistics, broker: TopicBroker? = nil) {
        self.loop = loop
        #if os(Linux)
        reactor = loop as? ReactorLoop
        #endif
        self.statistics = statistics
        mailbox = broker.map { Mailbox(limit: $0.maxBacklog) }
        if let broker, let mailbox { topics = ThreadTopics(broker: broker, mailbox: mailbox, thread: self) }
    }

    convenience init(eventLoop: any EventLoop, statistics: Statistics, broker: TopicBroker? = nil) {
        self.init(loop: NIOLoop(eventLoop), statistics: statistics, broker: broker)
    }

    /// Whether the caller runs on this thread.
    @inline(__always)
    var isCurrent: Bool {
        #if os(Linux)
        // Asked twice a message: by the protocol's witness, the answer costs as much as a small frame's header.
        if let reactor { return reactor.isCurrent }
        #endif
        return loop.isCurrent
    }

    /// The loop's time, so that a test can turn the clock; read once a turn.
    var now: NIODeadline {
        if let clock { return clock }
        let now = loop.now
        if isInTurn { clock = now }
        return now
    }

    /// The loop's time this very moment.
    var exactNow: NIODeadline { loop.now }

    // MARK: Turns

    /// Begins a turn, unless one is under way; it ends by itself once the loop has looked at all its sockets.
    @inline(__always)
    func beginTurn() {
        if !isInTurn { scheduleTurn() }
    }

    private func scheduleTurn() {
        isInTurn = true
        loop.endTurnLater(self)
    }

    /// Notes that a socket has been read: a moment when no handler is running.
    ///
    /// The tasks that wait for its messages run now, so that these need not be kept; what they say is written at the turn's end, unless
    /// it is much.
    @inline(__always)
    func readCompleted() {
        if !jobs.isEmpty { runJobs() }
        if pendingBytes >= Self.maxPendingBytes || dirty.count >= Self.maxPendingPerTurn { flushDirty() }
    }

    /// Runs the tasks that were woken, then lets every connection write what it has to say.
    func endTurn() {
        runJobs()
        flushDirty()
        if tally.isDirty { tally.publish(to: statistics) }
        isInTurn = false
        clock = nil
        // What flushing woke, or was too much for this turn, is for the next one, after another look at the sockets.
        if !jobs.isEmpty || !dirty.isEmpty || hasBurst { scheduleTurn() }
    }

    /// Does something as part of a turn.
    @inline(__always)
    func inTurn(_ body: () -> Void) {
        beginTurn()
        body()
    }

    /// Does something in a turn on this thread, at once if called there.
    func perform(_ body: @escaping @Sendable () -> Void) {
        if isCurrent { inTurn(body) } else { performLater(body) }
    }

    /// Does something in a turn on this thread, later.
    func performLater(_ body: @escaping @Sendable () -> Void) {
        loop.execute { self.inTurn(body) }
    }

    /// Does something in a turn on this thread at a time, unless it is cancelled before; called on the thread.
    func schedule(at deadline: NIODeadline, _ body: @escaping () -> Void) -> LoopTimer {
        loop.schedule(at: deadline) {
            // The turn's time may be from before the deadline, and whoever then asks for the same moment again would be called for ever.
            self.clock = nil
            self.inTurn(body)
        }
    }

    // MARK: Timers

    /// Has a connection's timer fire at a time, and not at the one that was asked for before.
    func arm(_ socket: WebSocket, at deadline: NIODeadline) { socketAlarm.arm(socket, at: deadline, on: self) }
    /// Has a connection's timer not fire.
    func disarm(_ socket: WebSocket) { socketAlarm.disarm(socket) }
    func arm(_ handler: HTTPServerHandler, at deadline: NIODeadline) { requestAlarm.arm(handler, at: deadline, on: self) }
    func disarm(_ handler: HTTPServerHandler) { requestAlarm.disarm(handler) }

    // MARK: Tasks

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if isCurrent { enqueueHere(job) } else { loop.execute { self.enqueueHere(job) } }
    }

    private func enqueueHere(_ job: UnownedJob) {
        jobs.append(job)
        beginTurn()
    }

    /// Runs the tasks that were woken, before the turn's end.
    func runWokenTasks() { runJobs() }

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
        beginTurn()
    }

    /// Writes what has come together, before the turn's end; where no handler is running.
    func writeNow() { flushDirty() }

    private func flushDirty() {
        pendingBytes = 0
        if hasBurst { topics?.write() }
        // Flushing may wake tasks and make other connections dirty; those are for the next turn.
        swap(&dirty, &flushing)
        // The list keeps them: to retain and release each would cost more than many a flush.
        for index in flushing.indices { Unmanaged.passUnretained(flushing[index])._withUnsafeGuaranteedRef { $0.flush() } }
        flushing.removeAll(keepingCapacity: true)
    }

    // MARK: Buffers

    /// An empty buffer to read into.
    func takeReadBuffer() -> ByteBuffer {
        guard var buffer = readBuffer.take() else { return spareReadBuffer() }
        if buffer.isFree { return buffer }
        // A message that somebody keeps lies in it: most likely it is echoed at the turn's end.
        if lentBuffers.count == Self.maxLentBuffers { lentBuffers.removeFirst() }
        lentBuffers.append(buffer)
        return spareReadBuffer()
    }

    private func spareReadBuffer() -> ByteBuffer {
        for index in lentBuffers.indices where lentBuffers[index].isFree { return lentBuffers.remove(at: index) }
        return ByteBufferAllocator().buffer(capacity: Self.readBufferCapacity)
    }

    /// Takes the buffer back that was read into.
    @inline(__always)
    func giveBackReadBuffer(_ buffer: consuming ByteBuffer) { readBuffer = buffer }

    /// Empty memory to collect frames in.
    func takeFrames() -> FrameBuffer { frameBuffers.popLast() ?? FrameBuffer(capacity: Self.frameCapacity) }

    /// Takes memory back whose frames the transport has taken.
    func giveBack(_ frames: consuming FrameBuffer) {
        guard frameBuffers.count < Self.maxSpares, frames.capacity <= 4 * Self.frameCapacity else { return }
        frames.clear()
        frameBuffers.append(frames)
    }

    /// An empty list of pieces that wait.
    func takeSealed() -> Outbox.Sealed { sealed.popLast() ?? Outbox.Sealed() }

    /// Takes a list back in which nothing waits.
    func giveBack(_ list: Outbox.Sealed) {
        if sealed.count < Self.maxSpares { sealed.append(list) }
    }

    /// An empty buffer to write from.
    func takeWriteBuffer(capacity: Int) -> ByteBuffer {
        guard var buffer = writeBuffer.take() else { return ByteBufferAllocator().buffer(capacity: max(capacity, Self.frameCapacity)) }
        // Makes a new one if the system did not take at once what was in it.
        buffer.clear(minimumCapacity: capacity)
        return buffer
    }

    /// Takes the buffer back that was written from.
    func giveBackWriteBuffer(_ buffer: consuming ByteBuffer) {
        if buffer.storageCapacity <= Self.readBufferCapacity { writeBuffer = buffer }
    }

    // MARK: Connections

    /// The open connections of this thread.
    var openSockets: [WebSocket] { sockets }

    func add(_ socket: WebSocket) {
        socket.slot = Int32(clamping: sockets.count)
        sockets.append(socket)
        statistics.opened()
    }

    func remove(_ socket: WebSocket) {
        guard let last = sockets.popLast() else { return }
        if last !== socket {
            last.slot = socket.slot
            sockets[Int(socket.slot)] = last
        }
    }
}

extension ByteBuffer {
    /// Empties it, unless a slice of it is kept elsewhere, or it is too small to read into; says which.
    fileprivate var isFree: Bool {
        mutating get {
            modifyIfUniquelyOwned { buffer in
                buffer.clear()
                return buffer.storageCapacity >= EventThread.readBufferCapacity
            } ?? false
        }
    }
}
