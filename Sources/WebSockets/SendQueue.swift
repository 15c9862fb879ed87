// What the system has not taken yet of a connection's bytes on the reactor.

#if os(Linux)

import CDuplexLinux
import NIOCore

#if canImport(Musl)
import Musl
#else
import Glibc
#endif

/// What the system has not taken of one connection's bytes; lent by the loop for as long as there is something.
final class SendQueue {
    @exclusivity(unchecked) var pieces: [Outbox.Piece] = []
    /// Of the first piece, so many bytes are gone.
    @exclusivity(unchecked) var written = 0
    /// The bytes that wait.
    @exclusivity(unchecked) var bytes = 0
    /// Due when the system, which had no memory, is asked again.
    @exclusivity(unchecked) var retry: LoopTimer?

    /// How many pieces go in one call.
    static let maxVectors = 64

    /// Gives the system as much as it takes; its answer, -1 with `errno` for an error.
    @inline(__always)
    func send(to number: Int32) -> Int { pieces.count == 1 ? sendOne(to: number) : sendMany(to: number) }

    @inline(__always)
    private func sendOne(to number: Int32) -> Int {
        pieces[0].withBytes { bytes in
            let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
            return duplex_send(number, rest.baseAddress, rest.count)
        }
    }

    private func sendMany(to number: Int32) -> Int {
        let first = pieces.prefix(Self.maxVectors)
        return withUnsafeTemporaryAllocation(of: iovec.self, capacity: first.count) { vectors in
            for (index, piece) in first.enumerated() {
                // The pieces stay in the queue, and where they are, until the call is over.
                vectors[index] = piece.withBytes { bytes in
                    let rest = UnsafeRawBufferPointer(rebasing: bytes[(index == 0 ? written : 0)...])
                    return iovec(iov_base: UnsafeMutableRawPointer(mutating: rest.baseAddress), iov_len: rest.count)
                }
            }
            var message = msghdr()
            message.msg_iov = vectors.baseAddress
            message.msg_iovlen = vectors.count
            return sendmsg(number, &message, Int32(MSG_NOSIGNAL))
        }
    }
}

#endif
