// From frames to messages: RFC 6455 §5.4, and the limits and the UTF-8 of a message.
//
// States: idle → fragmented (after a first frame that is not final) → idle (after the final continuation).
// It counts and checks; the bytes of a fragmented message are kept by whoever owns the connection.

/// Follows the frames of messages, and refuses those that break the order, a limit or UTF-8 (RFC 6455 §5.4, §8.1).
struct MessageAssembler: ~Copyable, Sendable {
    private let shared: SharedLimits
    private var size = 0
    private var fragments = 0
    /// The message that is under way; nil between messages.
    private(set) var kind: MessageKind?
    private(set) var isCompressed = false
    private var utf8 = UTF8Validator()

    init(limits: SharedLimits) { shared = limits }

    private var limits: Limits { shared.limits }

    /// What a message of a single frame has to stay under, in bytes; 0 inside a message.
    @inline(__always)
    var limitOfWholeMessage: Int {
        guard kind == nil else { return 0 }
        let most = min(limits.maxFrameSize, limits.maxMessageSize)
        return most == .max ? most : most + 1
    }

    /// Takes note of a data frame's header, before any of its payload is kept.
    @inline(__always)
    mutating func begin(_ header: FrameHeader) throws(ProtocolError) {
        if header.opcode == .continuation {
            // §5.4: continuation frames belong to a message that a text or binary frame began.
            guard kind != nil else { throw ProtocolError(.unexpectedContinuation) }
            fragments += 1
            if fragments > limits.maxFragments { throw ProtocolError(.tooManyFragments, UInt64(fragments)) }
        } else {
            // §5.4: "The fragments of one message MUST NOT be interleaved between the fragments of another message".
            guard kind == nil else { throw ProtocolError(.unfinishedMessage) }
            kind = header.opcode == .text ? .text : .binary
            isCompressed = header.isCompressed
            size = 0
            fragments = 1
        }
        try count(header.payloadLength)
    }

    @inline(__always)
    private mutating func count(_ length: Int) throws(ProtocolError) {
        if length > limits.maxFrameSize { throw tooBig(length) }
        // Both are at most Int.max; their sum may not be.
        let (sum, overflow) = size.addingReportingOverflow(length)
        if overflow || sum > limits.maxMessageSize { throw ProtocolError(.messageTooBig, UInt64(overflow ? .max : sum)) }
        size = sum
    }

    private func tooBig(_ length: Int) -> ProtocolError {
        limits.maxFrameSize < limits.maxMessageSize
            ? ProtocolError(.frameTooBig, UInt64(length)) : ProtocolError(.messageTooBig, UInt64(length))
    }

    /// Checks a piece of payload, unmasked, and ends the message with its last piece.
    ///
    /// The text of a compressed message is checked after it was inflated, by whoever inflates it.
    @inline(__always)
    mutating func take(_ payload: UnsafeRawBufferPointer, endsMessage: Bool) throws(ProtocolError) {
        if kind == .text && !isCompressed {
            // §8.1: "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in fact, a valid
            // UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_." At the first bad byte, not at the end.
            guard utf8.validate(payload), !endsMessage || utf8.isComplete else { throw ProtocolError(.invalidUTF8) }
        }
        if endsMessage { kind = nil }
    }
}
