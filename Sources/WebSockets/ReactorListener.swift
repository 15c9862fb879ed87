// The listening socket on a reactor: who connects is accepted in batches, and goes to the threads in turn.
//
// One of the loops accepts for all: so they get the same number each, and a batch is handed to another thread in one piece.

#if os(Linux)

import CDuplexLinux
import Logging
import NIOCore
import Synchronization

#if canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Accepts connections on a reactor's loop, and pauses while the system has few descriptors or no memory for more (see `AcceptGate`).
///
/// `@unchecked Sendable`: the variables are touched only on the loop's thread; the rest is constant or atomic.
final class ReactorListener: ReactorGuest, @unchecked Sendable {
    private let loop: ReactorLoop
    private let receptions: [Reception]
    private let slots: ConnectionSlots
    private let retryInterval: TimeAmount
    private var descriptor: OwnedDescriptor?
    private var turn = 0
    private var shortage: AcceptShortage
    private let reserve: DescriptorReserve
    /// Whether a connection's number was the last before those that are kept for others, or behind it. Before that, none costs a look. From
    /// then on, each is followed by one, as the next may get a number behind it though this one has got one that was free again.
    private var isNearReserve = false
    private let isPaused = Atomic<Bool>(false)
    private var retry: LoopTimer?

    /// How many are accepted before those are looked after that are there.
    private static let maxBatch = 128

    /// - Parameters:
    ///   - descriptor: of a listening socket that does not block.
    ///   - receptions: of all threads; the first one's loop accepts.
    ///   - retryInterval: how long a pause lasts if no connection ends.
    ///   - reserve: the descriptors that are left to others; nil for what the system has.
    init?(
        _ descriptor: consuming OwnedDescriptor, _ receptions: [Reception], _ slots: ConnectionSlots, _ logger: Logger,
        retryInterval: TimeAmount = .seconds(1), reserve: DescriptorReserve? = nil
    ) {
        guard let first = receptions.first else { return nil }
        loop = first.loop
        self.receptions = receptions
        self.slots = slots
        self.retryInterval = retryInterval
        self.reserve = reserve ?? DescriptorReserve(probing: descriptor.number)
        self.descriptor = consume descriptor
        shortage = AcceptShortage(logger)
    }

    // MARK: Any thread

    /// A connection has ended, and its descriptor is free.
    func connectionClosed() {
        guard isPaused.load(ordering: .acquiring) else { return }
        loop.execute { self.resume() }
    }

    // MARK: On the loop's thread

    private var number: Int32 { descriptor?.number ?? -1 }

    /// Begins to accept; false if the system can not watch the socket.
    func start() -> Bool { loop.add(self, number) }

    /// Accepts no more, and closes the socket.
    func stop() {
        retry?.cancel()
        guard descriptor != nil else { return }
        loop.removeGuest(number)
        descriptor = nil
        isPaused.store(false, ordering: .releasing)
    }

    /// Later, as a new connection may get the number of one that this round has closed and still has news of.
    func ready() { loop.afterwards { self.acceptBatch() } }

    func loopEnded() { descriptor = nil }

    private func acceptBatch() {
        guard descriptor != nil else { return }
        var batches = Array(repeating: [Arrival](), count: receptions.count)
        let now = NIODeadline.now()
        let lastNumber = Int32(clamping: reserve.start - 1)
        for _ in 0..<Self.maxBatch {
            var address = sockaddr_storage()
            guard let accepted = OwnedDescriptor(duplex_accept(number, &address)) else {
                if failed(errno) { continue } else { break }
            }
            let given = accepted.number
            batches[turn].append(Arrival(accepted, from: SocketAddress(address), at: now, slots))
            turn = (turn + 1) % batches.count
            if isNearReserve || given >= lastNumber, isReserveReached() { break }
        }
        for (reception, batch) in zip(receptions, batches) where !batch.isEmpty { hand(batch, to: reception) }
    }

    private func hand(_ batch: [Arrival], to reception: Reception) {
        if reception.loop === loop { return batch.forEach(reception.welcome) }
        reception.loop.execute { batch.forEach(reception.welcome) }
    }

    // MARK: Errors

    /// Says whether there may be more connections to accept. Not private: no test can have the system say all of these.
    func failed(_ code: Int32) -> Bool {
        switch code {
        case EAGAIN: return false
        // accept(2): Linux passes errors of the new connection on as those of the call; they are of that one alone.
        case EINTR, ECONNABORTED, EPROTO, ENOPROTOOPT, ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH, ENONET, EOPNOTSUPP, EPERM:
            return true
        default:
            // Whatever it is, to try again at once would be to spin.
            pause()
            isNearReserve = true
            let error = IOError(errnoCode: code, reason: "accept")
            shortage.warn(at: .now(), cause: "\(error)", isLasting: AcceptShortage.codes.contains(code))
            return false
        }
    }

    /// Pauses if no more may be accepted, and says whether it has.
    private func isReserveReached() -> Bool {
        isNearReserve = true
        guard reserve.isReached else { return false }
        pause()
        // One that has ended meanwhile has not been heard of.
        if reserve.isReached { shortage.warn(at: .now(), cause: reserve.cause) } else { resume() }
        return true
    }

    private func pause() {
        loop.watch(number, 0)
        isPaused.store(true, ordering: .releasing)
        wait()
    }

    private func wait() {
        retry?.cancel()
        retry = loop.schedule(at: .now() + retryInterval) { [weak self] in self?.resume() }
    }

    private func resume() {
        guard isPaused.load(ordering: .acquiring), descriptor != nil else { return }
        // Without a connection, nobody could end, and this would be deaf for ever.
        if reserve.isReached, !slots.areFree { return wait() }
        retry?.cancel()
        isPaused.store(false, ordering: .releasing)
        loop.watch(number, duplex_epoll_in)
    }
}

extension SocketAddress {
    /// What accept(2) says; nil for what is no internet address.
    fileprivate init?(_ address: sockaddr_storage) {
        switch Int32(address.ss_family) {
        case AF_INET: self = withUnsafeBytes(of: address) { Self($0.load(as: sockaddr_in.self)) }
        case AF_INET6: self = withUnsafeBytes(of: address) { Self($0.load(as: sockaddr_in6.self)) }
        default: return nil
        }
    }
}

#endif
