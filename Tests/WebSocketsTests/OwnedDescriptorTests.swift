// A file descriptor with one owner.

#if os(Linux)

import Glibc
import Testing

@testable import WebSockets

@Suite struct OwnedDescriptorTests {
    @Test func isNothingWhereTheSystemMadeNone() {
        let (none, copy) = (OwnedDescriptor(-1)?.number, OwnedDescriptor(duplicating: -1)?.number)
        #expect(none == nil && copy == nil)
    }

    @Test func isClosedWhenItsOwnerLetsItGo() throws {
        let (reading, writing) = try pair()
        do {
            guard let owned = OwnedDescriptor(writing) else { throw Missing() }
            #expect(!isAtEnd(reading))
            withExtendedLifetime(owned) {}
        }
        // The end comes once nobody can write into it.
        #expect(isAtEnd(reading))
        close(reading)
    }

    @Test func aDuplicateKeepsTheFileOpen() throws {
        let (reading, writing) = try pair()
        do {
            guard let copy = OwnedDescriptor(duplicating: writing) else { throw Missing() }
            close(writing)
            #expect(!isAtEnd(reading))
            // A process that the server starts gets no connections.
            let flags = fcntl(copy.number, F_GETFD)
            #expect(flags & FD_CLOEXEC != 0)
        }
        #expect(isAtEnd(reading))
        close(reading)
    }

    @Test func whatWasReleasedIsNotClosed() throws {
        let (reading, writing) = try pair()
        do {
            guard let owned = OwnedDescriptor(writing) else { throw Missing() }
            #expect(owned.release() == writing)
        }
        #expect(!isAtEnd(reading))
        close(writing)
        #expect(isAtEnd(reading))
        close(reading)
    }

    private struct Missing: Error {}

    private func pair() throws -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        // Whatever process another test starts meanwhile must not hold the writing end.
        let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        try #require(socketpair(AF_UNIX, Int32(kind), 0, &ends) == 0)
        return (ends[0], ends[1])
    }

    private func isAtEnd(_ number: Int32) -> Bool {
        var byte: UInt8 = 0
        return read(number, &byte, 1) == 0
    }
}

#endif
