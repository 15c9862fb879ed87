// What a connection has to say and the transport has not taken yet: whole frames, in order.
//
// Small frames are copied one behind another into one piece of memory, so that a burst leaves in one write; a large payload that needs no
// mask is passed on as it is. Control frames can go before what waits, as the boundaries between pieces are boundaries between frames; only a
// payload that is passed on stands apart from its header, and `isInsideFrame` says so.

import NIOCore
import WebSocketCore

struct Outbox {
    /// Bytes that leave together.
    enum Piece {
        /// Frames that were collected; the thread gets the memory back.
        case frames(FrameBuffer)
        /// Bytes that somebody else, too, may hold.
        case shared(ByteBuffer)
    }

    /// Payloads from this size on are not copied: below it, a copy costs less than a second entry in a vectored write.
    static let shareThreshold = 8192
    /// Collected frames that are longer than this are sealed: growing the memory further would copy it.
    private static let sealThreshold = 65_536

    /// Most of the time there are none, and an idle connection pays a word for them; lent by the thread.
    final class Sealed {
        @exclusivity(unchecked) var pieces = CircularBuffer<(piece: Piece, endsFrame: Bool)>(initialCapacity: 2)
    }

    private var sealed: Sealed?
    private var tail: FrameBuffer?
    /// The bytes that wait.
    private(set) var byteCount = 0

    /// Whether a header was taken and its payload was not: nothing may go between them.
    private(set) var isInsideFrame = false

    var isEmpty: Bool { byteCount == 0 }

    /// Adds a frame; the payload of a client is masked on the way.
    @inline(__always)
    mutating func append(_ header: FrameHeader, _ payload: ByteBuffer, _ thread: EventThread) {
        let length = payload.readableBytes
        byteCount += header.encodedLength + length
        if length >= Self.shareThreshold { return appendLarge(header, payload, thread) }
        if tail == nil { tail = thread.takeFrames() }
        // The outbox keeps it meanwhile: to retain it again would cost as much as the copy.
        let count = tail.map(Unmanaged.passUnretained)?._withUnsafeGuaranteedRef { frames in
            frames.append(header, payload)
            return frames.count
        }
        if let count, count >= Self.sealThreshold { seal(thread) }
    }

    /// Adds a frame whose payload is a byte and what follows it; a server's, as nothing is masked.
    @inline(__always)
    mutating func append(_ header: FrameHeader, _ first: UInt8, _ payload: ByteBuffer, _ thread: EventThread) {
        byteCount += header.encodedLength + 1 + payload.readableBytes
        let frames = frames(thread)
        if payload.readableBytes >= Self.shareThreshold {
            frames.append(header, first, UnsafeRawBufferPointer(start: nil, count: 0))
            seal(endsFrame: false, thread)
            return keep((.shared(payload), true), thread)
        }
        payload.withUnsafeReadableBytes { frames.append(header, first, $0) }
        if frames.count >= Self.sealThreshold { seal(thread) }
    }

    /// Adds a frame whose payload is only lent; it is masked on the way if the header has a key.
    mutating func append(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer, _ thread: EventThread) {
        byteCount += header.encodedLength + payload.count
        let frames = frames(thread)
        frames.append(header, payload)
        if frames.count >= Self.sealThreshold { seal(thread) }
    }

    private mutating func appendLarge(_ header: FrameHeader, _ payload: ByteBuffer, _ thread: EventThread) {
        if header.maskKey == nil {
            frames(thread).append(header, UnsafeRawBufferPointer(start: nil, count: 0))
            seal(endsFrame: false, thread)
            keep((.shared(payload), true), thread)
        } else {
            seal(thread)
            let frames = FrameBuffer(capacity: header.encodedLength + payload.readableBytes)
            frames.append(header, payload)
            keep((.frames(frames), true), thread)
        }
    }

    /// Adds a frame that was encoded before.
    mutating func append(encoded frame: ByteBuffer, _ thread: EventThread) {
        byteCount += frame.readableBytes
        if frame.readableBytes >= Self.shareThreshold {
            seal(thread)
            keep((.shared(frame), true), thread)
        } else {
            let frames = frames(thread)
            frames.append(frame)
            if frames.count >= Self.sealThreshold { seal(thread) }
        }
    }

    @inline(__always)
    private mutating func frames(_ thread: EventThread) -> FrameBuffer {
        if let tail { return tail }
        let frames = thread.takeFrames()
        tail = frames
        return frames
    }

    private mutating func keep(_ piece: (Piece, endsFrame: Bool), _ thread: EventThread) {
        let made = sealed ?? thread.takeSealed()
        made.pieces.append((piece.0, piece.endsFrame))
        sealed = made
    }

    private mutating func seal(endsFrame: Bool = true, _ thread: EventThread) {
        if let frames = tail.take() { keep((.frames(frames), endsFrame), thread) }
    }

    /// Takes all that waits, if that is frames in one piece of memory.
    @inline(__always)
    mutating func takeFrames() -> FrameBuffer? {
        guard sealed == nil, let frames = tail.take() else { return nil }
        byteCount = 0
        return frames
    }

    /// Takes all that waits, if that is one frame whose payload is passed on as it is; `header` is what stands before the payload.
    @inline(__always)
    mutating func takeLargeFrame(_ thread: EventThread) -> (header: FrameBuffer, payload: ByteBuffer)? {
        guard let sealed, sealed.pieces.count == 2, tail == nil else { return nil }
        guard case .frames(let header) = sealed.pieces[offset: 0].piece, case .shared(let payload) = sealed.pieces[offset: 1].piece
        else { return nil }
        sealed.pieces.removeAll(keepingCapacity: true)
        thread.giveBack(sealed)
        self.sealed = nil
        isInsideFrame = false
        byteCount = 0
        return (header, payload)
    }

    /// Takes the next bytes to write.
    @inline(__always)
    mutating func next(_ thread: EventThread) -> Piece? {
        if let sealed, let (piece, endsFrame) = sealed.pieces.popFirst() {
            if sealed.pieces.isEmpty {
                thread.giveBack(sealed)
                self.sealed = nil
            }
            isInsideFrame = !endsFrame
            byteCount -= piece.count
            return piece
        }
        guard let frames = tail.take() else { return nil }
        byteCount -= frames.count
        return .frames(frames)
    }

    /// Forgets what waits: the connection fails, or its reader is given up.
    mutating func removeAll() { self = Outbox() }
}

extension Outbox.Piece {
    var count: Int {
        switch self {
        case .frames(let frames): frames.count
        case .shared(let bytes): bytes.readableBytes
        }
    }

    @inline(__always)
    func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        switch self {
        case .frames(let frames): body(frames.bytes)
        case .shared(let bytes): bytes.withUnsafeReadableBytes(body)
        }
    }
}
