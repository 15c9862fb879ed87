// What becomes of the connections that one reactor's thread has accepted: RFC 6455 §4.2.

#if os(Linux)

import Logging
import NIOCore
import WebSocketCore

#if canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Decides what becomes of new connections, on the thread of one reactor.
///
/// `@unchecked Sendable`: after `init`, its variables are touched only on the loop's thread.
final class Reception: @unchecked Sendable {
    /// Takes a connection that is none of the reactor's.
    typealias HandToNIO = @Sendable (consuming OwnedDescriptor, ConnectionSlot, _ acceptedAt: NIODeadline) -> Void

    let loop: ReactorLoop
    private let thread: EventThread
    private let server: ServerCore
    /// Where a handshake is looked at. Of 16 KiB, which is the default limit: what is longer goes to NIO, whatever the limit.
    private let room: UnsafeMutableRawBufferPointer
    private let alarm = Alarm<Arrival>()
    private let timeout: TimeAmount
    private let handToNIO: HandToNIO

    private static let maxLength = 16_384

    init(_ server: ServerCore, _ loop: ReactorLoop, _ thread: EventThread, _ handToNIO: @escaping HandToNIO) {
        self.server = server
        self.loop = loop
        self.thread = thread
        self.handToNIO = handToNIO
        timeout = TimeAmount(server.configuration.handshakeTimeout)
        room = .allocate(byteCount: max(1, min(Self.maxLength, server.configuration.maxHeaderBytes)), alignment: 16)
    }

    deinit { room.deallocate() }

    // MARK: Coming

    /// Waits for what a new connection says.
    func welcome(_ arrival: Arrival) {
        assert(loop.isCurrent, "a connection came to a thread that is not its own")
        arrival.reception = self
        guard loop.add(arrival, arrival.number) else {
            server.logger.warning("a connection is dropped: epoll can not watch it: \(String(cString: strerror(errno)))")
            return
        }
        alarm.arm(arrival, at: arrival.acceptedAt + timeout, on: thread)
    }

    // MARK: Going

    /// Looks at what has come.
    func look(at arrival: Arrival) {
        let count = recv(arrival.number, room.baseAddress, room.count, Int32(MSG_PEEK))
        if count > 0 {
            judge(UnsafeRawBufferPointer(rebasing: room[..<count]), of: arrival)
        } else if count == 0 || errno != EAGAIN && errno != EINTR {
            // It went without a word, or broke.
            dismiss(arrival)
        }
    }

    private func judge(_ bytes: UnsafeRawBufferPointer, of arrival: Arrival) {
        let configuration = server.configuration
        guard !arrival.isOverLimit,
            let plain = PlainHandshake(bytes, maxFields: configuration.maxHeaderFields, maxBytes: configuration.maxHeaderBytes),
            let accepted = AcceptedHandshake(plain, from: arrival.address, server)
        else { return giveAway(arrival) }
        // What stands behind it are frames, and the connection's to read.
        guard recv(arrival.number, room.baseAddress, plain.length, 0) == plain.length else { return dismiss(arrival) }
        open(arrival, accepted)
    }

    private func open(_ arrival: Arrival, _ accepted: AcceptedHandshake) {
        alarm.disarm(arrival)
        guard let descriptor = arrival.takeDescriptor(), let slot = arrival.takeSlot() else { return }
        let socket = accepted.makeSocket(thread)
        let transport = ReactorTransport(socket: socket, descriptor: descriptor, slot: slot)
        thread.inTurn { transport.startWatched(accepted.makeHandler(socket), answer: accepted.answer) }
    }

    /// Has NIO read and judge what has come.
    private func giveAway(_ arrival: Arrival) {
        leave(arrival)
        guard let descriptor = arrival.takeDescriptor(), let slot = arrival.takeSlot() else { return }
        handToNIO(descriptor, ConnectionSlot(slot, isOverLimit: arrival.isOverLimit), arrival.acceptedAt)
    }

    /// > RFC 9112 §9.5: a server "will usually have some timeout value beyond which they will no longer maintain an inactive connection".
    func deadlineCame(_ arrival: Arrival) {
        guard thread.now >= arrival.acceptedAt + timeout else { return alarm.arm(arrival, at: arrival.acceptedAt + timeout, on: thread) }
        thread.statistics.refused(.deadline, status: nil)
        let peer = arrival.address.map(\.description) ?? "unknown"
        server.logger.info(
            "refused: no request arrived in time (limit handshakeTimeout)", metadata: ["peer": "\(peer)", "status": "none"])
        dismiss(arrival)
    }

    private func dismiss(_ arrival: Arrival) {
        leave(arrival)
        _ = arrival.takeDescriptor()
        _ = arrival.takeSlot()
    }

    private func leave(_ arrival: Arrival) {
        alarm.disarm(arrival)
        loop.removeGuest(arrival.number)
    }
}

#endif
