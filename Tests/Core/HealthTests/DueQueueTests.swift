import Primitives
import Testing

@testable import Health

@Suite struct DueQueueTests {
    @Test func `who is due comes in the order of time, whatever was set, moved and taken out before`() {
        for seed in 0..<50 as Range<UInt64> {
            var random = RandomSource(seed: seed)
            var queue = DueQueue()
            var expected: [Int: Instant] = [:]
            for _ in 0..<2000 {
                let item = random.pick(100)
                if random.pick(3) == 0 {
                    queue.set(item, at: nil)
                    expected[item] = nil
                } else {
                    let at = Instant(nanoseconds: UInt64(random.pick(1000)))
                    queue.set(item, at: at)
                    expected[item] = at
                }
                #expect(queue.count == expected.count && queue.time(of: item) == expected[item])
                #expect(queue.first?.at == expected.values.min())
                if let first = queue.first { #expect(expected[first.item] == first.at) }
            }
            var last = Instant(nanoseconds: 0)
            while let first = queue.first {
                #expect(first.at >= last)
                last = first.at
                queue.remove(first.item)
                #expect(expected.removeValue(forKey: first.item) == first.at)
            }
            #expect(expected.isEmpty)
        }
    }

    @Test func `whoever is not in it is taken out without effect`() {
        var queue = DueQueue()
        queue.remove(7)
        queue.set(3, at: second(1))
        queue.remove(7)
        queue.remove(3)
        queue.remove(3)
        #expect(queue.count == 0 && queue.first == nil)
    }
}
