import Primitives

/// How many events happened in the last while: a ring of ten buckets, each with the number of the span of time that it counts.
///
/// Ten buckets: 10 % of the window is the most that an old event can outlive it, and summing ten costs nothing. A bucket is one
/// word, the number of its span above and the count below, so that a worker can keep the same ring in atomics (`WorkerTally`).
public struct WindowCounter: Sendable, Hashable {
    public static var buckets: Int { 10 }

    private var ring = InlineArray<10, UInt64>(repeating: 0)
    /// Nanoseconds of one bucket.
    public private(set) var bucket: UInt64

    public init(window: TimeAmount) { bucket = Self.bucket(of: window) }

    /// At least 1 ns, so that nothing divides by zero.
    public static func bucket(of window: TimeAmount) -> UInt64 { max(1, window.nanoseconds / UInt64(buckets)) }

    public mutating func add(at now: Instant) {
        let span = now.nanoseconds / bucket
        let slot = Int(span % UInt64(Self.buckets))
        ring[slot] = Self.counted(ring[slot], span: UInt32(truncatingIfNeeded: span))
    }

    /// The events of the window that ends now.
    /// - Parameter since: earlier buckets are left out; the one that it falls into is not.
    public func sum(at now: Instant, since: Instant? = nil) -> UInt64 {
        var total: UInt64 = 0
        let span = now.nanoseconds / bucket
        let most = Self.age(span: span, since: since, bucket: bucket)
        for slot in 0..<Self.buckets {
            total += Self.count(in: ring[slot], span: UInt32(truncatingIfNeeded: span), ageMax: most)
        }
        return total
    }

    /// The events of the bucket that runs.
    public func current(at now: Instant) -> UInt64 {
        let span = now.nanoseconds / bucket
        return Self.count(in: ring[Int(span % UInt64(Self.buckets))], span: UInt32(truncatingIfNeeded: span), ageMax: 0)
    }

    public mutating func clear() { ring = InlineArray(repeating: 0) }

    /// The word after one more event; a full count stays full.
    @inlinable
    static func counted(_ word: UInt64, span: UInt32) -> UInt64 {
        guard UInt32(truncatingIfNeeded: word >> 32) == span else { return UInt64(span) << 32 | 1 }
        return UInt32(truncatingIfNeeded: word) == .max ? word : word &+ 1
    }

    @inlinable
    static func count(in word: UInt64, span: UInt32, ageMax: UInt32) -> UInt64 {
        span &- UInt32(truncatingIfNeeded: word >> 32) <= ageMax ? word & 0xffff_ffff : 0
    }

    /// How many buckets back count.
    static func age(span: UInt64, since: Instant?, bucket: UInt64) -> UInt32 {
        let all = UInt64(buckets - 1)
        guard let since else { return UInt32(all) }
        let first = since.nanoseconds / bucket
        return UInt32(min(all, span > first ? span - first : 0))
    }

    public static func == (a: WindowCounter, b: WindowCounter) -> Bool {
        guard a.bucket == b.bucket else { return false }
        for slot in 0..<buckets where a.ring[slot] != b.ring[slot] { return false }
        return true
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(bucket)
        for slot in 0..<Self.buckets where ring[slot] != 0 { hasher.combine(ring[slot]) }
    }
}
