/// Logarithm and power to the base of 2, good to six digits: Core links no mathematics library.
public enum Exponential {
    /// - Parameter x: a positive, normal number.
    public static func log2(_ x: Double) -> Double {
        // x = m · 2ᵉ with m from √½ to √2; log₂ m by the series of the area tangent, whose next term is below 10⁻⁷.
        var exponent = Double(x.exponent)
        var m = x.significand
        if m > 1.414_213_562_373_095_1 {
            m *= 0.5
            exponent += 1
        }
        let s = (m - 1) / (m + 1)
        let q = s * s
        return exponent + 2.885_390_081_777_926_8 * s * (1 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q / 9))))
    }

    /// 0 where the result would be below 2⁻¹⁰⁰⁰.
    public static func exp2(_ x: Double) -> Double {
        guard x > -1000 else { return 0 }
        guard x < 1000 else { return .infinity }
        let whole = x.rounded(.down)
        // 2ᶠ = e^(f · ln 2) by its series; f is below 1, and the ninth term below 10⁻⁷.
        let f = (x - whole) * 0.693_147_180_559_945_3
        let head = 1 + f * (1 + f * (1 / 2 + f * (1 / 6 + f * (1 / 24))))
        let tail = f * f * f * f * f * (1 / 120 + f * (1 / 720 + f * (1 / 5040 + f / 40320)))
        return (head + tail) * Double(bitPattern: UInt64(Int64(whole) + 1023) << 52)
    }

    /// - Parameter base: a positive, normal number.
    public static func power(_ base: Double, _ exponent: Double) -> Double { exp2(exponent * log2(base)) }
}
