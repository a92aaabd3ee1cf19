import Primitives

/// 1, 2, 4 … seconds, each ± 20 % so that instances that failed together are not looked at together, and never above the most.
enum Backoff {
    static func wait(step: Int, most: TimeAmount, random: inout RandomSource) -> TimeAmount {
        let base = UInt64(1_000_000_000) << UInt64(min(max(0, step), 20))
        return TimeAmount(nanoseconds: min(spread(min(base, most.nanoseconds), percent: 20, random: &random), most.nanoseconds))
    }

    /// Even over `amount` ± `percent`, for amounts below a century.
    static func spread(_ amount: UInt64, percent: UInt64, random: inout RandomSource) -> UInt64 {
        let amount = min(amount, 1 << 61)
        let part = amount / 100 * percent
        return amount - part + random.below(2 * part + 1)
    }
}
