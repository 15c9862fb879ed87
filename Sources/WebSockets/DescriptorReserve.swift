// The last file descriptors of the process, which a server leaves to everything else.
//
// Where none is left, more fails than accept(2): log files, pages, DNS, connections to other servers. And the process may end: on Linux,
// Swift's thread pool (libdispatch's) looks at its threads through /proc now and then, and traps if it can not open the file. So a server
// stops accepting before that.

import NIOCore

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#elseif canImport(Glibc)
import Glibc
#endif

/// Says when so few descriptors are left that a server should take no more connections.
///
/// It goes by numbers: the system gives the lowest that is free. Those that the program itself has opened among the last ones are not there
/// for others either.
struct DescriptorReserve {
    /// How many are left to others where there are many.
    static let most = 64

    /// Asks the system for the limit of open files.
    private let limit: () -> Int
    /// Asks the system for the lowest free number; nil if none is free.
    private let lowestFree: () -> Int?

    init(limit: @escaping () -> Int, lowestFree: @escaping () -> Int?) {
        self.limit = limit
        self.lowestFree = lowestFree
    }

    /// - Parameter descriptor: one that is open for as long as this is used.
    init(probing descriptor: Int32) {
        self.init(
            limit: Self.openFilesLimit,
            lowestFree: {
                guard let second = OwnedDescriptor(duplicating: descriptor) else { return nil }
                return Int(second.number)
            })
    }

    /// How many are left to others: 64, or an eighth of all where that is less.
    private static func size(of limit: Int) -> Int { min(most, limit / 8) }

    /// The first number that is kept for others; asked each time, as the limit may have been raised meanwhile, or lowered.
    var start: Int {
        let limit = limit()
        return limit - Self.size(of: limit)
    }

    /// Whether no more may be taken.
    var isReached: Bool { lowestFree().map { $0 >= start } ?? true }

    /// For the log.
    var cause: String {
        let limit = limit()
        return "the last \(Self.size(of: limit)) of the \(limit) files that this process may have open are kept for its own work"
    }

    /// How many files this process may have open (getrlimit(2)).
    private static func openFilesLimit() -> Int {
        #if canImport(Glibc)
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        #else
        let resource = RLIMIT_NOFILE
        #endif
        var limit = rlimit()
        return getrlimit(resource, &limit) == 0 ? Int(clamping: limit.rlim_cur) : .max
    }
}
