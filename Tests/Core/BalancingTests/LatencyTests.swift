import Balancing
import Primitives
import Testing

@Suite struct LatencyTests {
    static let decay = TimeAmount.seconds(10)

    @Test func `the average jumps to a peak and falls to 1 in e within the decay time`() throws {
        var average = LatencyAverage(word: 0)
        #expect(average.nanoseconds(decay: Self.decay, at: .seconds(1)) == nil)
        average = average.adding(.milliseconds(5), failed: false, decay: Self.decay, at: .seconds(1))
        average = average.adding(.milliseconds(900), failed: false, decay: Self.decay, at: .seconds(1))
        #expect(abs(try #require(average.nanoseconds(decay: Self.decay, at: .seconds(1))) - 900e6) < 1e3)
        #expect(abs(try #require(average.nanoseconds(decay: Self.decay, at: .seconds(11))) - 900e6 * 0.36788) < 1e6)
        // Another worker's reading of the clock may lie behind.
        #expect(abs(try #require(average.nanoseconds(decay: Self.decay, at: .seconds(0.5))) - 900e6) < 1e3)
    }

    @Test func `many fast answers bring the average down as one does`() throws {
        var many = LatencyAverage(word: 0).adding(.milliseconds(900), failed: false, decay: Self.decay, at: .seconds(1))
        var few = many
        for i in 1...100_000 {
            many = many.adding(.milliseconds(5), failed: false, decay: Self.decay, at: .seconds(1 + Double(i) / 10_000))
        }
        for i in 1...10 { few = few.adding(.milliseconds(5), failed: false, decay: Self.decay, at: .seconds(1 + Double(i))) }
        let expected = 900e6 * 0.36788 + 5e6 * 0.63212
        #expect(abs(try #require(many.nanoseconds(decay: Self.decay, at: .seconds(11))) / expected - 1) < 0.02)
        #expect(abs(try #require(few.nanoseconds(decay: Self.decay, at: .seconds(11))) / expected - 1) < 0.02)
    }

    @Test func `a failure counts twice, and failing at once makes nobody look fast`() throws {
        let fast = LatencyAverage(word: 0).adding(.milliseconds(10), failed: false, decay: Self.decay, at: .seconds(1))
        let failed = fast.adding(.milliseconds(1), failed: true, decay: Self.decay, at: .seconds(1))
        #expect(try #require(failed.nanoseconds(decay: Self.decay, at: .seconds(1))) > 19.9e6)
        let slow = fast.adding(.milliseconds(30), failed: true, decay: Self.decay, at: .seconds(1))
        #expect(abs(try #require(slow.nanoseconds(decay: Self.decay, at: .seconds(1))) - 60e6) < 1e3)
        var worst = fast
        for _ in 0..<100 { worst = worst.adding(.zero, failed: true, decay: Self.decay, at: .seconds(1)) }
        #expect(try #require(worst.nanoseconds(decay: Self.decay, at: .seconds(1))) <= 2.01e9)
    }

    @Test func `latencies without end or beginning stay in bounds`() throws {
        let endless = LatencyAverage(word: 0).adding(.forever, failed: true, decay: Self.decay, at: .never)
        #expect(try #require(endless.nanoseconds(decay: .zero, at: .never)).isFinite)
        let instant = LatencyAverage(word: 0).adding(.zero, failed: false, decay: Self.decay, at: .seconds(0))
        #expect(instant.word != 0)
    }

    @Test(arguments: [2, 3, 10])
    func `an instance that slows from 5 to 900 ms has at most 5 percent of the requests 10 s later`(count: Int) {
        let result = simulate(count: count, perSecond: 500)
        #expect(result.beforeShare > 0.5 / Double(count), "\(result)")
        #expect(result.afterShare <= 0.05, "\(result)")
    }

    @Test func `a slow instance is tried again once its average has decayed`() {
        var fixture = Fixture(.peakEWMA, weights: [1, 1])
        fixture.loads[0].latencyMeasured(.milliseconds(900), failed: false, decay: Self.decay, at: .seconds(1000))
        for i in 0...100 {
            fixture.loads[1].latencyMeasured(.milliseconds(5), failed: false, decay: Self.decay, at: .seconds(1000 + Double(i)))
        }
        #expect((0..<50).allSatisfy { _ in fixture.pick(at: .seconds(1010)) == 1 })
        #expect((0..<50).allSatisfy { _ in fixture.pick(at: .seconds(1100)) == 0 })
    }

    @Test func `a new instance without a sample is neither shunned nor flooded`() {
        var fixture = Fixture(.peakEWMA, weights: [1, 1, 1])
        for i in 0..<2 {
            fixture.loads[i].latencyMeasured(.milliseconds(50), failed: false, decay: Self.decay, at: .seconds(1000))
        }
        let counts = fixture.counts(30_000, at: .seconds(1000))
        #expect(distance(counts, from: [1, 1, 1]) < 0.05, "\(counts)")
    }

    @Test func `the heavier of two that are equally fast has more in flight`() {
        var fixture = Fixture(.peakEWMA, weights: [3, 1])
        for i in 0..<2 {
            fixture.loads[i].latencyMeasured(.milliseconds(50), failed: false, decay: Self.decay, at: .seconds(1000))
        }
        for _ in 0..<400 { fixture.loads[fixture.pick() ?? 0].requestStarted() }
        #expect(abs(fixture.loads[0].inFlight - 300) < 8, "\(fixture.loads.map(\.inFlight))")
    }

    /// Twenty seconds of requests; after five of them the first instance slows down.
    private func simulate(count: Int, perSecond: Int) -> (beforeShare: Double, afterShare: Double) {
        var fixture = Fixture(.peakEWMA, weights: [Int](repeating: 1, count: count), workers: 2)
        var ends: [Int: [(instance: Int, latency: UInt64)]] = [:]
        var before = 0
        var after = 0
        for tick in 0..<20_000 {
            let now = Instant.seconds(100 + Double(tick) / 1000)
            for end in ends.removeValue(forKey: tick) ?? [] {
                fixture.loads[end.instance].requestEnded()
                fixture.loads[end.instance].latencyMeasured(
                    .milliseconds(end.latency), failed: false, decay: Self.decay, at: now)
            }
            guard tick % (1000 / perSecond) == 0, let instance = fixture.pick(worker: tick % 2, at: now) else { continue }
            fixture.loads[instance].requestStarted()
            let latency: UInt64 = instance == 0 && tick >= 5_000 ? 900 : 5
            ends[tick + Int(latency), default: []].append((instance, latency))
            if instance == 0, tick < 5_000 { before += 1 }
            if instance == 0, tick >= 15_000 { after += 1 }
        }
        return (Double(before) / Double(5 * perSecond), Double(after) / Double(5 * perSecond))
    }
}
