import Primitives
import Testing

@testable import Resilience

@Suite struct WindowCounterTests {
    @Test(arguments: 0..<20)
    func `a sum holds what the last ten buckets saw, and a worker's tally the same`(seed: Int) {
        var random = RandomSource(seed: UInt64(seed))
        let window = TimeAmount.seconds(UInt64(1 + random.pick(20)))
        var counter = WindowCounter(window: window)
        let tally = WorkerTally()
        let bucket = WindowCounter.bucket(of: window)
        var spans: [UInt64] = []
        var now = second(Double(random.pick(100)))
        for _ in 0..<2000 {
            now = now + .milliseconds(UInt64(random.pick(random.pick(20) == 0 ? 20_000 : 300)))
            counter.add(at: now)
            tally.add(at: now, bucket: bucket)
            let span = now.nanoseconds / bucket
            spans.append(span)
            #expect(counter.sum(at: now) == UInt64(spans.count(where: { span - $0 < 10 })))
            #expect(tally.sum(at: now, since: nil, bucket: bucket) == counter.sum(at: now))
            #expect(counter.current(at: now) == UInt64(spans.count(where: { $0 == span })))
            let since = Instant(nanoseconds: now.nanoseconds / 2)
            #expect(counter.sum(at: now, since: since) <= counter.sum(at: now))
            #expect(tally.sum(at: now, since: now, bucket: bucket) == counter.current(at: now))
        }
    }

    @Test func `a window of no length and a full bucket trap nobody`() {
        var counter = WindowCounter(window: .zero)
        counter.add(at: .never)
        #expect(counter.sum(at: .never) == 1)
        #expect(WindowCounter.counted(7 << 32 | 0xffff_ffff, span: 7) == 7 << 32 | 0xffff_ffff)
    }
}
