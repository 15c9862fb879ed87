import Foundation
import Testing

@testable import duplex

struct LatenciesTests {
    @Test func percentilesOfKnownTimes() throws {
        var latencies = Latencies()
        #expect(latencies.percentiles == nil)
        for value in 1...1000 { latencies.record(from: 5, to: 5 + UInt64(value) * 1000) }
        let percentiles = try #require(latencies.percentiles)
        #expect(percentiles.count == 1000)
        #expect(abs(percentiles.mean - 500_500) < 500)
        for (value, expected) in [(percentiles.p50, 500), (percentiles.p90, 900), (percentiles.p99, 990), (percentiles.p999, 999)] {
            #expect(abs(Double(value) / 1000 - Double(expected)) < Double(expected) / 500)
        }
        #expect(percentiles.max == 1_000_000)
    }

    @Test func aPercentileIsNeverAboveTheLargest() throws {
        var latencies = Latencies()
        latencies.record(from: 0, to: 123_456_789)
        let percentiles = try #require(latencies.percentiles)
        #expect(percentiles.p50 == 123_456_789 && percentiles.max == 123_456_789)
    }

    @Test func whatCannotBeIsBounded() throws {
        var latencies = Latencies()
        latencies.record(from: 10, to: 5)
        latencies.record(from: 0, to: .max)
        let percentiles = try #require(latencies.percentiles)
        #expect(percentiles.count == 2)
        #expect(percentiles.max == 3_600_000_000_000)
    }

    @Test func threadsAddUp() throws {
        var (first, second) = (Latencies(), Latencies())
        first.record(from: 0, to: 1_000_000)
        second.record(from: 0, to: 3_000_000)
        first.add(second)
        #expect(first.count == 2)
        #expect(first.percentiles?.max == 3_000_000)
    }

    @Test func inJSONTheyAreMicroseconds() throws {
        let percentiles = Percentiles(count: 2, mean: 1_234, p50: 1_000, p90: 2_550, p99: 3_000, p999: 4_000, max: 5_000)
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        #expect(
            String(decoding: try encoder.encode(percentiles), as: UTF8.self)
                == #"{"count":2,"max":5,"mean":1.2,"p50":1,"p90":2.5,"p99":3,"p999":4}"#)
    }
}
