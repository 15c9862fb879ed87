// The owners of clients' connections: one for each event loop in use, so that a thousand connections share buffers and turns.

import NIOConcurrencyHelpers
import NIOCore

/// The owners of clients' connections, one for each event loop; they go when the last of their connections does.
final class ClientThreads: Sendable {
    private struct Entry {
        weak var thread: EventThread?
    }

    private let threads = NIOLockedValueBox<[ObjectIdentifier: Entry]>([:])
    private let statistics: Statistics

    init(statistics: Statistics) { self.statistics = statistics }

    /// The entries that are kept, those whose thread has gone included.
    var count: Int { threads.withLockedValue { $0.count } }

    func thread(of eventLoop: any EventLoop) -> EventThread {
        threads.withLockedValue { threads in
            // The identifier of a loop that is gone may be another's by now; but then its thread, which kept it alive, is gone, too.
            if let thread = threads[ObjectIdentifier(eventLoop)]?.thread { return thread }
            threads = threads.filter { $0.value.thread != nil }
            let thread = EventThread(eventLoop: eventLoop, statistics: statistics)
            threads[ObjectIdentifier(eventLoop)] = Entry(thread: thread)
            return thread
        }
    }
}
