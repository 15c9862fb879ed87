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
    @Test(arguments: [
        (1024, 20, 64), (20_000, 40, 64), (.max, 20, 64), (276, 20, 64), (275, 20, 63), (64, 24, 10), (24, 20, 1), (23, 20, 0),
        (20, nil, 0), (10, 20, 0),
    ])
    func isAQuarterOfWhatIsFree(_ limit: Int, _ lowestFree: Int?, _ size: Int) {
        let reserve = Files(limit: limit, lowestFree: lowestFree).reserve
        #expect((reserve.size, reserve.start) == (size, limit - size))
    }

    @Test func isReachedWhereTheNextNumberLiesInIt() {
        let files = Files(limit: 100, lowestFree: 20)
        let reserve = files.reserve
        for (number, isReached) in [(20, false), (79, false), (80, true), (99, true), (nil, true), (21, false)] {
            files.lowestFree.change { $0 = number }
            #expect(reserve.isReached == isReached, "\(number.map(String.init) ?? "none")")
        }
        #expect(reserve.cause == "of the 100 files that this process may have open, the last 20 are kept for its own work")
    }

    @Test func aLimitThatIsRaisedCountsAtOnce() {
        let files = Files(limit: 100, lowestFree: 20)
        let reserve = files.reserve
        files.lowestFree.change { $0 = 80 }
        #expect(reserve.isReached)
        files.limit.change { $0 = 101 }
        #expect(!reserve.isReached)
        #expect(reserve.start == 81)
    }

    /// A process of few descriptors goes on to the last.
    @Test func thereMayBeNone() {
        let files = Files(limit: 23, lowestFree: 20)
        let reserve = files.reserve
        files.lowestFree.change { $0 = 22 }
        #expect(!reserve.isReached)
        files.lowestFree.change { $0 = nil }
        #expect(reserve.isReached)
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
