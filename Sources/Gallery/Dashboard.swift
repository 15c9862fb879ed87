// A dashboard of this very server: measured twice a second, pushed to whoever looks.

import PubSub
import Synchronization
import WebSockets

final class Dashboard: Exhibit {
    enum Event: Encodable {
        /// What was measured in the last minute, told to each new tab.
        case history(samples: [Sample])
        case sample(sample: Sample)
    }
    struct Sample: Encodable {
        /// Of one core; two busy cores are 200.
        var cpuPercent: Double
        var memoryBytes: Int
        var connections: Int
        var receivedPerSecond: Double
        var sentPerSecond: Double
    }

    private let samples = Mutex<[Sample]>([])
    private let audience = Audience()

    func mount(on server: WebSocketServer) {
        server.webSocket("/dashboard/live") { [self] socket in
            audience.enter()
            defer { audience.leave() }
            try samples.withLock { samples in
                // A tab that sleeps gets what is true when it wakes up, and not all that was true meanwhile.
                try socket.subscribe("dashboard", whenSlow: .latest)
                socket.trySend(.json(Event.history(samples: samples)))
            }
            for try await _ in socket { try await socket.send(Refusal("The dashboard only speaks.").message) }
        }
    }

    func run(on server: WebSocketServer) async {
        var last = (counts: server.statistics, cpu: ProcessFigures.cpuSeconds, time: ContinuousClock.now)
        while (try? await Task.sleep(for: .milliseconds(500))) != nil {
            let now = (counts: server.statistics, cpu: ProcessFigures.cpuSeconds, time: ContinuousClock.now)
            let seconds = max((now.time - last.time) / .seconds(1), 0.001)
            let sample = Sample(
                cpuPercent: (now.cpu - last.cpu) / seconds * 100, memoryBytes: ProcessFigures.residentBytes, connections: now.counts.open,
                receivedPerSecond: Double(now.counts.received - last.counts.received) / seconds,
                sentPerSecond: Double(now.counts.sent - last.counts.sent) / seconds)
            last = now
            samples.withLock { samples in
                samples = samples.suffix(119) + [sample]
                // The last minute is kept for whoever comes; it is told to whoever is there.
                if !audience.isEmpty { server.publish(.json(Event.sample(sample: sample)), to: "dashboard") }
            }
        }
    }
}
