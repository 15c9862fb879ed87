// One connection of a benchmark's load. It is confined to its thread, like all that it calls.

import NIOCore
import WebSocketCore
import WebSockets

/// One connection of the load; alone, one that is only held.
class LoadConnection: WebSocketHandler {
    let thread: LoadThread
    private let begunAt: UInt64
    @exclusivity(unchecked) private(set) var socket: WebSocket?

    /// - Parameter begunAt: when its handshake began.
    init(_ thread: LoadThread, begunAt: UInt64) {
        self.thread = thread
        self.begunAt = begunAt
    }

    /// Makes the connection that a kind of load needs.
    static func make(_ thread: LoadThread, number: Int, begunAt: UInt64) -> LoadConnection {
        switch thread.plan.kind {
        case .echo, .latency: EchoConnection(thread, begunAt: begunAt)
        case .broadcast: BroadcastConnection(thread, number: number, begunAt: begunAt)
        case .idle: LoadConnection(thread, begunAt: begunAt)
        case .handshake: BriefConnection(thread, begunAt: begunAt)
        }
    }

    var isSender: Bool { false }
    /// Whether the connection's end is no loss.
    var mayEnd: Bool { false }

    /// Whether more may be sent: a server that does not read must not fill this end's memory.
    var hasRoom: Bool { (socket?.bufferedAmount ?? .max) < Self.maxBuffered }
    private static let maxBuffered = 1 << 20

    /// Sends a message.
    func send(_ times: SendTime) {}

    /// Counts the answers that are still missing, and times them as if they had just come.
    func countMissing(in tally: inout LoadTally) {}

    func close() { socket?.close() }

    func opened(_ socket: WebSocket) {
        self.socket = socket
        thread.opened(self, begunAt: begunAt)
    }

    func received(_ message: Message, from socket: WebSocket) { thread.receivedForeign() }

    func closed(_ socket: WebSocket, _ closure: Closure) {
        thread.closed(self, closure, isExpected: mayEnd)
        self.socket = nil
    }
}

/// Closes as soon as it is open.
final class BriefConnection: LoadConnection {
    override var mayEnd: Bool { true }

    override func opened(_ socket: WebSocket) {
        super.opened(socket)
        close()
    }
}

/// Has its messages sent back.
final class EchoConnection: LoadConnection {
    /// What is under way, the oldest first: answers come in the order of what they answer.
    @exclusivity(unchecked) private var underWay = CircularBuffer<SendTime>(initialCapacity: 4)
    private var mayGreet = true

    override var isSender: Bool { true }

    override func send(_ times: SendTime) {
        guard let socket, socket.trySend(thread.payload.message) != .dropped else { return }
        underWay.append(times)
        thread.sent()
    }

    override func received(_ message: Message, from socket: WebSocket) {
        guard thread.payload.isEcho(message) else { return receivedOther(message) }
        guard let times = underWay.popFirst() else { return receivedTooMuch() }
        let now = monotonicTime()
        if thread.received(times, at: now) { send(SendTime(due: now, sent: now)) }
    }

    /// Some servers greet who comes; a second message that is no echo is none.
    private func receivedOther(_ message: Message) {
        thread.receivedForeign()
        guard !mayGreet else { return mayGreet = false }
        thread.fail("the server sends back something else than it gets (\(thread.payload.difference(message))); is it an echo server?")
    }

    /// All messages are the same, so an answer to somebody else looks like one to this connection, and would be timed as such.
    private func receivedTooMuch() {
        thread.receivedForeign()
        thread.fail("the server sends more than it gets, as one that tells everyone what anyone says; is it an echo server?")
    }

    override func countMissing(in tally: inout LoadTally) {
        tally.missing += underWay.count
        let now = monotonicTime()
        for times in underWay {
            tally.fromDue.record(from: times.due, to: now)
            if thread.isPaced { tally.fromSent.record(from: times.sent, to: now) }
        }
    }
}

/// Gets what every publisher says; may be one.
final class BroadcastConnection: LoadConnection {
    private let number: Int

    init(_ thread: LoadThread, number: Int, begunAt: UInt64) {
        self.number = number
        super.init(thread, begunAt: begunAt)
    }

    override var isSender: Bool { number < thread.plan.publishers }

    override func send(_ times: SendTime) {
        let message = Broadcasts.message(thread.payload, publisher: number, due: times.due)
        guard let socket, socket.trySend(message) != .dropped else { return }
        thread.sent()
    }

    override func received(_ message: Message, from socket: WebSocket) {
        guard let said = Broadcasts.parse(message, thread.payload) else { return thread.receivedForeign() }
        let now = monotonicTime()
        // When it was sent is not in the message: a publisher that is late is told by the lag.
        let isNext = thread.received(SendTime(due: said.due, sent: said.due), at: now)
        if isNext && said.publisher == number { send(SendTime(due: now, sent: now)) }
    }
}
