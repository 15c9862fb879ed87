// One end of a connection that answers by itself, and what came of the bytes it was fed.
//
// Two recordings are equal when the program above the connection and the peer on the wire could not tell them apart: the pieces in
// which a message arrived are put together, and a message that never ended does not count.

import WebSocketCore

/// What came of some bytes: for the program, and on the wire.
struct Recording: Hashable, Sendable {
    enum Entry: Hashable, Sendable {
        case message(MessageKind, [UInt8], isCompressed: Bool)
        case ping([UInt8])
        case pong([UInt8])
        case close(beganByPeer: Bool)
        case failure(ProtocolError)
    }

    var entries: [Entry] = []
    /// What this end wrote.
    var output: [UInt8] = []
    var state = Connection.State.open
    var closure: Closure?
    /// A promise of `Connection` that did not hold, whatever the peer sent.
    var violation: String?
}

/// How an end behaves: each message is echoed, a ping answered, a close and a failure carried out.
struct Scene: Hashable, Sendable {
    var role = Role.server
    var limits = Limits()
    var allowsCompression = false
    /// After how many messages this end begins to close; nil for never.
    var closesAfter: Int?

    /// Feeds the pieces one by one, then ends the stream.
    func record(_ pieces: [ArraySlice<UInt8>]) -> Recording {
        var end = RecordingEnd(self)
        for piece in pieces { end.read(piece) }
        return end.finish()
    }
}

private struct RecordingEnd: ~Copyable {
    private let scene: Scene
    private var connection: Connection
    private var recording = Recording()
    private var assembly: (kind: MessageKind, bytes: [UInt8], isCompressed: Bool)?
    private var messages = 0
    private var maskKeys: UInt32 = 0

    init(_ scene: Scene) {
        self.scene = scene
        connection = Connection(role: scene.role, limits: scene.limits, allowsCompression: scene.allowsCompression)
    }

    consuming func finish() -> Recording {
        connection.disconnected(by: .remote)
        recording.state = connection.state
        recording.closure = connection.closure
        return recording
    }

    mutating func read(_ piece: ArraySlice<UInt8>) {
        // A buffer exactly as large as the piece: a sanitizer then sees any access beyond it.
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: piece.count, alignment: 1)
        defer { bytes.deallocate() }
        bytes.copyBytes(from: piece)
        var offset = 0
        do throws(ProtocolError) {
            while let event = try connection.receive(bytes, at: &offset) { take(event, UnsafeRawBufferPointer(bytes), offset) }
            if offset != bytes.count { violate("nothing more to take, but \(bytes.count - offset) bytes are left") }
        } catch {
            recording.entries.append(.failure(error))
            if let frame = connection.fail(error) { write(.close, frame) }
        }
    }

    private mutating func take(_ event: Connection.Event, _ bytes: UnsafeRawBufferPointer, _ offset: Int) {
        switch event {
        case .message(let kind, let range, let isCompressed):
            guard assembly == nil else { return violate("a whole message inside another") }
            received(kind, slice(bytes, range, offset), isCompressed)
        case .piece(let kind, let range, let isCompressed, let isLast):
            receivedPiece(kind, slice(bytes, range, offset), isCompressed, isLast)
        case .ping:
            recording.entries.append(.ping(connection.controlPayload))
            write(.pong, connection.controlPayload)
        case .pong:
            recording.entries.append(.pong(connection.controlPayload))
        case .close(let beganByPeer):
            recording.entries.append(.close(beganByPeer: beganByPeer))
            if beganByPeer, let frame = connection.answerClose() { write(.close, frame) }
        }
    }

    private mutating func slice(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, _ offset: Int) -> [UInt8] {
        guard range.lowerBound >= 0, range.upperBound == offset, offset <= bytes.count else {
            violate("the payload \(range) does not end at \(offset) of \(bytes.count)")
            return []
        }
        return Array(bytes[range])
    }

    private mutating func receivedPiece(_ kind: MessageKind, _ bytes: [UInt8], _ isCompressed: Bool, _ isLast: Bool) {
        // Taken out before it grows, so that it grows in place: a message may come in thousands of pieces.
        var whole = assembly.take() ?? (kind, [], isCompressed)
        if whole.kind != kind || whole.isCompressed != isCompressed { violate("a message changed its kind on the way") }
        whole.bytes += bytes
        if isLast { received(kind, whole.bytes, isCompressed) } else { assembly = whole }
    }

    private mutating func received(_ kind: MessageKind, _ bytes: [UInt8], _ isCompressed: Bool) {
        if bytes.count > scene.limits.maxMessageSize { violate("a message of \(bytes.count) bytes is over the limit") }
        recording.entries.append(.message(kind, bytes, isCompressed: isCompressed))
        echo(kind, bytes, isCompressed)
        messages += 1
        guard messages == scene.closesAfter else { return }
        if let frame = try? connection.close(code: .normalClosure, reason: "enough") { write(.close, frame) }
    }

    // MARK: What leaves

    /// Sends a message back, plain text in two pieces, so that both ways of sending are seen.
    private mutating func echo(_ kind: MessageKind, _ bytes: [UInt8], _ isCompressed: Bool) {
        do throws(UsageError) {
            guard kind == .text && !isCompressed else {
                return write(try connection.send(kind, length: bytes.count, isCompressed: isCompressed, maskKey: nextMaskKey()), bytes)
            }
            let half = bytes.count / 2
            try connection.beginMessage(kind)
            write(try connection.sendPiece(length: half, isLast: false, maskKey: nextMaskKey()), Array(bytes[..<half]))
            write(
                try connection.sendPiece(length: bytes.count - half, isLast: true, maskKey: nextMaskKey()), Array(bytes[half...]))
        } catch {
            violate("a message can not be echoed: \(error)")
        }
    }

    private mutating func write(_ opcode: Opcode, _ payload: [UInt8]) {
        if payload.count > 125 { violate("a control frame of \(payload.count) bytes") }
        write(FrameHeader(opcode: opcode, payloadLength: payload.count, maskKey: nextMaskKey()), payload)
    }

    private mutating func write(_ header: FrameHeader, _ payload: [UInt8]) {
        var frame = [UInt8](repeating: 0, count: header.encodedLength) + payload
        frame.withUnsafeMutableBytes { frame in
            let start = header.encode(into: frame)
            if let key = header.maskKey {
                Masking.applyScalar(key: key, offset: 0, to: UnsafeMutableRawBufferPointer(rebasing: frame[start...]))
            }
        }
        recording.output += frame
    }

    private mutating func nextMaskKey() -> UInt32? {
        guard scene.role == .client else { return nil }
        maskKeys &+= 0x9E37_79B9
        return maskKeys
    }

    private mutating func violate(_ what: String) {
        recording.violation = recording.violation ?? what
    }
}
