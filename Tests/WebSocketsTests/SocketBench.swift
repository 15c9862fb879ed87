// A WebSocket on a transport that only notes what it is given, on a loop whose clock a test turns: no thread, no socket, no waiting.

import Dispatch
import HTTPTypes
import Logging
import MetricsTestKit
import NIOCore
import NIOEmbedded
import NIOPosix
import Synchronization
import WebSocketCore
import WebSocketDeflate

@testable import WebSockets

/// A transport that notes what it is given, and behind which a peer takes as much as a test lets it. As a NIO channel, it tells of room
/// once less than half its mark waits, and counts what waits only while it takes no more.
final class NotingTransport: Transport {
    /// All that was given, in order.
    private(set) var written: [UInt8] = []
    /// How many bytes the peer takes in all.
    var room = Int.max
    private(set) var taken = 0
    private(set) var writes = 0
    private(set) var flushes = 0
    private(set) var isReading = true
    private(set) var pauses = 0
    private(set) var unsentLimits = 0
    private(set) var isSendingFinished = false
    private(set) var isClosed = false
    private(set) var isWritable = true
    var highWaterMark = 65_536
    weak var socket: WebSocket?
    private var whenFlushed: (() -> Void)?

    /// What the peer has seen.
    var seen: [UInt8] { Array(written.prefix(taken)) }
    private var waiting: Int { written.count - taken }
    var bufferedBytes: Int { isWritable ? 0 : waiting }

    func write(_ piece: Outbox.Piece) {
        written += bytes(of: piece)
        writes += 1
        if waiting > highWaterMark { isWritable = false }
    }

    func flush() {
        flushes += 1
        taken = min(written.count, room)
        if waiting == 0 { whenFlushed.take()?() }
        if !isWritable && !isClosed && waiting < max(1, highWaterMark / 2) {
            isWritable = true
            socket?.transportBecameWritable()
        }
    }

    private func bytes(of piece: Outbox.Piece) -> [UInt8] {
        switch piece {
        case .frames(let frames):
            defer { socket?.thread.giveBack(frames) }
            return Array(frames.bytes)
        case .shared(let buffer): return Array(buffer.readableBytesView)
        }
    }

    /// Has the peer take more.
    func take(_ more: Int = .max) {
        room = more == .max ? .max : max(room == .max ? taken : room, taken) + more
        flush()
    }

    /// Has the peer take nothing from now on.
    func stall() { room = taken }

    func limitUnsent() { unsentLimits += 1 }

    func pauseReading() {
        isReading = false
        pauses += 1
    }
    func resumeReading() { isReading = true }

    func finishSending() {
        afterFlush { self.isSendingFinished = true }
    }

    func closeAfterFlush() {
        afterFlush { self.terminate() }
    }

    private func afterFlush(_ body: @escaping () -> Void) {
        if waiting == 0 { body() } else { whenFlushed = body }
    }

    func terminate() {
        isClosed = true
        isWritable = false
        socket?.transportClosed()
    }
}

/// What became of a task, if it has ended; touched on the test's thread only.
final class Outcome<R: Sendable>: @unchecked Sendable {
    fileprivate(set) var result: Result<R, any Error>?
    fileprivate(set) var task: Task<Void, Never>?

    var value: R? { try? result?.get() }
    var hasEnded: Bool { result != nil }
    var error: (any Error)? {
        if case .failure(let error) = result { return error }
        return nil
    }
    func cancel() { task?.cancel() }
}

/// A WebSocket, its transport, and the clock.
///
/// `@unchecked Sendable`: used on the loop's thread only, which is the test's own for the embedded loop.
final class SocketBench: @unchecked Sendable {
    let thread: EventThread
    let socket: WebSocket
    let transport = NotingTransport()
    let metrics = TestMetrics()
    let broker: TopicBroker
    private let embedded: EmbeddedEventLoop?
    private let loop: NIOLoop

    /// - Parameters:
    ///   - other: a connection whose thread this one shares; it is for that one to run it.
    ///   - handler: nil for `for try await`.
    init(
        role: Role = .server, _ configuration: ConnectionConfiguration = .quiet, on loop: (any EventLoop)? = nil,
        beside other: SocketBench? = nil, deflate: DeflateAgreement? = nil, maxBacklog: Int = 1 << 20,
        handler: (any WebSocketHandler)? = nil
    ) {
        embedded = loop == nil && other == nil ? EmbeddedEventLoop() : nil
        self.loop = NIOLoop(loop ?? embedded ?? EmbeddedEventLoop())
        broker = other?.broker ?? TopicBroker(backplane: nil, maxBacklog: maxBacklog)
        thread =
            other?.thread
            ?? EventThread(
                loop: self.loop, statistics: Statistics(role: role, factory: metrics), broker: role == .server ? broker : nil)
        if other == nil { broker.attach([thread]) }
        let inbox = handler == nil ? Inbox(limit: configuration.maxUnreadBytes) : nil
        var handshake = WebSocket.Handshake.test
        handshake.deflate = deflate
        socket = WebSocket(handshake, role: role, configuration: configuration, thread: thread, inbox: inbox)
        transport.socket = socket
        // As `NIOTransport` sets the channel's.
        transport.highWaterMark = min(transport.highWaterMark, configuration.sendHighWaterMark)
        socket.start(transport: transport, handler: handler ?? AsyncHandler { _ in })
        run()
    }

    deinit {
        guard let embedded else { return }
        socket.terminate()
        try? embedded.syncShutdownGracefully()
    }

    /// Runs what is due, and what waits for the loop to look at its sockets.
    func run() {
        embedded?.run()
        while loop.isAsked, let embedded { embedded.advanceTime(by: NIOLoop.pause) }
    }

    /// Turns the clock.
    func advance(by duration: Duration) { embedded?.advanceTime(by: TimeAmount(duration)) }

    /// Begins a task beside the connection, and runs it as far as it goes.
    @discardableResult
    func begin<R: Sendable>(_ body: @escaping @Sendable (WebSocket) async throws -> R) -> Outcome<R> {
        defer { run() }
        return prepare(body)
    }

    /// Begins a task that does not run before the loop does.
    func prepare<R: Sendable>(_ body: @escaping @Sendable (WebSocket) async throws -> R) -> Outcome<R> {
        let outcome = Outcome<R>()
        let socket = socket
        outcome.task = Task(executorPreference: thread) {
            do { outcome.result = .success(try await body(socket)) } catch { outcome.result = .failure(error) }
        }
        return outcome
    }

    /// Has bytes arrive in one read.
    func receive(_ bytes: [UInt8]) {
        read(ByteBuffer(bytes: bytes))
        run()
    }

    /// Has bytes arrive in one read, of a turn that goes on.
    func read(_ buffer: ByteBuffer) {
        thread.beginTurn()
        socket.receive(buffer)
        thread.readCompleted()
        socket.readCompleted()
    }

    func receive(_ frame: WireFrame) { receive(frame.encoded(masked: socket.connection.role == .server)) }

    /// Has the peer take more, and runs what that causes.
    func take(_ more: Int = .max) {
        transport.take(more)
        run()
    }

    /// The frames that the peer has seen so far.
    var frames: [WireFrame] { get throws { try WireFrame.all(in: transport.seen) } }
}

extension ConnectionConfiguration {
    /// Without a keepalive.
    static let quiet = ConnectionConfiguration(keepalive: nil)
}

extension WebSocket.Handshake {
    static let test = WebSocket.Handshake(
        request: HTTPRequest(method: .get, scheme: "http", authority: "localhost", path: "/test"))
}

extension WebSocket {
    /// A connection with settings of its own, which logs nothing.
    convenience init(_ handshake: Handshake, role: Role, configuration: ConnectionConfiguration, thread: EventThread, inbox: Inbox?) {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        self.init(handshake, role: role, settings: SharedSettings(configuration, logger: logger), thread: thread, inbox: inbox)
    }
}

/// Calls closures.
struct ClosureHandler: WebSocketHandler {
    var whenOpened: (WebSocket) -> Void = { _ in }
    var whenReceived: (Message, WebSocket) -> Void = { _, _ in }
    var whenClosed: (Closure) -> Void = { _ in }

    func opened(_ socket: WebSocket) { whenOpened(socket) }
    func received(_ message: Message, from socket: WebSocket) { whenReceived(message, socket) }
    func closed(_ socket: WebSocket, _ closure: Closure) { whenClosed(closure) }
}

/// A frame as it stands on the wire, unmasked.
struct WireFrame: Equatable, CustomStringConvertible {
    struct Malformed: Error { let what: String }

    var opcode: UInt8
    var payload: [UInt8]
    var isFinal = true
    var isCompressed = false

    static func text(_ text: String) -> Self { Self(opcode: 1, payload: Array(text.utf8)) }
    static func binary(_ payload: [UInt8]) -> Self { Self(opcode: 2, payload: payload) }
    static func ping(_ payload: [UInt8] = []) -> Self { Self(opcode: 9, payload: payload) }
    static func pong(_ payload: [UInt8] = []) -> Self { Self(opcode: 10, payload: payload) }
    static func close(_ code: UInt16, _ reason: String = "") -> Self {
        Self(opcode: 8, payload: [UInt8(code >> 8), UInt8(code & 255)] + reason.utf8)
    }

    var description: String {
        let shown = payload.prefix(16).map { String($0, radix: 16) }.joined(separator: " ")
        return "\(opcode)\(isCompressed ? "c" : "")\(isFinal ? "" : "…")[\(payload.count): \(shown)]"
    }

    /// The bytes; masked with the key 00 00 00 00, which changes nothing.
    func encoded(masked: Bool) -> [UInt8] {
        let mask: UInt8 = masked ? 0x80 : 0
        var bytes: [UInt8] = [(isFinal ? 0x80 : 0) | (isCompressed ? 0x40 : 0) | opcode]
        switch payload.count {
        case ..<126: bytes.append(mask | UInt8(payload.count))
        case ..<65_536: bytes += [mask | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        default: bytes += [mask | 127] + (0..<8).reversed().map { UInt8(truncatingIfNeeded: payload.count >> (8 * $0)) }
        }
        return bytes + (masked ? [0, 0, 0, 0] : []) + payload
    }

    /// The whole frames in the bytes; what is left over at the end is not a frame yet.
    static func all(in bytes: [UInt8]) throws -> [WireFrame] {
        var frames: [WireFrame] = []
        var rest = bytes[...]
        while let frame = try first(&rest) { frames.append(frame) }
        return frames
    }

    private static func first(_ rest: inout ArraySlice<UInt8>) throws -> WireFrame? {
        var bytes = rest
        guard let start = bytes.popFirst(), let second = bytes.popFirst() else { return nil }
        guard start & 0x30 == 0, [0, 1, 2, 8, 9, 10].contains(start & 15) else { throw Malformed(what: "starts with \(start)") }
        var length = Int(second & 0x7F)
        if length > 125 {
            let count = length == 126 ? 2 : 8
            guard bytes.count >= count else { return nil }
            length = bytes.prefix(count).reduce(0) { $0 << 8 | Int($1) }
            bytes = bytes.dropFirst(count)
        }
        var key: [UInt8] = [0, 0, 0, 0]
        if second & 0x80 != 0 {
            guard bytes.count >= 4 else { return nil }
            key = Array(bytes.prefix(4))
            bytes = bytes.dropFirst(4)
        }
        guard bytes.count >= length else { return nil }
        let masked = bytes.prefix(length)
        let payload = key == [0, 0, 0, 0] ? Array(masked) : masked.enumerated().map { $1 ^ key[$0 % 4] }
        rest = bytes.dropFirst(length)
        return WireFrame(opcode: start & 15, payload: payload, isFinal: start & 0x80 != 0, isCompressed: start & 0x40 != 0)
    }

    /// The messages that data frames make; throws where fragments of two are mixed.
    static func messages(in frames: [WireFrame]) throws -> [[UInt8]] {
        var messages: [[UInt8]] = []
        var open: [UInt8]?
        for frame in frames where frame.opcode < 8 {
            guard (frame.opcode == 0) == (open != nil) else { throw Malformed(what: "\(frame) out of order") }
            let whole = (open ?? []) + frame.payload
            open = frame.isFinal ? nil : whole
            if frame.isFinal { messages.append(whole) }
        }
        return messages
    }
}

/// A value that several tasks of a test share.
final class Box<Value: Sendable>: Sendable {
    private let contents: Mutex<Value>
    init(_ value: Value) { contents = Mutex(value) }

    var value: Value {
        get { contents.withLock { $0 } }
        set { contents.withLock { $0 = newValue } }
    }
    @discardableResult
    func change<R: Sendable>(_ body: (inout sending Value) -> R) -> R {
        contents.withLock { value in body(&value) }
    }
}

/// Holds a task until it is opened.
final class Gate: Sendable {
    private let contents = Mutex<(isOpen: Bool, waiting: [CheckedContinuation<Void, Never>])>((false, []))

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = contents.withLock { contents in
                if !contents.isOpen { contents.waiting.append(continuation) }
                return contents.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }

    func open() {
        let waiting = contents.withLock { contents in
            contents.isOpen = true
            defer { contents.waiting = [] }
            return contents.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}

/// Holds a thread until it is opened.
final class ThreadGate: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)
    func open() { semaphore.signal() }
    func wait() { semaphore.wait() }
}

/// Does something that blocks, on a thread of a pool.
func offload(_ body: @escaping @Sendable () -> Void) async { try? await NIOThreadPool.singleton.runIfActive(body) }
