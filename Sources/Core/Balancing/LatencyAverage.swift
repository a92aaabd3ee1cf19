import Primitives

/// A peak-sensitive moving average of latencies, in one word: it jumps up at once and falls slowly (Finagle's peak EWMA).
///
/// The lower 32 bits are the average in units of 64 ns (at most 274 s), the upper 32 the time of the last sample in units of
/// about 1 ms, which wrap after 52 days. The word 0 is no sample yet.
public struct LatencyAverage: Hashable, Sendable {
    public let word: UInt64

    public init(word: UInt64) { self.word = word }

    /// Nanoseconds as of `now`: without samples the average falls, so that a slow instance is tried again some time. Nil without any.
    @inlinable
    public func nanoseconds(decay: TimeAmount, at now: Instant) -> Double? {
        guard word != 0 else { return nil }
        return Double((word & 0xffff_ffff) << 6) * Self.remaining(after: age(at: now), decay: decay)
    }

    /// The average of failures alone goes no further than twice this: it has decayed within a minute of the last one.
    static let failurePeak = 1e9

    /// A failure counts as twice its latency, and at least as twice the average: an instance that fails at once must not look fast.
    public func adding(_ sample: TimeAmount, failed: Bool, decay: TimeAmount, at now: Instant) -> LatencyAverage {
        let average = nanoseconds(decay: decay, at: now) ?? 0
        var value = Double(sample.nanoseconds)
        if failed { value = 2 * max(value, min(average, Self.failurePeak)) }
        guard word != 0, value < average else { return Self.make(value, at: now) }
        let age = age(at: now)
        // Samples within the same millisecond weigh nothing next to the peak; the first of the next one weighs for all.
        guard age > 0 else { return self }
        let old = Double((word & 0xffff_ffff) << 6)
        let weight = Self.remaining(after: age, decay: decay)
        return Self.make(old * weight + value * (1 - weight), at: now)
    }

    private static func make(_ nanoseconds: Double, at now: Instant) -> LatencyAverage {
        let units = UInt64(min(max(nanoseconds / 64, 1), 4_294_967_295))
        return LatencyAverage(word: UInt64(UInt32(truncatingIfNeeded: now.nanoseconds >> 20)) << 32 | units)
    }

    /// Units of 2²⁰ ns; a sample from the future, as another worker's clock reading may be, has none.
    @usableFromInline
    func age(at now: Instant) -> Int32 {
        let units = UInt32(truncatingIfNeeded: now.nanoseconds >> 20) &- UInt32(truncatingIfNeeded: word >> 32)
        return max(0, Int32(truncatingIfNeeded: units))
    }

    /// e^(−age/decay).
    @usableFromInline
    static func remaining(after age: Int32, decay: TimeAmount) -> Double {
        guard decay.nanoseconds > 0 else { return 0 }
        let span = Double(Int64(age) << 20) / Double(decay.nanoseconds)
        return Exponential.exp2(-span * 1.442_695_040_888_963_4)
    }
}
