import Primitives

extension TimeAmount {
    static func saturating(_ amount: TimeAmount, times factor: UInt64) -> TimeAmount {
        let (product, overflow) = amount.nanoseconds.multipliedReportingOverflow(by: factor)
        return TimeAmount(nanoseconds: overflow ? .max : product)
    }
}

extension RandomSource {
    /// Even over 0 ..< `bound`; 0 for a bound of 0.
    mutating func below(_ bound: UInt64) -> UInt64 { next().multipliedFullWidth(by: bound).high }
}
