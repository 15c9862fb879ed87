// A benchmark from its beginning to its end: connect, warm up, measure, wait for what is under way, close.
//
// It is cancelled to end early: whatever waits then goes on at once, and what has been measured counts.

import NIOCore
import NIOPosix
import Synchronization
import WebSockets

/// A benchmark, carried out once.
struct BenchRun: Sendable {
    let plan: BenchPlan
    let progress: BenchProgress
    private let group: MultiThreadedEventLoopGroup
    private let threads: [LoadThread]

    init(_ plan: BenchPlan) {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: plan.threads)
        let payload = Payload(size: plan.size, mark: .random(in: 1 ... .max))
        self.plan = plan
        self.group = group
        threads = group.makeIterator().enumerated().map { LoadThread(plan, number: $0.offset, loop: $0.element, payload: payload) }
        progress = BenchProgress(threads, connections: plan.connections)
    }

    /// Carries it out.
    ///
    /// - Throws: `BenchError`; what connecting throws; `CancellationError` if it was cancelled before anything could be measured.
    func carryOut() async throws -> BenchResult {
        do {
            let result = try await measure()
            await end()
            return result
        } catch {
            await end()
            throw error
        }
    }

    private func end() async {
        progress.phase = .closing
        try? await all { try? await $0.loop.flatSubmit($0.close).get() }
        try? await group.shutdownGracefully()
    }

    private func measure() async throws -> BenchResult {
        try Capacity.check(files: raiseOpenFilesLimit(), for: plan)
        let probe = try await probe()
        try Capacity.check(ports: Capacity.localPorts(to: probe.server), for: plan)
        let named = plan.pid.map { ServerProcess(pid: $0) }
        if let named, !named.exists { throw BenchError.noProcess(named.pid) }
        let server = named ?? probe.server.flatMap(ServerProcess.listening)
        var measured = BenchMeasurement(plan, address: probe.address, server: server)
        switch plan.kind {
        case .echo, .latency, .broadcast: try await send(&measured)
        case .idle: try await hold(&measured)
        case .handshake: try await openAndClose(&measured)
        }
        measured.isInterrupted = Task.isCancelled
        return BenchResult(measured)
    }

    /// Opens one connection and closes it: whatever is wrong is better told once than by a thousand connections.
    private func probe() async throws -> (address: String, server: SocketAddress?) {
        try await WebSocketClient.connect(plan.url, configuration: threads[0].configuration) { socket in
            (Report.address(socket), socket.remoteAddress)
        }
    }

    // MARK: The kinds

    private func send(_ measured: inout BenchMeasurement) async throws {
        try await open()
        try await begin()
        try await measureLoad(&measured)
        await drain()
        try await collect(&measured)
    }

    private func hold(_ measured: inout BenchMeasurement) async throws {
        measured.memoryBefore = measured.server?.residentBytes
        try await beginMeasuring(&measured)
        try await open()
        try await endMeasuring(&measured)
        progress.phase = .running(since: monotonicTime(), warmUp: 0, seconds: plan.seconds)
        try await wait(plan.seconds)
        measured.memoryAfter = measured.server?.residentBytes
        measured.held = threads.reduce(0) { $0 + $1.open.load(ordering: .relaxed) }
        try await collect(&measured)
    }

    private func openAndClose(_ measured: inout BenchMeasurement) async throws {
        measured = try await withThrowingTaskGroup(of: Void.self, returning: BenchMeasurement.self) { [measured] group in
            for lane in 0..<plan.connections {
                let thread = threads[lane % threads.count]
                group.addTask { await Opening(thread).openAndClose() }
            }
            var measured = measured
            try await measureLoad(&measured)
            group.cancelAll()
            return measured
        }
        try await collect(&measured)
    }

    // MARK: Steps

    private func open() async throws {
        progress.phase = .connecting
        let lanes = max(1, plan.parallel / threads.count)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for thread in threads {
                for _ in 0..<lanes { group.addTask { try await Opening(thread).openShare() } }
            }
            do {
                try await group.waitForAll()
            } catch  where plan.kind == .idle {
                // What is open can be held.
            }
        }
    }

    private func begin() async throws {
        // A moment ahead, so that no thread begins late.
        let start = monotonicTime() + 10_000_000
        var offset = 0
        for thread in threads {
            offset += try await thread.loop.submit { [offset] in thread.start(at: start, offset: offset) }.get()
        }
    }

    private func measureLoad(_ measured: inout BenchMeasurement) async throws {
        progress.phase = .running(since: monotonicTime(), warmUp: plan.warmUp, seconds: plan.seconds)
        try await wait(plan.warmUp)
        try await beginMeasuring(&measured)
        try await wait(plan.seconds)
        try await endMeasuring(&measured)
    }

    private func beginMeasuring(_ measured: inout BenchMeasurement) async throws {
        try await all { thread in try await thread.loop.submit(thread.beginMeasuring).get() }
        measured.cpuTime = CPU.ofProcess
        measured.serverCPUTime = measured.server?.cpuTime
    }

    private func endMeasuring(_ measured: inout BenchMeasurement) async throws {
        measured.cpuTime = CPU.ofProcess - measured.cpuTime
        if let before = measured.serverCPUTime { measured.serverCPUTime = measured.server?.cpuTime.map { $0 - before } }
        try await all { thread in try await thread.loop.submit(thread.endMeasuring).get() }
    }

    /// Waits, unless there is a reason not to.
    private func wait(_ seconds: Double) async throws {
        let end = monotonicTime() + UInt64(seconds * 1e9)
        while !Task.isCancelled {
            let now = monotonicTime()
            guard now < end, !isDeserted else { return }
            try? await Task.sleep(for: .nanoseconds(min(Int64(end - now), 100_000_000)))
            try await checkHealth()
        }
    }

    /// Whether every connection has ended that should have been held.
    private var isDeserted: Bool {
        plan.kind != .handshake && threads.allSatisfy { $0.open.load(ordering: .relaxed) == 0 }
    }

    /// Whether it makes sense to go on.
    private func checkHealth() async throws {
        for thread in threads where thread.hasFailed.load(ordering: .relaxed) {
            if let failure = try await thread.loop.submit({ thread.tally.failure }).get() { throw BenchError(failure) }
        }
        guard plan.senders > 0, progress.hasLasted(max(plan.patience, 2 / (plan.rate ?? .infinity))) else { return }
        guard progress.total == 0 else { return }
        throw BenchError.noAnswer(plan.kind, after: plan.patience)
    }

    /// Waits for the answers to what was sent, for a while; also after an interrupt, as what is on its way is not missing.
    private func drain() async {
        let end = monotonicTime() + UInt64(plan.drain * 1e9)
        while monotonicTime() < end, !isDeserted, let missing = try? await underWay(), missing > 0 {
            // The loop's clock: a cancelled task can not sleep.
            try? await threads[0].loop.scheduleTask(in: .milliseconds(10)) {}.futureResult.get()
        }
    }

    private func underWay() async throws -> Int {
        var (sent, received) = (0, 0)
        for thread in threads {
            let counts = try await thread.loop.submit { thread.underWay }.get()
            sent += counts.sent
            received += counts.received
        }
        return sent * plan.answersPerMessage - received
    }

    private func collect(_ measured: inout BenchMeasurement) async throws {
        for thread in threads { measured.add(try await thread.loop.submit { thread.result }.get()) }
    }

    private func all(_ body: @escaping @Sendable (LoadThread) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for thread in threads { group.addTask { try await body(thread) } }
            try await group.waitForAll()
        }
    }
}
