import NIOCore
import Testing

@testable import RedisPubSub

@Suite struct LogLimiterTests {
    @Test func admitsOneLineASecondAndCountsTheOthers() {
        let limiter = LogLimiter()
        func admit(_ milliseconds: Int64) -> Int? { limiter.admit(now: .uptimeNanoseconds(1) + .milliseconds(milliseconds)) }
        #expect(admit(0) == 0)
        #expect(admit(1) == nil)
        #expect(admit(999) == nil)
        #expect(admit(1000) == 2)
        #expect(admit(1999) == nil)
        #expect(admit(5000) == 1)
        #expect(admit(9000) == 0)
    }
}
