// Many connections that are told the same, for protocols on top of WebSocket: a topic that only this library knows of.

import NIOConcurrencyHelpers
import PubSub
import WebSocketCore

/// Connections that get the same messages: each is framed once, crosses to each thread once, and is written from one piece of memory.
///
/// Any thread may call. What one thread says to the group and, by `performInOrder`, to one of its members arrives in the order of the calls.
package final class WebSocketGroup: Sendable {
    /// The topic. Nobody can guess it, so that no client's topic is ever the same.
    private let filter: TopicFilter
    private let topic: String
    private let brokers = NIOLockedValueBox<[TopicBroker]>([])

    /// Makes a group without members.
    package init() {
        var generator = SystemRandomNumberGenerator()
        topic = "\0\(generator.next() as UInt64)\(generator.next() as UInt64)"
        filter = .topic(topic)
    }

    /// Adds a connection; its end takes it out. Nobody is called meanwhile, so that the caller may hold a lock.
    package func add(_ socket: WebSocket) {
        guard let broker = socket.thread.topics?.broker else { return }
        brokers.withLockedValue { brokers in
            if !brokers.contains(where: { $0 === broker }) { brokers.append(broker) }
        }
        socket.join(filter)
    }

    /// Takes a connection out; nobody is called meanwhile.
    package func remove(_ socket: WebSocket) { socket.quit(filter) }

    /// Sends a message to all members but one.
    package func send(_ prepared: PreparedMessage, except: WebSocket? = nil) {
        let delivery = Delivery(topic: topic, key: nil, prepared: prepared, except: except)
        for broker in brokers.withLockedValue({ $0 }) { broker.deliver(delivery) }
    }
}

extension TopicFilter {
    /// Whether this is a group, which concerns no other node.
    var isGroup: Bool {
        if case .topic(let name) = self { Self.isReserved(name) } else { false }
    }
}
