// The bytes of an HTTP connection, counted as they pass, and shown to whoever taps them.
//
// It stands where the bytes come from the system, or from TLS. What WebSockets carry is counted by themselves: those of the reactor have no
// pipeline.

public import NIOCore
import NIOHTTP1
import Synchronization
import WebSocketCore

/// The bytes of one request and its answer, on an HTTP/1.1 connection: heads and chunks' framing included, TLS not.
///
/// Of requests that are sent before earlier ones are answered, each is counted with the one that is being answered as it comes.
public final class RequestTraffic: Sendable {
    private let received = Atomic<Int>(0)
    private let sent = Atomic<Int>(0)
    private let completed = Atomic<Bool>(false)

    /// The request's bytes so far.
    public var bytesReceived: Int { received.load(ordering: .relaxed) }
    /// The answer's bytes so far.
    public var bytesSent: Int { sent.load(ordering: .relaxed) }
    /// Whether the answer is out, or the connection has ended: nothing more is counted.
    public var isComplete: Bool { completed.load(ordering: .acquiring) }

    fileprivate func count(received: Int, sent: Int) {
        self.received.store(received, ordering: .relaxed)
        self.sent.store(sent, ordering: .relaxed)
    }

    fileprivate func complete() { completed.store(true, ordering: .releasing) }
}

/// What passes a tapped connection.
public enum WirePassage: Sendable {
    /// What one read brought.
    case received(ByteBuffer)
    /// What was given to the system at once.
    case sent(ByteBuffer)
    /// The connection has ended.
    case ended
}

/// Takes what passes a connection; called on the connection's thread, which it must not block.
public typealias WireTap = @Sendable (WirePassage) -> Void

/// Counts the bytes of an HTTP connection, and shows them; the first handler of its pipeline.
final class WireMeter: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = IOData

    /// Of the request that is under way, and of its answer.
    private(set) var received = 0
    private(set) var sent = 0
    private var traffic: RequestTraffic?
    /// What has come of a request whose head is not known yet; nil where nobody may want to see it. The decoder's limit is on this too.
    private var unseen: [ByteBuffer]?
    private var tap: WireTap?
    let mayBeTapped: Bool
    /// Called when bytes have come, before they are parsed.
    var whenRead: (() -> Void)?
    /// Counts the requests.
    private(set) var number = 0
    private var isUnderWay = false

    init(mayBeTapped: Bool) {
        self.mayBeTapped = mayBeTapped
        unseen = mayBeTapped ? [] : nil
    }

    var isTapped: Bool { tap != nil }

    // MARK: From the HTTP handler

    /// A request has begun.
    func headCame() {
        // The end of an answer lets a request in that stands there already, before whoever wrote that end can say that it is over.
        if isUnderWay { end() }
        isUnderWay = true
        number &+= 1
    }

    /// Counts for the request from here on, what has come of it included.
    func begin(_ traffic: RequestTraffic) {
        self.traffic = traffic
        traffic.count(received: received, sent: sent)
    }

    /// The request of this number is over: what comes next is of another.
    func complete(_ number: Int) {
        guard number == self.number, isUnderWay else { return }
        end()
        unseen = mayBeTapped ? [] : nil
    }

    private func end() {
        isUnderWay = false
        traffic?.complete()
        traffic = nil
        (received, sent) = (0, 0)
    }

    /// The head of a request is known.
    func decide(_ tap: WireTap?) {
        self.tap = tap
        for bytes in unseen.take() ?? [] { tap?(.received(bytes)) }
    }

    // MARK: The channel

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        received += bytes.readableBytes
        traffic?.count(received: received, sent: sent)
        // Copies: payloads are unmasked where they lie, and the memory is used again.
        if unseen != nil { unseen?.append(ByteBuffer(bytes: bytes.readableBytesView)) }
        tap?(.received(ByteBuffer(bytes: bytes.readableBytesView)))
        whenRead?()
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .byteBuffer(let bytes) = unwrapOutboundIn(data), bytes.readableBytes > 0 {
            sent += bytes.readableBytes
            traffic?.count(received: received, sent: sent)
            tap?(.sent(bytes))
        }
        context.write(data, promise: promise)
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        tap.take()?(.ended)
        context.fireChannelInactive()
    }
}
