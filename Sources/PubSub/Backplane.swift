// How nodes hear of each other's publications.

import NIOConcurrencyHelpers

/// What carries publications between the nodes of a cluster.
///
/// A node delivers to its own subscribers itself, and hands each publication to its backplane once; what other nodes publish comes back by
/// the function given to `start`. No call may block: what can not be sent at once is kept in bounded memory, or dropped, as the backplane
/// says.
public protocol Backplane: Sendable {
    /// Begins. Called once, before all else.
    ///
    /// - Parameter receive: takes what other nodes have published, in the order of each of them.
    /// - Throws: if the node should not start without it.
    func start(receive: @escaping @Sendable (Publication) -> Void) async throws
    /// Passes on what was published on this node.
    func publish(_ publication: Publication)
    /// This node has its first subscriber to a topic or pattern.
    func subscribe(to filter: TopicFilter)
    /// This node has no subscriber to a topic or pattern any more.
    func unsubscribe(from filter: TopicFilter)
    /// Whether a topic is all nodes' or each node's own; the same on all nodes. Who is on a topic that is not shared, the others are not told. All
    /// are shared unless a backplane says otherwise.
    func shares(_ topic: String) -> Bool
    /// Ends; nothing follows.
    func stop() async
}

extension Backplane {
    /// All topics are shared.
    public func shares(_ topic: String) -> Bool { true }
}

/// A cluster within one program: the nodes of one `InMemoryCluster` hear each other.
public final class InMemoryCluster: Sendable {
    typealias Receive = @Sendable (Publication) -> Void

    fileprivate struct Node {
        var receive: Receive?
        var filters: Set<TopicFilter> = []
    }

    private struct State {
        var nodes: [Int: Node] = [:]
        var nextID = 0
    }

    private let state = NIOLockedValueBox(State())

    /// Makes a cluster without nodes.
    public init() {}

    /// A backplane for one more node.
    public func makeNode() -> InMemoryBackplane {
        state.withLockedValue { state in
            defer { state.nextID += 1 }
            state.nodes[state.nextID] = Node()
            return InMemoryBackplane(cluster: self, id: state.nextID)
        }
    }

    fileprivate func change(_ id: Int, _ body: (inout Node) -> Void) {
        state.withLockedValue { state in
            guard var node = state.nodes[id] else { return }
            body(&node)
            state.nodes[id] = node
        }
    }

    fileprivate func remove(_ id: Int) { state.withLockedValue { $0.nodes[id] = nil } }

    fileprivate func publish(_ publication: Publication, from id: Int) {
        // Under the lock, so that all nodes hear the publications of one topic in the same order.
        state.withLockedValue { state in
            for (other, node) in state.nodes where other != id && node.filters.contains(where: { $0.matches(publication.topic) }) {
                node.receive?(publication)
            }
        }
    }
}

/// A node's place in an `InMemoryCluster`.
public final class InMemoryBackplane: Backplane {
    private let cluster: InMemoryCluster
    private let id: Int

    fileprivate init(cluster: InMemoryCluster, id: Int) {
        self.cluster = cluster
        self.id = id
    }

    /// Begins to hear the others.
    public func start(receive: @escaping @Sendable (Publication) -> Void) { cluster.change(id) { $0.receive = receive } }
    /// Tells the others.
    public func publish(_ publication: Publication) { cluster.publish(publication, from: id) }
    /// Notes what this node wants to hear.
    public func subscribe(to filter: TopicFilter) { cluster.change(id) { $0.filters.insert(filter) } }
    /// Notes what this node does not want to hear any more.
    public func unsubscribe(from filter: TopicFilter) { cluster.change(id) { $0.filters.remove(filter) } }
    /// Leaves the cluster.
    public func stop() { cluster.remove(id) }
}
