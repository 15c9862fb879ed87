// The way to the galleries of other nodes, as whoever mounts this one has it.

public import PubSub
import Synchronization

/// How a gallery hears those of other nodes, and how that stands.
public final class GalleryCluster: Sendable {
    private let backplane: any Backplane
    private let state: @Sendable () -> String
    private let hasLeft = Mutex(false)

    /// Makes one.
    ///
    /// - Parameters:
    ///   - backplane: carries what galleries say to each other; for the gallery alone, which starts it.
    ///   - state: how it stands with what carries that, in a word: `ready` if all is well.
    public init(_ backplane: any Backplane, state: @escaping @Sendable () -> String) {
        self.backplane = backplane
        self.state = state
    }

    var status: String { state() }

    /// Begins to hear the others, or goes on alone. What is no news of a node is dropped.
    func start(_ heard: @escaping @Sendable (NodeNews) -> Void) async {
        try? await backplane.start { publication in
            if let news = try? NodeNews(publication) { heard(news) }
        }
        backplane.subscribe(to: .topic(NodeNews.topic))
    }

    /// Hears no more.
    func stop() async {
        backplane.unsubscribe(from: .topic(NodeNews.topic))
        await backplane.stop()
    }

    /// Tells the others. A farewell is the last that they hear.
    func tell(_ news: NodeNews) {
        hasLeft.withLock { hasLeft in
            if !hasLeft { backplane.publish(news.publication) }
            if case .gone = news { hasLeft = true }
        }
    }
}
