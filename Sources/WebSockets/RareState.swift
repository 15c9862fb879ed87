// What a connection has only now and then, so that an idle one does not pay for it.

import NIOCore
import WebSocketCore

/// What a connection has only now and then; confined to its thread, but for `finalClosure`.
final class RareState {
    /// A message that came in several pieces, as far as it has come.
    @exclusivity(unchecked) var assembly: ByteBuffer?
    @exclusivity(unchecked) var heldPong: ByteBuffer?
    /// Checks the text that is sent piece by piece; nil outside such a message.
    @exclusivity(unchecked) var outgoingText: UTF8Validator?
    /// Messages that wait for the end of one that leaves piece by piece.
    @exclusivity(unchecked) var deferred: [Message] = []
    @exclusivity(unchecked) var deferredBytes = 0
    @exclusivity(unchecked) var sendWaiters = Waiters()
    /// Those who wait for room for a piece.
    @exclusivity(unchecked) var pieceWaiters = Waiters()
    /// How many messages were begun that leave piece by piece.
    @exclusivity(unchecked) var piecemealMessages = 0
    @exclusivity(unchecked) var pings: [PendingPing] = []
    @exclusivity(unchecked) var stallWatch = StallWatch()
    @exclusivity(unchecked) var closeDeadline: Timestamp?
    @exclusivity(unchecked) var hasInputEnded = false
    @exclusivity(unchecked) var closeCause: (any Error)?
    /// How it ended; any thread may read it once `readyState` is closed, as neither it nor `WebSocket.rare` is written after that.
    @exclusivity(unchecked) var finalClosure: Closure?
    @exclusivity(unchecked) var closeWaiters: [CheckedContinuation<Closure, Never>] = []
}

/// Each stands where it stood before anything rare has happened, and makes the rest with its first change.
extension WebSocket {
    private var madeRare: RareState { rare ?? makeRare() }

    // Out of line, as what changes these stands beside what runs for each message.
    @inline(never)
    private func makeRare() -> RareState {
        let made = RareState()
        rare = made
        return made
    }

    var assembly: ByteBuffer? {
        get { rare?.assembly }
        set { madeRare.assembly = newValue }
    }
    var heldPong: ByteBuffer? {
        get { rare?.heldPong }
        set { if newValue != nil || rare != nil { madeRare.heldPong = newValue } }
    }
    var outgoingText: UTF8Validator? {
        get { rare?.outgoingText }
        _modify { yield &madeRare.outgoingText }
    }
    var deferred: [Message] {
        get { rare?.deferred ?? [] }
        _modify { yield &madeRare.deferred }
    }
    var deferredBytes: Int {
        @inline(__always) get { rare?.deferredBytes ?? 0 }
        set { if newValue != 0 || rare != nil { madeRare.deferredBytes = newValue } }
    }
    var sendWaiters: Waiters {
        get { rare?.sendWaiters ?? Waiters() }
        _modify { yield &madeRare.sendWaiters }
    }
    var pieceWaiters: Waiters {
        get { rare?.pieceWaiters ?? Waiters() }
        _modify { yield &madeRare.pieceWaiters }
    }
    var piecemealMessages: Int {
        get { rare?.piecemealMessages ?? 0 }
        set { madeRare.piecemealMessages = newValue }
    }
    var pings: [PendingPing] {
        get { rare?.pings ?? [] }
        _modify { yield &madeRare.pings }
    }
    var stallWatch: StallWatch {
        get { rare?.stallWatch ?? StallWatch() }
        _modify { yield &madeRare.stallWatch }
    }
    var hasInputEnded: Bool {
        get { rare?.hasInputEnded ?? false }
        set { madeRare.hasInputEnded = newValue }
    }
    var closeDeadline: Timestamp? {
        get { rare?.closeDeadline }
        set { madeRare.closeDeadline = newValue }
    }
    var closeCause: (any Error)? {
        get { rare?.closeCause }
        set { madeRare.closeCause = newValue }
    }
    var finalClosure: Closure? {
        get { rare?.finalClosure }
        set { madeRare.finalClosure = newValue }
    }
    var closeWaiters: [CheckedContinuation<Closure, Never>] {
        get { rare?.closeWaiters ?? [] }
        _modify { yield &madeRare.closeWaiters }
    }
}
