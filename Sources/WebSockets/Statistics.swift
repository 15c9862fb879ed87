// What is counted, and where the counts can be read: by the program itself, and by whatever swift-metrics is bootstrapped with.

import Metrics
import Synchronization
import WebSocketCore

/// Counts of one thread since they were last published; plain numbers, as the hot path adds to them.
struct Tally {
    var messagesReceived = 0
    var bytesReceived = 0
    var messagesSent = 0
    var bytesSent = 0
    var sendsDropped = 0
    var newestDropped = 0
    var oldestDropped = 0
    var latestReplaced = 0

    var isDirty: Bool { messagesReceived | messagesSent | bytesSent | sendsDropped | newestDropped | oldestDropped | latestReplaced != 0 }

    mutating func publish(to statistics: Statistics) {
        statistics.add(self)
        self = Tally()
    }
}

/// The counts of a server or a client, under the names that operators see.
///
/// Each has the dimension `role`: `server` or `client`, as a program may be both.
///
/// | metric | kind | what |
/// |---|---|---|
/// | `duplex_connections_open` | gauge | open WebSocket connections |
/// | `duplex_messages_received_total`, `duplex_messages_sent_total` | counter | data messages |
/// | `duplex_bytes_received_total`, `duplex_bytes_sent_total` | counter | their payloads, in bytes |
/// | `duplex_sends_dropped_total` | counter | messages that were not sent to a slow reader |
/// | `duplex_publications_dropped_total{policy}` | counter | messages of topics that a slow subscriber did not get, by its policy: `dropNewest`, `dropOldest`, `latest` (replaced by a later one) |
/// | `duplex_handshakes_refused_total{reason,status}` | counter | handshakes and other requests refused, by `HandshakeRefusal.Rule` or `limit`, `malformed`, `deadline`, `draining`, `application`, and by HTTP status (`none` if nothing was answered) |
/// | `duplex_closes_total{code}` | counter | connections ended, by close code |
final class Statistics: Sendable {
    private let open = Atomic<Int>(0)
    private let received = Atomic<Int>(0)
    private let sent = Atomic<Int>(0)
    private let total = Atomic<Int>(0)
    private let factory: any MetricsFactory
    private let role: (String, String)
    /// Counted up and down rather than set, so that two servers in one program add up.
    private let openMeter: Meter
    private let messagesReceived: Counter
    private let bytesReceived: Counter
    private let messagesSent: Counter
    private let bytesSent: Counter
    private let sendsDropped: Counter

    /// Makes counts of one role's connections.
    ///
    /// - Parameter factory: where they are published; what swift-metrics is bootstrapped with if nil.
    init(role: Role, factory: (any MetricsFactory)? = nil) {
        let factory = factory ?? MetricsSystem.factory
        let role = ("role", role == .server ? "server" : "client")
        func counter(_ name: String) -> Counter { Counter(label: "duplex_\(name)_total", dimensions: [role], factory: factory) }
        self.factory = factory
        self.role = role
        openMeter = Meter(label: "duplex_connections_open", dimensions: [role], factory: factory)
        messagesReceived = counter("messages_received")
        bytesReceived = counter("bytes_received")
        messagesSent = counter("messages_sent")
        bytesSent = counter("bytes_sent")
        sendsDropped = counter("sends_dropped")
    }

    /// What can be read at any time.
    var snapshot: (open: Int, total: Int, received: Int, sent: Int) {
        (
            open.load(ordering: .relaxed), total.load(ordering: .relaxed), received.load(ordering: .relaxed),
            sent.load(ordering: .relaxed)
        )
    }

    func add(_ tally: Tally) {
        received.add(tally.messagesReceived, ordering: .relaxed)
        sent.add(tally.messagesSent, ordering: .relaxed)
        messagesReceived.increment(by: tally.messagesReceived)
        bytesReceived.increment(by: tally.bytesReceived)
        messagesSent.increment(by: tally.messagesSent)
        bytesSent.increment(by: tally.bytesSent)
        if tally.sendsDropped > 0 { sendsDropped.increment(by: tally.sendsDropped) }
        publicationsDropped("dropNewest", tally.newestDropped)
        publicationsDropped("dropOldest", tally.oldestDropped)
        publicationsDropped("latest", tally.latestReplaced)
    }

    private func publicationsDropped(_ policy: String, _ count: Int) {
        guard count > 0 else { return }
        Counter(label: "duplex_publications_dropped_total", dimensions: [role, ("policy", policy)], factory: factory).increment(by: count)
    }

    func opened() {
        total.add(1, ordering: .relaxed)
        open.add(1, ordering: .relaxed)
        openMeter.increment()
    }

    func closed(_ code: CloseCode) {
        open.subtract(1, ordering: .relaxed)
        openMeter.decrement()
        // The peer picks the code; labels stay few all the same.
        let label = code.rawValue < 3000 ? code.description : code.rawValue < 4000 ? "3xxx" : "4xxx"
        Counter(label: "duplex_closes_total", dimensions: [role, ("code", label)], factory: factory).increment()
    }

    func refused(_ rule: HandshakeRefusal.Rule, status: Int?) {
        let dimensions = [role, ("reason", rule.rawValue), ("status", status.map { String($0) } ?? "none")]
        Counter(label: "duplex_handshakes_refused_total", dimensions: dimensions, factory: factory).increment()
    }
}
