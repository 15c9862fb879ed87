// A file descriptor with one owner.

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#elseif canImport(Glibc)
import Glibc
#endif

/// A file descriptor that is closed when its owner lets it go, once: close(2) is never called again, not even after EINTR, as on
/// Linux the descriptor is free by then and may be somebody else's.
struct OwnedDescriptor: ~Copyable, Sendable {
    let number: Int32

    /// Takes a descriptor over; nil for -1, which says that the system made none.
    init?(_ number: Int32) {
        guard number >= 0 else { return nil }
        self.number = number
    }

    /// A second descriptor for the same open file; nil if there is none left (EMFILE).
    init?(duplicating number: Int32) { self.init(fcntl(number, F_DUPFD_CLOEXEC, 0)) }

    deinit { close(number) }

    /// Gives the descriptor to somebody who closes it.
    consuming func release() -> Int32 {
        let number = number
        discard self
        return number
    }
}
