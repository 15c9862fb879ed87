// How long things took: an HdrHistogram of nanoseconds.

import Histogram
import NIOCore

/// How long things took.
struct Latencies: Sendable {
    /// Three digits from 100 ns to an hour.
    private var histogram = Histogram<UInt64>(
        lowestDiscernibleValue: 100, highestTrackableValue: Self.longest, numberOfSignificantValueDigits: .three)
    private static let longest: UInt64 = 3_600_000_000_000

    var count: Int { Int(histogram.totalCount) }

    @inline(__always)
    mutating func record(from start: UInt64, to end: UInt64) {
        histogram.record(min(end > start ? end - start : 0, Self.longest))
    }

    mutating func add(_ other: Latencies) { histogram.add(other.histogram) }

    /// Nil if nothing was recorded.
    var percentiles: Percentiles? {
        guard count > 0 else { return nil }
        let at = { histogram.valueAtPercentile($0) }
        return Percentiles(
            count: count, mean: histogram.mean, p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max: histogram.maxRecorded)
    }
}

/// The percentiles that are told, in nanoseconds.
struct Percentiles: Sendable, Equatable {
    var count: Int
    var mean: Double
    var p50: UInt64
    var p90: UInt64
    var p99: UInt64
    var p999: UInt64
    var max: UInt64
}

extension Percentiles: Encodable {
    private enum Key: String, CodingKey {
        case count, mean, p50, p90, p99, p999, max
    }

    /// Microseconds.
    func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: Key.self)
        try values.encode(count, forKey: .count)
        try values.encode((mean / 100).rounded() / 10, forKey: .mean)
        for (key, value) in [(Key.p50, p50), (.p90, p90), (.p99, p99), (.p999, p999), (.max, max)] {
            try values.encode(Double(value / 100) / 10, forKey: key)
        }
    }
}

/// The monotonic clock, in nanoseconds.
@inline(__always)
func monotonicTime() -> UInt64 { NIODeadline.now().uptimeNanoseconds }
