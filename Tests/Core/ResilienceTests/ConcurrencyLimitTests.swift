import Primitives
import Testing

@testable import Resilience

@Suite struct ConcurrencyLimitTests {
    /// A service that answers in 10 ms up to 50 requests at once, and in proportion more slowly beyond.
    private func run(_ limit: inout ConcurrencyLimit, from: Double, seconds: Double, scale: Double = 1) -> [Int] {
        var random = RandomSource(seed: 5)
        var now = from
        var limits: [Int] = []
        while now < from + seconds {
            let inFlight = limit.limit
            let latency = 0.010 * scale * max(1, Double(inFlight) / 50)
            for _ in 0..<inFlight {
                limit.answered(
                    after: TimeAmount(nanoseconds: UInt64(latency * 1e9)), at: second(now), random: &random)
            }
            limits.append(limit.limit)
            now += latency
        }
        return limits
    }

    @Test func `it begins by measuring with 3 in flight, and settles where the service begins to queue`() {
        var limit = ConcurrencyLimit(policy: .init(), at: second(0))
        #expect(limit.limit == 3)
        let limits = run(&limit, from: 0, seconds: 30)
        let settled = limits.suffix(100)
        #expect((settled.min() ?? 0) >= 45 && (settled.max() ?? 0) <= 120, "\(settled)")
    }

    @Test func `it measures again after a minute, and learns that the service has become slower for good`() {
        var limit = ConcurrencyLimit(policy: .init(), at: second(0))
        _ = run(&limit, from: 0, seconds: 10)
        let slow = run(&limit, from: 10, seconds: 120, scale: 4)
        #expect(slow.contains(3))
        #expect((slow.suffix(50).min() ?? 0) >= 30)
    }

    @Test func `it stays between its bounds whatever the latencies`() {
        var random = RandomSource(seed: 8)
        var limit = ConcurrencyLimit(policy: .init(), at: second(0))
        var now = second(0)
        for _ in 0..<20_000 {
            now = now + .milliseconds(UInt64(random.pick(30)))
            limit.answered(after: TimeAmount(nanoseconds: random.next() >> UInt64(random.pick(64))), at: now, random: &random)
            #expect((3...1000).contains(limit.limit))
        }
    }

    @Test func `a median is within its bucket of 25 percent`() {
        for value in [1500, 40_000, 1_000_000, 77_000_000, 3_000_000_000] as [UInt64] {
            var sketch = LatencySketch()
            for _ in 0..<10 { sketch.add(value) }
            sketch.add(.max)
            sketch.add(0)
            #expect(Double(sketch.median) > Double(value) * 0.75 && Double(sketch.median) < Double(value) * 1.25, "\(value)")
        }
        #expect(LatencySketch().median == 0)
    }
}
