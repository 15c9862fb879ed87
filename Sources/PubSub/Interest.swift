// What a node listens to, counted over its threads.

import NIOConcurrencyHelpers

/// Counts how many threads of a node have subscribers to a topic or pattern, and tells the backplane of the first and the last.
public final class Interest: Sendable {
    private let threads = NIOLockedValueBox<[TopicFilter: Int]>([:])
    private let backplane: any Backplane

    /// Makes one that nobody listens in.
    public init(_ backplane: any Backplane) { self.backplane = backplane }

    /// A thread has its first subscriber.
    public func add(_ filter: TopicFilter) {
        // A client may think of any name; on these, nothing is said to it, and its leaving must not end what the node itself hears there.
        guard !ClusterMessage.isReserved(filter) else { return }
        // Told under the lock: the first and the last of two threads must not overtake each other.
        threads.withLockedValue { threads in
            threads[filter, default: 0] += 1
            if threads[filter] == 1 { backplane.subscribe(to: filter) }
        }
    }

    /// A thread has no subscriber any more.
    public func remove(_ filter: TopicFilter) {
        guard !ClusterMessage.isReserved(filter) else { return }
        threads.withLockedValue { threads in
            guard let count = threads[filter] else { return }
            threads[filter] = count > 1 ? count - 1 : nil
            if count == 1 { backplane.unsubscribe(from: filter) }
        }
    }
}
