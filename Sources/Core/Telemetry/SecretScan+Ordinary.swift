import Primitives

/// Tells nearly all texts that hold no secret from those that must be scanned, at a fraction of the cost.
///
/// It looks at each `=` and `:` and the name before it. Whatever is out of the ordinary (an escape, an `@`, a name with other letters
/// than names have, or none) is left to the scan, which alone knows the rules.
extension SecretScan {
    /// - Parameters:
    ///   - bytes: what the text has.
    ///   - limit: of what is shown; a secret may begin before it and end behind.
    @inline(__always)
    static func isNeeded(_ text: RawSpan, _ bytes: LogBytes, limit: Int, _ kind: Kind, _ rules: AccessLogRules) -> Bool {
        if bytes.isSilent, kind != .address { return false }
        return mayHold(text, bytes, limit, kind, rules)
    }

    private static func mayHold(_ text: RawSpan, _ bytes: LogBytes, _ limit: Int, _ kind: Kind, _ rules: AccessLogRules) -> Bool {
        let n = text.byteCount
        if n > limit || kind == .own || rules.redactsNames { return true }
        if text.firstIndex(of: 0x40) != nil || text.firstIndex(of: ASCII.percent) != nil { return true }
        if bytes.hasScheme,
            text.firstIndex(of: ASCII.space) != nil || text.firstIndex(of: 0x2b) != nil
                || text.firstIndex(of: ASCII.tab) != nil
        {
            return true
        }
        var queryStart = n
        if kind == .query { queryStart = 0 }
        if kind == .address {
            queryStart = min(text.firstIndex(of: ASCII.question) ?? n, text.firstIndex(of: 0x23) ?? n)
        }
        var floor = 0
        while let sign = nextSign(text, from: floor) {
            let isQuery = kind == .text ? nil : sign >= queryStart
            if !isOrdinary(text, sign, floor, isQuery: isQuery) { return true }
            floor = sign + 1
        }
        return false
    }

    /// Whether no value behind this sign is a secret.
    /// - Parameter isQuery: nil in a field, where any separator parts names; false in a path.
    private static func isOrdinary(_ text: RawSpan, _ sign: Int, _ floor: Int, isQuery: Bool?) -> Bool {
        let isColon = text[sign] == ASCII.colon
        // The scheme of an address, which has no user information.
        if isColon, sign + 2 < text.byteCount, text[sign + 1] == ASCII.slash, text[sign + 2] == ASCII.slash { return true }
        if !isColon, followsDigest(text, sign) { return false }
        var start = sign
        while start > floor, isOfName(text[start - 1]) { start -= 1 }
        guard start < sign, sign - start <= 64 else { return false }
        if start > floor, !parts(text[start - 1], isQuery: isQuery) { return false }
        if isColon, isQuery == false { return true }
        return !SecretNames.holdsWord(text.extracting(start..<sign))
    }

    /// Whether `Digest` stands before, and no other `=` between the two.
    private static func followsDigest(_ text: RawSpan, _ sign: Int) -> Bool {
        var j = sign
        while j > 0, text[j - 1] != ASCII.equals {
            j -= 1
            guard isGap(text[j]) else { continue }
            if j >= 6, text.extracting(j - 6..<j).equals(ignoringCase: "digest") { return true }
        }
        return false
    }

    private static func isGap(_ c: UInt8) -> Bool { c == ASCII.space || c == ASCII.tab || c == 0x2b }

    private static func parts(_ c: UInt8, isQuery: Bool?) -> Bool {
        switch c {
        case 0x26, ASCII.semicolon, 0x23: true
        case ASCII.question: isQuery != nil
        case ASCII.slash: isQuery != true
        case ASCII.space, ASCII.comma, 0x28, 0x29: isQuery == nil
        default: false
        }
    }

    @inline(__always)
    private static func isOfName(_ c: UInt8) -> Bool {
        ASCII.isLetter(c) || ASCII.isDigit(c) || c == ASCII.underscore || c == ASCII.dash || c == ASCII.dot
    }

    private static func nextSign(_ text: RawSpan, from: Int) -> Int? {
        var i = from
        while i < text.byteCount {
            let c = text[i]
            if c == ASCII.equals || c == ASCII.colon { return i }
            i += 1
        }
        return nil
    }
}
