/// Counts of latencies in buckets whose bounds grow by about 19 % each: enough for a median, in fixed memory.
struct LatencySketch: Sendable, Hashable {
    // 4 buckets for each power of two from 2^10 ns (1 µs) to 2^38 ns (275 s).
    private static let first = 10
    private static let perPower = 4
    private var buckets = InlineArray<116, UInt32>(repeating: 0)
    private(set) var count = 0

    mutating func add(_ nanoseconds: UInt64) {
        let value = max(nanoseconds, 1 << UInt64(Self.first))
        let power = 63 - value.leadingZeroBitCount
        let quarter = Int(value >> UInt64(power - 2) & 3)
        let bucket = min((power - Self.first) * Self.perPower + quarter, buckets.count - 1)
        buckets[bucket] = buckets[bucket] &+ 1
        count += 1
    }

    /// The middle of the bucket that holds the median; 0 without samples.
    var median: UInt64 {
        var left = (count + 1) / 2
        guard left > 0 else { return 0 }
        for bucket in 0..<buckets.count {
            left -= Int(buckets[bucket])
            guard left <= 0 else { continue }
            let base = UInt64(1) << UInt64(Self.first + bucket / Self.perPower)
            let step = base / UInt64(Self.perPower)
            return base + step * UInt64(bucket % Self.perPower) + step / 2
        }
        return 0
    }

    static func == (a: LatencySketch, b: LatencySketch) -> Bool {
        guard a.count == b.count else { return false }
        for i in 0..<a.buckets.count where a.buckets[i] != b.buckets[i] { return false }
        return true
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(count)
        for i in 0..<buckets.count where buckets[i] != 0 { hasher.combine(UInt64(i) << 32 | UInt64(buckets[i])) }
    }
}
