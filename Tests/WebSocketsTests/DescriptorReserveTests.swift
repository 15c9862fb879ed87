// Which descriptors are left to others; that a whole process does so is tested in DuplexTests, in a child.

import Testing

@testable import WebSockets

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#elseif canImport(Glibc)
import Glibc
#endif

/// What a test says instead of the system.
final class Files: Sendable {
    let limit: Box<Int>
    let lowestFree: Box<Int?>

    init(limit: Int, lowestFree: Int?) {
        self.limit = Box(limit)
        self.lowestFree = Box(lowestFree)
    }

    var reserve: DescriptorReserve { DescriptorReserve(limit: { self.limit.value }, lowestFree: { self.lowestFree.value }) }
}

@Suite struct DescriptorReserveTests {
    @Test(arguments: [(20_000, 64), (.max, 64), (1024, 64), (512, 64), (511, 63), (64, 8), (24, 3), (8, 1), (7, 0), (0, 0)])
    func isAnEighthOfAll(_ limit: Int, _ size: Int) {
        #expect(Files(limit: limit, lowestFree: 0).reserve.start == limit - size)
    }

    @Test func isReachedWhereTheNextNumberLiesInIt() {
        let files = Files(limit: 160, lowestFree: 20)
        let reserve = files.reserve
        for (number, isReached) in [(20, false), (139, false), (140, true), (159, true), (nil, true), (21, false)] {
            files.lowestFree.change { $0 = number }
            #expect(reserve.isReached == isReached, "\(number.map(String.init) ?? "none")")
        }
        #expect(reserve.cause == "the last 20 of the 160 files that this process may have open are kept for its own work")
    }

    @Test func aLimitThatIsRaisedOrLoweredCountsAtOnce() {
        let files = Files(limit: 160, lowestFree: 140)
        let reserve = files.reserve
        for (limit, isReached) in [(160, true), (162, false), (80, true), (1000, false)] {
            files.limit.change { $0 = limit }
            #expect(reserve.isReached == isReached, "\(limit)")
        }
    }

    /// A process of few descriptors goes on to the last.
    @Test func thereMayBeNone() {
        let files = Files(limit: 7, lowestFree: 6)
        #expect(!files.reserve.isReached)
        files.lowestFree.change { $0 = nil }
        #expect(files.reserve.isReached)
    }

    @Test func asksTheSystem() throws {
        let descriptor = open("/dev/null", O_RDONLY)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let reserve = DescriptorReserve(probing: descriptor)
        #expect(reserve.start > 0)
        #expect(!reserve.isReached, "this process has no descriptors left")
        // With nothing to duplicate the system says no.
        #expect(DescriptorReserve(probing: -1).isReached)
    }
}
