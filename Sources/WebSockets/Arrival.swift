// A connection that the reactor has accepted and that has not said anything yet: RFC 6455 §4.2.
//
//   waiting ── a plain handshake, decided at once ──► a WebSocket
//           ── any other bytes ──► NIO, which reads them for itself
//           ── the end, the deadline ──► gone
//
// Its bytes are only looked at (MSG_PEEK) until it is known whose they are: so none is lost or read twice.

#if os(Linux)

import NIOCore

#if canImport(Musl)
import Musl
#else
import Glibc
#endif

/// A connection that has been accepted and has not said anything yet.
///
/// `@unchecked Sendable`: it is made on the thread that accepts, handed over whole, and from then on touched only on the thread of its
/// reception.
final class Arrival: ReactorGuest, TimerWheelElement, @unchecked Sendable {
    /// Nil once somebody else has it.
    private var descriptor: OwnedDescriptor?
    private var slot: HeldSlot?
    /// Whether the server had too many connections already.
    let isOverLimit: Bool
    /// The peer's address.
    let address: SocketAddress?
    let acceptedAt: NIODeadline
    var timer = TimerWheelPlace.none
    /// Who decides what becomes of it.
    var reception: Reception?

    init(_ descriptor: consuming OwnedDescriptor, from address: SocketAddress?, at now: NIODeadline, _ slots: ConnectionSlots) {
        var isOverLimit = false
        slot = HeldSlot(slots, isOverLimit: &isOverLimit)
        self.isOverLimit = isOverLimit
        self.descriptor = consume descriptor
        self.address = address
        acceptedAt = now
    }

    var number: Int32 { descriptor?.number ?? -1 }

    func takeDescriptor() -> OwnedDescriptor? { descriptor.take() }
    func takeSlot() -> HeldSlot? { slot.take() }

    // MARK: From the loop

    func ready() { reception?.look(at: self) }

    func loopEnded() {
        descriptor = nil
        slot = nil
        // Its alarm still has this in its wheel.
        reception = nil
    }

    func timerFired() { reception?.deadlineCame(self) }
}

#endif
