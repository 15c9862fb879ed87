// One connection: what any thread may ask of it. Receiving, sending, closing and keepalive are in files of their own.
//
// One thread owns a connection; everything that changes it happens there, without a lock. From other threads, a message is queued to the
// owner, and what can be asked is kept in atomics.

public import HTTPTypes
import Logging
public import NIOCore
import Synchronization
import WebSocketCore
import WebSocketDeflate

/// A WebSocket connection, server's or client's side (RFC 6455).
///
/// It has what the browser's interface has under the same names and rules, `send` with back-pressure, `trySend` without, and it is
/// the asynchronous sequence of the messages that arrive. It can be used from any thread, task or actor; used from the connection's own
/// thread, as in a handler, nothing is queued or hopped.
///
/// `@unchecked Sendable`: the stored variables below the mark are touched only on `thread` (`assertOwned`); the rest is constant
/// or atomic. `@exclusivity(unchecked)`: no foreign code runs while one of these is being changed.
public final class WebSocket: TimerWheelElement, @unchecked Sendable {
    /// Where the connection is on its way, under the names and numbers of the browser's interface.
    public enum ReadyState: UInt8, Sendable, Hashable {
        /// Messages go both ways.
        case open = 1
        /// The close handshake is under way.
        case closing = 2
        /// The connection has ended.
        case closed = 3
    }

    // A server holds many of these: what is the same for all connections is shared, what is rarely there is in `rare`, and small
    // fields stand behind those that end inside a word, where they take nothing: 324 bytes, of 328 that malloc gives.

    private let handshake: PackedHandshake
    let shared: SharedSettings
    let thread: EventThread
    /// Bytes that wait in the outbox and the transport.
    let queuedBytes = Atomic<Int>(0)
    /// What other threads have queued to the owner: bytes, and from bit 40 on how many messages (`Transit`).
    let inTransit = Atomic<Int>(0)
    /// The last measured round trip in nanoseconds; -1 for none.
    let lastRoundTrip = Atomic<Int64>(-1)

    /// All bytes that came, and all that the transport was given, which may have taken them and not sent them yet; both with the handshake on a
    /// server. Written on `thread` only.
    private let readCount = Atomic<Int>(0)
    private let writtenCount = Atomic<Int>(0)

    /// What it has subscribed to.
    let topics = AtomicLazyReference<Subscriptions>()

    // MARK: Touched on `thread` only

    @exclusivity(unchecked) var connection: Connection
    /// Where the connection is among its thread's.
    var slot: Int32 = 0
    /// Compresses and decompresses; nil if that was not agreed on.
    let codec: MessageCodec?
    @exclusivity(unchecked) var transport: (any Transport)?
    @exclusivity(unchecked) var handler: HandlerBox?
    /// The messages for `for try await`; nil for a callback handler.
    let inbox: Inbox?
    @exclusivity(unchecked) var outbox = Outbox()
    private let state = Atomic<UInt8>(ReadyState.open.rawValue)
    @exclusivity(unchecked) var isDirty = false
    /// Whether the transport took more when it was last asked.
    @exclusivity(unchecked) var isTransportWritable = true
    /// Whether the handler answered what the last read brought.
    @exclusivity(unchecked) var hasAnsweredInRead = false
    /// Whether reading waits until the answers of a callback handler have left.
    @exclusivity(unchecked) var isReadingHeldUp = false
    /// Whether messages of topics wait that can still be dropped.
    @exclusivity(unchecked) var hasBacklog = false
    /// Whether it does not get all of the burst that is being collected.
    @exclusivity(unchecked) var isLeftOut = false
    /// What most connections never have.
    @exclusivity(unchecked) var rare: RareState?
    /// What of `queuedBytes` the transport had not sent when it was last asked.
    @exclusivity(unchecked) var transportBytes = 0
    let openedAt: NIODeadline
    @exclusivity(unchecked) var keepalive: WebSocketCore.Keepalive.State?
    @exclusivity(unchecked) var maskKeys = MaskKeys()
    /// Where it waits for its timer.
    @exclusivity(unchecked) package var timer = TimerWheelPlace.none

    init(_ handshake: Handshake, role: Role, settings: SharedSettings, thread: EventThread, inbox: Inbox?) {
        self.handshake = PackedHandshake(handshake)
        shared = settings
        self.thread = thread
        self.inbox = inbox
        codec = handshake.deflate.map { thread.codecs.codec($0) }
        connection = Connection(role: role, limits: settings.limits, allowsCompression: handshake.deflate != nil)
        openedAt = thread.now
    }

    var configuration: ConnectionConfiguration {
        @inline(__always) get { shared.connection }
    }

    var logger: Logger { shared.logger }

    // MARK: What the handshake settled

    /// The handshake's request, as the client sent it, without the fields that only the handshake itself needs (`Connection`, `Upgrade`,
    /// `Sec-WebSocket-Key`, `-Version` and `-Extensions`).
    ///
    /// It is kept packed and made anew for each call: keep what you need often.
    public var request: HTTPRequest { handshake.request }
    /// What stood for the `{name}`s of the route, percent-decoded; empty on a client.
    public var parameters: [String: String] { handshake.parameters }
    /// The subprotocol that was agreed on; nil for none.
    public var subprotocol: String? { handshake.subprotocol }
    /// The peer's address.
    public var remoteAddress: SocketAddress? { handshake.remoteAddress }
    /// What the log says of where the connection leads.
    var path: String { handshake.path }

    /// What the handshake settled.
    struct Handshake: Sendable {
        var request: HTTPRequest
        var parameters: [String: String] = [:]
        var subprotocol: String?
        var deflate: DeflateAgreement?
        var remoteAddress: SocketAddress?
    }

    @inline(__always)
    func assertOwned() { assert(thread.isCurrent, "a connection's state was touched off its thread") }

    // MARK: The browser's interface

    /// The extensions that were agreed on, as they stand in the header; empty for none.
    public var extensions: String { codec.map { ExtensionList.serialize([$0.agreement.parameters.offer]) } ?? "" }

    /// Where the connection is on its way.
    public internal(set) var readyState: ReadyState {
        get {
            let state = state.load(ordering: .acquiring)
            return ReadyState(rawValue: state) ?? (state == Self.condemned ? .closing : .closed)
        }
        set { state.store(newValue.rawValue, ordering: .releasing) }
    }

    /// The state of an open connection that its thread is still to cut off.
    private static let condemned: UInt8 = 4

    /// Has an open connection count as closing until its thread cuts it off; false if it is not open any more. Any thread may ask.
    func condemn() -> Bool {
        state.compareExchange(expected: ReadyState.open.rawValue, desired: Self.condemned, ordering: .acquiringAndReleasing).exchanged
    }

    var isCondemned: Bool { state.load(ordering: .relaxed) == Self.condemned }

    /// The bytes of messages that `send` and `trySend` have taken and that have not been given to the system.
    ///
    /// Where SwiftNIO moves the bytes (clients, TLS), up to 64 KiB that it holds are left out while it takes more.
    public var bufferedAmount: Int { queuedBytes.load(ordering: .relaxed) + transit.bytes }

    /// All bytes that have come, as they were on the wire: frames' headers included, and on a server the handshake; TLS not.
    public var bytesReceived: Int { readCount.load(ordering: .relaxed) }

    /// All bytes that have left, counted as `bytesReceived`; the system may not have sent the last of them yet.
    public var bytesSent: Int { bytesWritten }

    var bytesWritten: Int { writtenCount.load(ordering: .relaxed) }

    // Only the thread writes, so that a load and a store are enough: to add at once takes longer than the rest of a small message's way.

    @inline(__always)
    func countReceived(_ bytes: Int) { readCount.store(readCount.load(ordering: .relaxed) &+ bytes, ordering: .relaxed) }

    @inline(__always)
    func countWritten(_ bytes: Int) { writtenCount.store(writtenCount.load(ordering: .relaxed) &+ bytes, ordering: .relaxed) }

    /// The last measured round trip, of a keepalive ping or of `ping()`; nil before the first.
    public var roundTripTime: Duration? {
        let nanoseconds = lastRoundTrip.load(ordering: .relaxed)
        return nanoseconds < 0 ? nil : .nanoseconds(nanoseconds)
    }

    /// The executor of the connection's own thread: `Task(executorPreference: socket.executor) { … }` runs beside the connection
    /// without a hop.
    public var executor: any TaskExecutor { thread }

    // MARK: Start

    /// Ties the connection to what moves its bytes and to who handles them; called once, on the thread.
    func start(transport: any Transport, handler: any WebSocketHandler) {
        assertOwned()
        self.transport = transport
        let handler = HandlerBox.box(handler, &thread.statelessHandlers)
        self.handler = handler
        thread.add(self)
        startKeepalive()
        logger.debug("opened", metadata: ["path": "\(path)", "peer": "\(peerDescription)"])
        thread.inTurn { handler.opened(self) }
    }

    var peerDescription: String { remoteAddress.map(\.description) ?? "unknown" }
}

extension WebSocket: CustomStringConvertible {
    /// The peer and the path.
    public var description: String { "WebSocket(\(peerDescription), \(path))" }
}
