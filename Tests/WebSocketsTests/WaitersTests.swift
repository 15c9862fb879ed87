// Tasks that wait: first come, first served, and a cancellation ends one wait and no other.

import MetricsTestKit
import NIOEmbedded
import Testing
import WebSocketCore

@testable import WebSockets

@Suite struct WaitersTests {
    @Test func wakesAllInOrder() {
        let bench = WaitersBench()
        let tasks = (0..<3).map { bench.wait(as: $0) }
        #expect(!bench.waiters.isEmpty)
        bench.waiters.resumeAll()
        bench.loop.run()
        #expect(bench.woken == [0, 1, 2])
        #expect(bench.waiters.isEmpty)
        #expect(tasks.count == 3)
    }

    @Test func cancelsOneAndNoOther() {
        let bench = WaitersBench()
        let waits = (0..<3).map { bench.wait(as: $0) }
        bench.waiters.cancel(waits[1])
        bench.loop.run()
        #expect(bench.cancelled == [1])
        bench.waiters.cancel(waits[1])
        bench.waiters.resumeAll()
        bench.waiters.cancel(waits[0])
        bench.loop.run()
        #expect(bench.woken == [0, 2])
        #expect(bench.cancelled == [1])
    }

    @Test func doesNotBeginAWaitThatWasCancelledBefore() {
        let bench = WaitersBench()
        let wait = Wait()
        wait.cancel()
        bench.wait(as: 7, wait)
        #expect(bench.cancelled == [7])
        #expect(bench.waiters.isEmpty)
    }
}

/// `@unchecked Sendable`: touched on the test's thread only.
private final class WaitersBench: @unchecked Sendable {
    let loop = EmbeddedEventLoop()
    var waiters = Waiters()
    var woken: [Int] = []
    var cancelled: [Int] = []

    @discardableResult
    func wait(as number: Int, _ wait: Wait = Wait()) -> Wait {
        let thread = EventThread(eventLoop: loop, statistics: Statistics(role: .server, factory: TestMetrics()))
        Task(executorPreference: thread) {
            do {
                try await withCheckedThrowingContinuation { self.waiters.add($0, wait) }
                self.woken.append(number)
            } catch {
                self.cancelled.append(number)
            }
        }
        loop.run()
        return wait
    }
}
