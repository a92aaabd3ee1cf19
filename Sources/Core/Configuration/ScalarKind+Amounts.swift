import Primitives

/// Numbers and amounts with a unit.
extension ScalarKind {
    /// `n` as decimal digits, at most 18 of them so that nothing can overflow.
    static func wholeNumber(_ text: Substring.UTF8View) -> Int? {
        guard (1...18).contains(text.count), text.allSatisfy(ASCII.isDigit) else { return nil }
        return text.reduce(0) { $0 * 10 + Int($1 - ASCII.zero) }
    }

    static func wholeNumber(_ text: String) -> Int? { wholeNumber(text[...].utf8) }

    func readInteger(_ text: String, _ range: ClosedRange<Int>) -> ScalarReading {
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        guard !digits.isEmpty, digits.utf8.allSatisfy(ASCII.isDigit) else { return unexpected(text) }
        guard let number = ScalarKind.wholeNumber(text), range.contains(number) else {
            return .problem("must be between \(range.lowerBound) and \(range.upperBound), not \(DisplayText.of(text))")
        }
        return .value(.integer(number))
    }

    static var durationUnits: [(String, UInt64)] {
        [("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000), ("d", 86_400_000_000_000)]
    }

    func readDuration(_ text: String, _ range: ClosedRange<TimeAmount>, off: Bool) -> ScalarReading {
        if off, text == "off" { return .value(.duration(.forever)) }
        let digits = text.utf8.prefix(while: ASCII.isDigit)
        let unit = text.dropFirst(digits.count)
        guard let number = ScalarKind.wholeNumber(digits),
            let factor = unit.isEmpty ? 1_000_000_000 : ScalarKind.durationUnits.first(where: { $0.0 == unit })?.1
        else { return unexpected(text) }
        let (nanoseconds, overflow) = UInt64(number).multipliedReportingOverflow(by: factor)
        let amount = TimeAmount(nanoseconds: overflow ? .max : nanoseconds)
        guard range.contains(amount) else {
            let bounds = "between \(AmountText.of(range.lowerBound)) and \(AmountText.of(range.upperBound))"
            return .problem("must be \(bounds)\(off ? ", or off" : ""), not \(DisplayText.of(text))")
        }
        return .value(.duration(amount))
    }

    static var sizeUnits: [(String, Int)] {
        [
            ("b", 1), ("k", 1 << 10), ("kib", 1 << 10), ("m", 1 << 20), ("mib", 1 << 20), ("g", 1 << 30), ("gib", 1 << 30),
        ]
    }

    func readSize(_ text: String, _ range: ClosedRange<Int>, zeroIsUnlimited: Bool) -> ScalarReading {
        let digits = text.utf8.prefix(while: ASCII.isDigit)
        let unit = text.dropFirst(digits.count).lowercased()
        guard let number = ScalarKind.wholeNumber(digits) else { return unexpected(text) }
        if ["kb", "mb", "gb"].contains(unit) {
            let meant = "\(number)\(unit.first.map { $0.uppercased() } ?? "")iB"
            return .problem(
                "the unit \(text.dropFirst(digits.count)) is unclear; sizes are counted in powers of 1024", suggestion: meant)
        }
        guard let factor = unit.isEmpty ? 1 : ScalarKind.sizeUnits.first(where: { $0.0 == unit })?.1 else {
            return unexpected(text)
        }
        if number == 0, zeroIsUnlimited { return .value(.integer(.max)) }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: factor)
        guard !overflow, range.contains(bytes) else {
            let bounds = "between \(AmountText.of(bytes: range.lowerBound)) and \(AmountText.of(bytes: range.upperBound))"
            return .problem("must be \(bounds)\(zeroIsUnlimited ? ", or 0 for no limit" : ""), not \(DisplayText.of(text))")
        }
        return .value(.integer(bytes))
    }

    /// `20%`, `0.2`, `1.25`: digits and one dot, at most nine before and behind it, read exactly as thousandths. What is finer
    /// than a `step` of them is refused rather than rounded.
    func readShare(_ text: String, _ range: ClosedRange<Int>, step: Int, isFactor: Bool) -> ScalarReading {
        let isPercent = text.hasSuffix("%")
        let parts = (isPercent ? text.dropLast() : text[...]).utf8
            .split(separator: ASCII.dot, maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let whole = ScalarKind.wholeNumber(Substring(first).utf8), first.count <= 9 else {
            return unexpected(text)
        }
        var billionths = whole * 1_000_000_000
        if parts.count == 2 {
            guard let fraction = ScalarKind.wholeNumber(Substring(parts[1]).utf8), parts[1].count <= 9 else {
                return unexpected(text)
            }
            billionths += (parts[1].count..<9).reduce(fraction) { scaled, _ in scaled * 10 }
        }
        let inOne = isPercent ? 100_000_000 : 1_000_000
        let (permille, rest) = billionths.quotientAndRemainder(dividingBy: inOne)
        guard range.contains(permille), permille < range.upperBound || rest == 0 else {
            let write = isFactor ? AmountText.factor : AmountText.of(permille:)
            let bounds = "between \(write(range.lowerBound)) and \(write(range.upperBound))"
            return .problem("must be \(bounds), not \(DisplayText.of(text))")
        }
        guard rest == 0, permille % step == 0 else {
            let finest = isFactor ? AmountText.factor(step) : AmountText.of(permille: step)
            return .problem("is finer than \(finest): \(DisplayText.of(text))")
        }
        return .value(.permille(permille))
    }

    func readRate(_ text: String) -> ScalarReading {
        let parts = text.utf8.split(separator: ASCII.slash, maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let count = ScalarKind.wholeNumber(Substring(parts[0]).utf8),
            let unit = ScalarKind.durationUnits.first(where: { $0.0.utf8.elementsEqual(parts[1]) && $0.0 != "ms" })
        else {
            let isNumber = ScalarKind.wholeNumber(text) != nil
            return .problem("expected \(expected), not \"\(DisplayText.of(text))\"", suggestion: isNumber ? "\(text)/s" : "")
        }
        guard (1...1_000_000_000).contains(count) else {
            return .problem("must be between 1 and 1000000000 for each \(unit.0), not \(count)")
        }
        return .value(.rate(count: count, per: TimeAmount(nanoseconds: unit.1)))
    }

    func unexpected(_ text: String) -> ScalarReading {
        .problem("expected \(expected), not \"\(DisplayText.of(text))\"")
    }
}

/// Amounts as a file would write them.
enum AmountText {
    static func of(_ amount: TimeAmount) -> String {
        if amount == .forever { return "off" }
        if amount == .zero { return "0s" }
        for (unit, factor) in ScalarKind.durationUnits.reversed() where amount.nanoseconds % factor == 0 {
            if amount.nanoseconds / factor > 0 { return "\(amount.nanoseconds / factor)\(unit)" }
        }
        return "\(amount.nanoseconds / 1_000_000)ms"
    }

    static func of(bytes: Int) -> String {
        if bytes == .max { return "0" }
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] where bytes > 0 && bytes % (1 << shift) == 0 {
            return "\(bytes >> shift)\(unit)"
        }
        return "\(bytes)"
    }

    /// `20%`, `12.5%`
    static func of(permille: Int) -> String {
        permille % 10 == 0 ? "\(permille / 10)%" : "\(permille / 10).\(permille % 10)%"
    }

    /// `1.25`
    static func factor(_ permille: Int) -> String {
        var digits = "\(permille % 1000 + 1000)".dropFirst()
        while digits.last == "0" { digits.removeLast() }
        return "\(permille / 1000)" + (digits.isEmpty ? "" : ".\(digits)")
    }

    static func of(_ count: AutomaticCount) -> String {
        switch count {
        case .automatic: "auto"
        case .fixed(let n): "\(n)"
        }
    }
}
