/// A point on a monotonic clock, in nanoseconds since an origin that only differences depend on.
///
/// Core never reads a clock: whoever drives a machine passes the time in.
public struct Instant: Comparable, Hashable, Sendable {
    public var nanoseconds: UInt64

    @inlinable
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// Later than any instant that a clock gives: a deadline that never fires.
    public static var never: Instant { Instant(nanoseconds: .max) }

    @inlinable
    public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

    /// Saturates at `never`.
    @inlinable
    public static func + (a: Instant, b: TimeAmount) -> Instant {
        let (sum, overflow) = a.nanoseconds.addingReportingOverflow(b.nanoseconds)
        return Instant(nanoseconds: overflow ? .max : sum)
    }

    /// The time from `earlier` to `self`; zero when `earlier` is later.
    @inlinable
    public func since(_ earlier: Instant) -> TimeAmount {
        TimeAmount(nanoseconds: nanoseconds > earlier.nanoseconds ? nanoseconds - earlier.nanoseconds : 0)
    }
}

/// A span of time in nanoseconds, never negative.
public struct TimeAmount: Comparable, Hashable, Sendable {
    public var nanoseconds: UInt64

    @inlinable
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    @inlinable
    public static func milliseconds(_ n: UInt64) -> TimeAmount { TimeAmount(nanoseconds: saturating(n, 1_000_000)) }

    @inlinable
    public static func seconds(_ n: UInt64) -> TimeAmount { TimeAmount(nanoseconds: saturating(n, 1_000_000_000)) }

    public static var zero: TimeAmount { TimeAmount(nanoseconds: 0) }

    /// Longer than any deadline: a timeout that is switched off.
    public static var forever: TimeAmount { TimeAmount(nanoseconds: .max) }

    @inlinable
    public static func < (a: TimeAmount, b: TimeAmount) -> Bool { a.nanoseconds < b.nanoseconds }

    @inlinable
    static func saturating(_ n: UInt64, _ unit: UInt64) -> UInt64 {
        let (product, overflow) = n.multipliedReportingOverflow(by: unit)
        return overflow ? .max : product
    }
}
