// The reactor's loop.

#if os(Linux)

import NIOCore
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct ReactorLoopTests {
    @Test func doesWorkInOrderOnItsThread() async throws {
        let bench = try ReactorBench()
        let (loop, seen) = (bench.loop, Box<[Int]>([]))
        #expect(!loop.isCurrent)
        for index in 0..<1000 { loop.execute { seen.change { $0.append(loop.isCurrent ? index : -1) } } }
        await bench.settle()
        #expect(seen.value == Array(0..<1000))
        try await bench.stop()
    }

    /// Work from many threads at once, so that adding some and looking for some meet.
    @Test func losesNoWork() async throws {
        let bench = try ReactorBench()
        let count = Box(0)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<2000 {
                        bench.loop.execute { count.change { $0 += 1 } }
                        await Task.yield()
                    }
                }
            }
        }
        await bench.settle()
        #expect(count.value == 16_000)
        try await bench.stop()
    }

    /// Nobody else wakes the loop here, so that work which it has not been woken for is never done.
    @Test func isWokenForWorkThatComesWhileItDoesSome() async throws {
        let bench = try ReactorBench()
        for _ in 0..<20_000 { await bench.onLoop {} }
        try await bench.stop()
    }

    @Test func callsWhatIsDueInOrderAndNothingThatWasCancelled() async throws {
        let bench = try ReactorBench()
        let (loop, seen) = (bench.loop, Box<[Int]>([]))
        await withCheckedContinuation { continuation in
            loop.execute {
                let start = loop.now
                for index in [3, 1, 2] { _ = loop.schedule(at: start + .milliseconds(Int64(index))) { seen.change { $0.append(index) } } }
                loop.schedule(at: start + .milliseconds(2)) { seen.change { $0.append(-1) } }.cancel()
                _ = loop.schedule(at: start + .milliseconds(4)) { continuation.resume() }
            }
        }
        #expect(seen.value == [1, 2, 3])
        try await bench.stop()
    }

    /// A turn's time is that of its beginning; a timer that falls due while it lasts must not be told that it is early.
    @Test func aTimerSeesNoTimeBeforeItsOwn() async throws {
        let bench = try ReactorBench()
        let (loop, thread) = (bench.loop, bench.thread)
        let isInTime = await withCheckedContinuation { continuation in
            loop.execute {
                thread.beginTurn()
                let due = thread.now + .nanoseconds(1)
                _ = thread.schedule(at: due) { continuation.resume(returning: thread.now >= due) }
            }
        }
        #expect(isInTime)
        try await bench.stop()
    }

    /// Who asks again and again for what is due already does not keep the loop from its sockets and its work.
    @Test func aRoundEnds() async throws {
        let bench = try ReactorBench()
        let (loop, isEnough) = (bench.loop, Box(false))
        let past = loop.now
        @Sendable func again() {
            if !isEnough.value { _ = loop.schedule(at: past) { again() } }
        }
        loop.execute { again() }
        await bench.settle()
        isEnough.value = true
        try await bench.stop()
    }

    @Test func cancelledTimersDoNotPileUp() async throws {
        let bench = try ReactorBench()
        let (loop, seen) = (bench.loop, Box(0))
        let most = await withCheckedContinuation { continuation in
            loop.execute {
                var most = 0
                for _ in 0..<100 { _ = loop.schedule(at: loop.now) { seen.change { $0 += 1 } } }
                for _ in 0..<10_000 {
                    loop.schedule(at: loop.now + .hours(1)) {}.cancel()
                    most = max(most, loop.timerCount)
                }
                continuation.resume(returning: most)
            }
        }
        #expect(most < 2000)
        await bench.settle()
        #expect(seen.value == 100)
        try await bench.stop()
    }

    /// Neither what is due after its end, nor what is asked for then, keeps the loop and its descriptors for ever.
    @Test func nothingKeepsALoopThatHasEnded() async throws {
        weak var loop: ReactorLoop?
        do {
            let bench = try ReactorBench()
            let thread = bench.thread
            loop = bench.loop
            // Its keepalive has a timer, which the thread holds as well.
            _ = try await bench.connect(ConnectionConfiguration(keepalive: .init(interval: .seconds(1000)))) { _ in TestEcho() }
            bench.loop.execute { _ = thread.schedule(at: .now() + .hours(1)) { _ = thread } }
            await bench.settle()
            try await bench.stop()
            await withCheckedContinuation { continuation in thread.performLater { continuation.resume() } }
            thread.performLater { _ = thread }
        }
        // If something does, until the time limit.
        while loop != nil { await Task.yield() }
    }

    /// In order, one at a time, and as the loop's thread, whoever asks.
    @Test func workIsDoneAfterTheEnd() async throws {
        let bench = try ReactorBench()
        try await bench.stop()
        let loop = bench.loop
        let (seen, isInside) = (Box<[Int]>([]), Box(false))
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for index in 0..<500 {
                        loop.execute {
                            #expect(loop.isCurrent)
                            #expect(!isInside.value)
                            isInside.value = true
                            seen.change { $0.append(1000 * task + index) }
                            isInside.value = false
                        }
                        await Task.yield()
                    }
                }
            }
        }
        await bench.settle()
        #expect(!loop.isCurrent)
        #expect(seen.value.count == 4000)
        for task in 0..<8 { #expect(seen.value.filter { $0 / 1000 == task } == (0..<500).map { 1000 * task + $0 }) }
    }

    @Test func noConnectionComesAfterTheEnd() async throws {
        let bench = try ReactorBench()
        try await bench.stop()
        let (socket, peer) = try await bench.connect { _ in TestEcho() }
        #expect(try await peer.readToEnd() == [])
        #expect(await socket.waitUntilClosed().code == .abnormalClosure)
    }

    /// A task that never rests does not keep another from going on.
    @Test func tasksGoOnAfterTheEnd() async throws {
        let bench = try ReactorBench()
        try await bench.stop()
        let (loop, isEnough) = (bench.loop, Box(false))
        let restless = Task(executorPreference: bench.thread) {
            while !isEnough.value { await Task.yield() }
            return loop.isCurrent
        }
        let other = Task(executorPreference: bench.thread) {
            try await Task.sleep(for: .milliseconds(1))
            isEnough.value = true
            return loop.isCurrent
        }
        #expect(try await other.value)
        #expect(await restless.value)
    }

    @Test func stoppingCutsWhatIsConnected() async throws {
        let bench = try ReactorBench()
        let (socket, peer) = try await bench.connect { _ in TestEcho() }
        try await bench.stop()
        #expect(try await peer.readToEnd() == [])
        #expect(await socket.waitUntilClosed().code == .abnormalClosure)
    }

    /// Whoever waits on the loop's own thread for the end of a connection is told of it before the thread goes.
    @Test func stoppingLetsTheTasksOfItsConnectionsEnd() async throws {
        let bench = try ReactorBench()
        let (socket, peer) = try await bench.connect { _ in TestEcho() }
        let waiting = Gate()
        let task = Task(executorPreference: bench.thread) {
            waiting.open()
            return await socket.waitUntilClosed()
        }
        await waiting.wait()
        await bench.settle()
        try await bench.stop()
        #expect(await task.value.code == .abnormalClosure)
        withExtendedLifetime(peer) {}
    }

    /// A task prefers the thread, and comes back to it.
    @Test func runsTasks() async throws {
        let bench = try ReactorBench()
        let loop = bench.loop
        let staysThere = await Task(executorPreference: bench.thread) {
            let before = loop.isCurrent
            await Task.yield()
            return before && loop.isCurrent
        }.value
        #expect(staysThere)
        try await bench.stop()
    }
}

#endif
