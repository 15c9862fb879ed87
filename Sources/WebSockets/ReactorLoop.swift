// The reactor: an epoll loop that reads and writes frames and opens connections, for a server without TLS on Linux.
//
// One round: wait for sockets, handle those that are ready, do what other threads have asked for, call what is due, end the turn (which
// runs the tasks that were woken and writes what is to be said), and tell of the connections that this has ended.

#if os(Linux)

import CDuplexLinux
import HeapModule
import NIOCore
import Synchronization

#if canImport(Musl)
import Musl
#else
import Glibc
#endif

/// An epoll loop; `run` occupies a thread until `stop`.
///
/// `@unchecked Sendable`: the variables below the mark are touched only by the thread that runs the loop (`isCurrent`); the rest is
/// constant, atomic or behind a lock. Once the loop has ended, "the thread that runs the loop" is whichever does a round in its place, one at
/// a time (`LoopWork`). `@exclusivity(unchecked)`: no foreign code runs while one of them is being changed.
final class ReactorLoop: ThreadLoop, SucceededLoop, @unchecked Sendable {
    private let epoll: OwnedDescriptor
    private let wake: OwnedDescriptor
    private let work = LoopWork()
    /// Whether the loop has been woken and has not looked at its work since: one wake-up serves a whole batch.
    private let isWoken = Atomic<Bool>(false)
    private let threadID = Atomic<UInt>(0)
    private let stopping = Atomic<Bool>(false)

    // MARK: Touched on the loop's thread only

    /// The connections by their descriptors.
    @exclusivity(unchecked) private var transports: [ReactorTransport?] = []
    /// The connections that have ended in this round: while it handles their events, nobody else need keep them.
    @exclusivity(unchecked) private var ended: [ReactorTransport] = []
    /// What is watched and is no WebSocket, by descriptor: few at a time.
    @exclusivity(unchecked) private var guests: [Int32: any ReactorGuest] = [:]
    @exclusivity(unchecked) private var timers = Heap<DueTimer>()
    /// How many have been cancelled since those were last thrown out.
    @exclusivity(unchecked) private var cancelledTimers = 0
    /// The thread whose turn is under way.
    @exclusivity(unchecked) private var turn: EventThread?
    /// What waits until no handler is running.
    @exclusivity(unchecked) private var deferred: [() -> Void] = []

    @exclusivity(unchecked) private var queues: [SendQueue] = []
    /// Whether nobody looks at the sockets and the clock any more.
    @exclusivity(unchecked) private(set) var hasEnded = false

    private static let maxEvents = 256
    private static let maxQueues = 256
    /// How many cancelled timers are no bother.
    private static let maxCancelledTimers = 1024

    /// Makes a loop; nil if the system has no descriptors left.
    init?() {
        guard let epoll = OwnedDescriptor(duplex_epoll_create()), let wake = OwnedDescriptor(duplex_eventfd()),
            duplex_epoll_ctl(epoll.number, EPOLL_CTL_ADD, wake.number, duplex_epoll_in) == 0
        else { return nil }
        self.epoll = epoll
        self.wake = wake
    }

    // MARK: Any thread

    var now: NIODeadline { .now() }

    @inline(__always)
    var isCurrent: Bool { threadID.load(ordering: .relaxed) == duplex_current_thread() }

    func execute(_ body: @escaping @Sendable () -> Void) {
        guard work.add(body, for: self) > 0 else { return }
        guard !isWoken.exchange(true, ordering: .acquiringAndReleasing), !isCurrent else { return }
        var one: UInt64 = 1
        // It fails only if the counter is full, and then the loop is awake.
        _ = write(wake.number, &one, 8)
    }

    /// Ends `run`, after what was asked for before.
    func stop() {
        execute { self.stopping.store(true, ordering: .relaxed) }
    }

    // MARK: The loop

    /// Runs until `stop`; what is connected then is cut.
    func run() {
        threadID.store(duplex_current_thread(), ordering: .relaxed)
        withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: Self.maxEvents) { events in
            while !stopping.load(ordering: .relaxed) { runRound(events) }
        }
        for transport in transports { transport?.terminate() }
        for guest in guests.values { guest.loopEnded() }
        guests = [:]
        doDeferred()
        endTurn()
        hasEnded = true
        // Whoever asked for them may hold them, and what they would call holds this loop.
        for timer in timers.unordered { timer.body = nil }
        timers = Heap()
        ended = []
        work.close()
        threadID.store(0, ordering: .relaxed)
        work.succeed(self)
    }

    func doRoundInItsPlace() -> Bool {
        threadID.store(duplex_current_thread(), ordering: .relaxed)
        defer { threadID.store(0, ordering: .relaxed) }
        for body in work.takeAll() { body() }
        endTurn()
        doDeferred()
        ended = []
        return turn != nil
    }

    private func runRound(_ events: UnsafeMutableBufferPointer<epoll_event>) {
        // EINTR is a round without events, and so is whatever else could go wrong: the call itself can not.
        let count = epoll_wait(epoll.number, events.baseAddress, Int32(events.count), timeout)
        for index in 0..<max(0, Int(count)) {
            let number = duplex_event_descriptor(&events[index])
            if number == wake.number { drainWake() } else { ready(number, events[index].events) }
        }
        doWork()
        callDue()
        endTurn()
        doDeferred()
        if !ended.isEmpty { ended = [] }
    }

    /// Milliseconds until something is due; -1 for never.
    private var timeout: Int32 {
        if turn != nil || isWoken.load(ordering: .acquiring) { return 0 }
        guard let due = timers.min?.deadline else { return -1 }
        let nanoseconds = (due - .now()).nanoseconds
        // Rounded up: to wake early would be to spin until it is time.
        return Int32(clamping: max(0, (nanoseconds + 999_999) / 1_000_000))
    }

    @inline(__always)
    private func ready(_ number: Int32, _ events: UInt32) {
        // An event of a connection that an earlier event of this round has ended finds nobody: new ones come once all are handled.
        guard let transport = transports[Int(number)].map(Unmanaged.passUnretained) else { return guestReady(number) }
        // The list keeps it, or `ended` does: to retain and release it at each event is a hundredth of the work.
        transport._withUnsafeGuaranteedRef { $0.ready(events) }
    }

    @inline(never)
    private func guestReady(_ number: Int32) { guests[number]?.ready() }

    private func drainWake() {
        var count: UInt64 = 0
        _ = read(wake.number, &count, 8)
    }

    private func doWork() {
        guard isWoken.load(ordering: .acquiring) else { return }
        // Before the work is taken: whoever adds some from here on wakes the loop again.
        isWoken.store(false, ordering: .sequentiallyConsistent)
        for body in work.takeAll() { body() }
    }

    private func endTurn() {
        guard let thread = turn.take() else { return }
        thread.endTurn()
    }

    private func doDeferred() {
        while !deferred.isEmpty {
            let round = deferred
            deferred = []
            for body in round { body() }
        }
    }

    // MARK: On the loop's thread

    /// The timers that are kept, those among them that were cancelled included.
    var timerCount: Int { timers.count }

    func endTurnLater(_ thread: EventThread) { turn = thread }

    /// Does something once no handler is running.
    func afterwards(_ body: @escaping () -> Void) { deferred.append(body) }

    func schedule(at deadline: NIODeadline, _ body: @escaping () -> Void) -> LoopTimer {
        guard !hasEnded else { return LoopTimer {} }
        let timer = DueTimer(deadline: deadline, body: body)
        timers.insert(timer)
        return LoopTimer { self.cancel(timer) }
    }

    private func cancel(_ timer: DueTimer) {
        guard timer.body.take() != nil else { return }
        cancelledTimers += 1
        // Each connection leaves one behind; those of many short ones would wait by the million for a time that is far away.
        guard cancelledTimers > Self.maxCancelledTimers, cancelledTimers > timers.count / 2 else { return }
        timers = Heap(timers.unordered.filter { $0.body != nil })
        cancelledTimers = 0
    }

    private func callDue() {
        guard let first = timers.min?.deadline else { return }
        let now = NIODeadline.now()
        guard first <= now else { return }
        var due: [DueTimer] = []
        while let timer = timers.min, timer.deadline <= now { due.append(timers.removeMin()) }
        // What these ask for is for the next round, whatever its time: a round ends.
        for timer in due {
            timer.body.take()?()
        }
    }

    /// A queue for a connection that has something to send.
    func takeQueue() -> SendQueue { queues.popLast() ?? SendQueue() }

    /// Takes a queue back in which nothing waits.
    func giveBack(_ queue: SendQueue) {
        if queues.count < Self.maxQueues { queues.append(queue) }
    }

    /// Watches a connection; false if the system does not, or the loop has ended.
    func add(_ transport: ReactorTransport, _ number: Int32) -> Bool {
        guard watchNew(number) else { return false }
        transports[Int(number)] = transport
        return true
    }

    private func watchNew(_ number: Int32) -> Bool {
        guard !hasEnded else {
            errno = ECANCELED
            return false
        }
        guard duplex_epoll_ctl(epoll.number, EPOLL_CTL_ADD, number, duplex_epoll_in) == 0 else { return false }
        if transports.count <= Int(number) {
            transports.append(contentsOf: repeatElement(nil, count: Int(number) + 1 - transports.count))
        }
        return true
    }

    /// Watches what is no WebSocket; false if the system does not, or the loop has ended.
    func add(_ guest: any ReactorGuest, _ number: Int32) -> Bool {
        guard watchNew(number) else { return false }
        guests[number] = guest
        return true
    }

    /// Has a WebSocket take the place of what was watched under its descriptor.
    func replaceGuest(by transport: ReactorTransport, _ number: Int32) {
        guests[number] = nil
        transports[Int(number)] = transport
    }

    /// Watches what is no WebSocket no longer; before its descriptor is closed.
    func removeGuest(_ number: Int32) {
        _ = duplex_epoll_ctl(epoll.number, EPOLL_CTL_DEL, number, 0)
        guests[number] = nil
    }

    /// Changes what a connection waits for.
    func watch(_ number: Int32, _ events: UInt32) { _ = duplex_epoll_ctl(epoll.number, EPOLL_CTL_MOD, number, events) }

    /// Watches a connection no longer; before its descriptor is closed.
    func remove(_ number: Int32) {
        _ = duplex_epoll_ctl(epoll.number, EPOLL_CTL_DEL, number, 0)
        if let transport = transports[Int(number)] { ended.append(transport) }
        transports[Int(number)] = nil
    }
}

/// What a loop watches that is no WebSocket.
protocol ReactorGuest: AnyObject {
    /// There is something to read, or the end; called on the loop's thread.
    func ready()
    /// The loop watches no longer.
    func loopEnded()
}

/// Something that is due at a time. A cancelled one stays in the heap, empty, until then or until too many do.
private final class DueTimer: Comparable {
    let deadline: NIODeadline
    var body: (() -> Void)?

    init(deadline: NIODeadline, body: @escaping () -> Void) {
        self.deadline = deadline
        self.body = body
    }

    static func < (left: DueTimer, right: DueTimer) -> Bool { left.deadline < right.deadline }
    static func == (left: DueTimer, right: DueTimer) -> Bool { left.deadline == right.deadline }
}

#endif
