// What waits for one socket's handlers while a task is at an earlier event; Socket.IO documentation, "Delivery guarantees": order.

import DequeModule

/// What waits for one socket's handlers.
struct EventQueue: Sendable {
    /// One thing to be done in its turn.
    enum Job: Sendable {
        case event(SocketIOEvent, size: Int)
        case call(@Sendable () async -> Void)
    }

    private var jobs = Deque<Job>()
    /// Whether a task takes the jobs.
    private(set) var isRunning = false
    /// The bytes of the events that wait.
    private(set) var bytes = 0

    /// Whether what comes now need not wait.
    var isIdle: Bool { !isRunning }

    /// Adds a job; true if a task is to be started for it.
    mutating func add(_ job: Job) -> Bool {
        if case .event(_, let size) = job { bytes += size }
        jobs.append(job)
        defer { isRunning = true }
        return !isRunning
    }

    /// Takes the next job; nil ends the task.
    mutating func next() -> Job? {
        guard let job = jobs.popFirst() else {
            isRunning = false
            return nil
        }
        if case .event(_, let size) = job { bytes -= size }
        return job
    }

    /// Forgets the events that wait.
    mutating func removeEvents() {
        jobs.removeAll { if case .event = $0 { true } else { false } }
        bytes = 0
    }
}
