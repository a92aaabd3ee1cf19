import Primitives
import Testing

@testable import Telemetry

@Suite struct HistogramTests {
    private func check(_ bounds: [UInt64], _ width: Int, _ bucket: (UInt64) -> Int) {
        #expect(width == bounds.count + 2)
        #expect(bounds == bounds.sorted())
        var random = RandomSource(seed: 7)
        var values: [UInt64] = [0, 1, .max]
        for bound in bounds { values += [bound - 1, bound, bound + 1] }
        for _ in 0..<10_000 { values.append(random.next() >> (random.next() % 64)) }
        for value in values {
            #expect(bucket(value) == bounds.firstIndex { value <= $0 } ?? bounds.count, "\(value)")
        }
    }

    @Test func `a value falls into the first bucket whose bound it does not exceed`() {
        check(Histogram.latencyBounds, Histogram.latencyWidth, Histogram.latencyBucket)
        check(Histogram.overheadBounds, Histogram.overheadWidth, Histogram.overheadBucket)
        check(Histogram.waitBounds, Histogram.waitWidth, Histogram.waitBucket)
        check(Histogram.sizeBounds, Histogram.sizeWidth, Histogram.sizeBucket)
    }
}
