import Primitives

extension TimeAmount {
    static func saturating(_ amount: TimeAmount, times factor: UInt64) -> TimeAmount {
        let (product, overflow) = amount.nanoseconds.multipliedReportingOverflow(by: factor)
        return TimeAmount(nanoseconds: overflow ? .max : product)
    }
}
