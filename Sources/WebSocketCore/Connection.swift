// One WebSocket connection without I/O: RFC 6455 §5–§7.
//
// What arrives goes through `receive`, one event at a time; what leaves asks `send…` for its frame header, `close` and `fail` for a
// close frame. No bytes are kept, no clock is read, nothing is written: the owner of the socket does that.
//
// States, and what moves them:
//   open ── close() ──────────────► closingByUs ── close frame arrives ──► closed
//   open ── close frame arrives ──► closingByPeer ── answerClose() ──► closed
//   any ── fail() ────────────────► closed (§7.1.7: nothing more is read or sent)
//   any ── disconnected() ────────► closed

/// One WebSocket connection without I/O (RFC 6455).
public struct Connection: ~Copyable, Sendable {
    /// What has arrived.
    public enum Event: Sendable, Hashable {
        /// A whole message in one frame, at this place in the bytes passed in, unmasked.
        case message(MessageKind, Range<Int>, isCompressed: Bool)
        /// A piece of a message, at this place in the bytes passed in, unmasked; it may be empty.
        case piece(MessageKind, Range<Int>, isCompressed: Bool, isLast: Bool)
        /// A ping: answer with a pong of `controlPayload`.
        case ping
        /// A pong of `controlPayload`.
        case pong
        /// The peer's close frame. If it began, `answerClose` comes next; both ends have then said what they had to (§7.1.4).
        case close(beganByPeer: Bool)
    }

    /// Where the connection is on its way.
    public enum State: Sendable, Hashable {
        /// Both may send.
        case open
        /// This end has sent a close frame and awaits the peer's.
        case closingByUs
        /// The peer has sent a close frame and awaits this end's; what answers its last messages may still be sent (§5.5.1).
        case closingByPeer
        /// Nothing more is sent or read.
        case closed
    }

    // A server holds many of these: the largest first, and what is only there at the end in memory of its own.

    private var parser: FrameParser
    private var assembler: MessageAssembler
    /// The payload of the control frame of the last event.
    public private(set) var controlPayload: [UInt8] = []
    /// One, or none.
    private var closures: [Closure] = []
    /// Which end this is.
    public let role: Role
    /// Where the connection is on its way.
    public private(set) var state = State.open
    /// The message that this end sends piece by piece, and whether its first piece has gone.
    @usableFromInline var outgoing: (kind: MessageKind, begun: Bool)?

    /// How it ended, or is about to; nil while it is open.
    public private(set) var closure: Closure? {
        get { closures.first }
        set { closures = newValue.map { [$0] } ?? [] }
    }

    /// Makes an open connection, after its handshake.
    public init(role: Role, limits: Limits = Limits(), allowsCompression: Bool = false) {
        self.init(role: role, limits: SharedLimits(limits), allowsCompression: allowsCompression)
    }

    /// Makes an open connection, which shares its limits with others.
    package init(role: Role, limits: SharedLimits, allowsCompression: Bool) {
        self.role = role
        self.parser = FrameParser(role: role, allowsCompression: allowsCompression)
        self.assembler = MessageAssembler(limits: limits)
    }

    // MARK: What arrives

    /// Takes the next event out of the bytes.
    ///
    /// Call it until it returns nil; then all bytes are taken. After `.close`, and once the connection is closed, what follows is
    /// passed over (§5.5.1: after a close frame "any further data" has no meaning).
    ///
    /// - Parameters:
    ///   - bytes: what arrived; payloads in it are unmasked in place.
    ///   - offset: where to go on; moved behind what was taken.
    /// - Throws: `ProtocolError`; then call `fail`.
    @inline(__always)
    public mutating func receive(
        _ bytes: UnsafeMutableRawBufferPointer, at offset: inout Int
    ) throws(ProtocolError) -> Event? {
        if state == .open, let (isText, payload) = parser.nextShortMessage(bytes, at: &offset, under: assembler.limitOfWholeMessage) {
            if isText { try Self.checkText(UnsafeRawBufferPointer(rebasing: bytes[payload])) }
            return .message(isText ? .text : .binary, payload, isCompressed: false)
        }
        while state == .open || state == .closingByUs {
            guard let chunk = try parser.next(bytes, at: &offset) else { return nil }
            if chunk.header.opcode.isControl {
                if let event = try receiveControl(chunk, bytes) { return event }
            } else if let event = try receiveData(chunk, bytes) {
                return event
            }
        }
        offset = bytes.count
        return nil
    }

    /// §8.1: text that is not UTF-8 fails the connection; here all of it is at hand.
    @inline(__always)
    private static func checkText(_ text: UnsafeRawBufferPointer) throws(ProtocolError) {
        var utf8 = UTF8Validator()
        guard utf8.validate(text), utf8.isComplete else { throw ProtocolError(.invalidUTF8) }
    }

    @inline(__always)
    private mutating func receiveData(
        _ chunk: FrameChunk, _ bytes: UnsafeMutableRawBufferPointer
    ) throws(ProtocolError) -> Event? {
        if chunk.isFirst { try assembler.begin(chunk.header) }
        guard let kind = assembler.kind else { return nil }
        let isCompressed = assembler.isCompressed
        let endsMessage = chunk.isLast && chunk.header.isFinal
        try assembler.take(UnsafeRawBufferPointer(rebasing: bytes[chunk.payload]), endsMessage: endsMessage)
        // §5.5.1 leaves open what becomes of data that arrives after this end sent its close; browsers drop it, and so do we.
        guard state == .open else { return nil }
        if endsMessage && chunk.isFirst && chunk.header.opcode != .continuation {
            return .message(kind, chunk.payload, isCompressed: isCompressed)
        }
        return .piece(kind, chunk.payload, isCompressed: isCompressed, isLast: endsMessage)
    }

    private mutating func receiveControl(
        _ chunk: FrameChunk, _ bytes: UnsafeMutableRawBufferPointer
    ) throws(ProtocolError) -> Event? {
        if chunk.isFirst { controlPayload.removeAll(keepingCapacity: true) }
        controlPayload.append(contentsOf: bytes[chunk.payload])
        guard chunk.isLast else { return nil }
        switch chunk.header.opcode {
        case .ping: return state == .open ? .ping : nil
        case .pong: return .pong
        default: return try receiveClose()
        }
    }

    private mutating func receiveClose() throws(ProtocolError) -> Event {
        let (code, reason) = try Self.decodeClose(controlPayload)
        let beganByPeer = state == .open
        state = beganByPeer ? .closingByPeer : .closed
        if beganByPeer {
            closure = Closure(code: code, reason: reason, initiator: .remote, isClean: true)
        } else {
            closure?.isClean = true
        }
        return .close(beganByPeer: beganByPeer)
    }

    private static func decodeClose(_ payload: [UInt8]) throws(ProtocolError) -> (CloseCode, String) {
        guard payload.count != 1 else { throw ProtocolError(.truncatedCloseCode) }
        guard payload.count >= 2 else { return (.noStatusReceived, "") }
        let code = CloseCode(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
        guard code.isSendable else { throw ProtocolError(.invalidCloseCode, UInt64(code.rawValue)) }
        guard let reason = String(validating: payload[2...], as: UTF8.self) else { throw ProtocolError(.invalidUTF8) }
        return (code, reason)
    }

    /// The bytes that the frame which has begun to arrive still lacks.
    public var missingBytes: Int { parser.missingBytes }

    // MARK: What leaves

    /// Whether messages and pings may be sent.
    @inlinable public var canSend: Bool { state == .open || state == .closingByPeer }

    /// The header of a whole message's only frame.
    ///
    /// - Parameter maskKey: fresh randomness of the system's best source from a client (§5.3: "derived from a strong source of
    ///   entropy"), nil from a server.
    /// - Throws: `UsageError` after a close, or inside a message sent piece by piece.
    @inlinable
    public func send(
        _ kind: MessageKind, length: Int, isCompressed: Bool = false, maskKey: UInt32? = nil
    ) throws(UsageError) -> FrameHeader {
        guard canSend else { throw UsageError(.sendAfterClose) }
        guard outgoing == nil else { throw UsageError(.unfinishedMessage) }
        return FrameHeader(opcode: kind.opcode, payloadLength: length, isCompressed: isCompressed, maskKey: maskKey)
    }

    /// Whether a message is being sent piece by piece.
    @inlinable public var isSendingPieces: Bool { outgoing != nil }

    /// Begins a message that is sent piece by piece (§5.4).
    ///
    /// - Throws: `UsageError` after a close, or inside another such message.
    public mutating func beginMessage(_ kind: MessageKind) throws(UsageError) {
        guard canSend else { throw UsageError(.sendAfterClose) }
        guard outgoing == nil else { throw UsageError(.unfinishedMessage) }
        outgoing = (kind, false)
    }

    /// The header of the next piece of the message that was begun.
    ///
    /// - Throws: `UsageError` after a close, or where no message was begun.
    public mutating func sendPiece(length: Int, isLast: Bool, maskKey: UInt32? = nil) throws(UsageError) -> FrameHeader {
        guard canSend else { throw UsageError(.sendAfterClose) }
        guard let message = outgoing else { throw UsageError(.noMessageBegun) }
        outgoing = isLast ? nil : (message.kind, true)
        return FrameHeader(
            opcode: message.begun ? .continuation : message.kind.opcode, payloadLength: length, isFinal: isLast, maskKey: maskKey)
    }

    /// The header of a ping or pong (§5.5.2–5.5.3).
    ///
    /// - Throws: `UsageError` after a close, or over 125 bytes.
    public func sendControl(_ opcode: Opcode, length: Int, maskKey: UInt32? = nil) throws(UsageError) -> FrameHeader {
        guard canSend else { throw UsageError(.sendAfterClose) }
        guard length <= 125 else { throw UsageError(.controlTooLong) }
        return FrameHeader(opcode: opcode, payloadLength: length, maskKey: maskKey)
    }

    // MARK: The end

    /// Begins the close handshake (§7.1.2), and says the payload of the close frame to send; nil if it has begun already.
    ///
    /// - Parameters:
    ///   - code: one that may be sent (§7.4), or nil for a close frame without one.
    ///   - reason: at most 123 bytes of UTF-8; only with a code.
    /// - Throws: `UsageError` for a code or reason that may not be sent.
    public mutating func close(code: CloseCode?, reason: String) throws(UsageError) -> [UInt8]? {
        if let code, !code.isSendable { throw UsageError(.invalidCloseCode) }
        // §5.5: a control frame holds 125 bytes, two of them the code.
        if reason.utf8.count > 123 { throw UsageError(.closeReasonTooLong) }
        guard state == .open else { return nil }
        state = .closingByUs
        closure = Closure(
            code: code ?? .noStatusReceived, reason: code == nil ? "" : reason, initiator: .local, isClean: false)
        return closeFrame
    }

    /// Ends the close handshake that the peer began, and says the payload of the close frame to send; nil if it began none.
    public mutating func answerClose() -> [UInt8]? {
        guard state == .closingByPeer else { return nil }
        state = .closed
        return closeFrame
    }

    /// Fails the connection (§7.1.7), and says the payload of the close frame to send; nil if one was sent already.
    public mutating func fail(_ error: ProtocolError) -> [UInt8]? {
        fail(code: error.closeCode, reason: error.reason)
    }

    /// Fails the connection for a cause of this end's own, and says the payload of the close frame to send; nil if one was sent.
    ///
    /// - Parameters:
    ///   - code: one that may be sent (§7.4).
    ///   - reason: at most 123 bytes.
    package mutating func fail(code: CloseCode, reason: String) -> [UInt8]? {
        let isOwed = canSend
        state = .closed
        guard isOwed else { return nil }
        // A close that the peer began stays its own.
        if closure == nil { closure = Closure(code: code, reason: reason, initiator: .local, isClean: false) }
        return closeFrame
    }

    /// Notes that the bytes have ended: without both close frames, this is 1006 (§7.1.5).
    ///
    /// - Parameter initiator: who cut the connection.
    public mutating func disconnected(by initiator: Closure.Initiator) {
        state = .closed
        if closure == nil { closure = Closure(code: .abnormalClosure, initiator: initiator, isClean: false) }
    }

    /// The payload of the close frame that this end sends: its own code and reason, or the peer's code echoed (§5.5.1: "the
    /// endpoint typically echos the status code it received").
    private var closeFrame: [UInt8] {
        guard let closure, closure.code != .noStatusReceived else { return [] }
        let code = [UInt8(closure.code.rawValue >> 8), UInt8(closure.code.rawValue & 0xFF)]
        return closure.initiator == .local ? code + closure.reason.utf8 : code
    }
}
