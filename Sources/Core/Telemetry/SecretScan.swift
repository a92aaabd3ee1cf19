import Primitives

/// Finds in a text what looks like a secret: the value of a parameter, a field or a JSON member with the name of one, the user
/// information of an address, what follows `Bearer`, `Basic` or `Digest`.
///
/// The text is read as whoever gets it may read it: percent-encoded up to three times over. What ends a value must not be encoded
/// deeper than what began it: in `token=a%26b` the value is `a&b`, in `x=token%3Da%26b` it is `a`. Each byte is looked at
/// a bounded number of times.
struct SecretScan: ~Escapable {
    enum Kind {
        /// A text of the gateway's own: before a colon only whole names count, and names in quotes.
        case own
        /// A field of a request.
        case text
        case path
        /// Names reach back to the last separator of parameters, over spaces and commas.
        case query
        /// A path or a whole address, with a query perhaps.
        case address
    }

    /// A byte as it reads decoded.
    private struct Unit {
        var byte: UInt8
        /// Behind it.
        var next: Int
        /// How many times it was encoded.
        var depth: Int
    }

    /// Where a name may have begun.
    private struct Name {
        var start = 0
        /// The one before, when nothing but separators has come since.
        var last = 0..<0

        @inline(__always)
        mutating func separator(_ at: Int, _ next: Int) {
            if start < at { last = start..<at }
            start = next
        }

        @inline(__always)
        mutating func restart(_ next: Int) {
            last = next..<next
            start = next
        }

        func range(before end: Int) -> Range<Int> { start < end ? start..<end : last }
    }

    /// Longer names of parameters are taken for secrets unread.
    private static var nameBytesMax: Int { 64 }
    /// No name of a secret is shorter.
    private static var nameBytesMin: Int { 3 }
    private static var rounds: Int { 3 }

    private let text: RawSpan
    private var kind: Kind
    private var i = 0
    private var word = Name()
    /// In a query, all since the last separator of parameters.
    private var phrase = Name()
    /// Within a field, what follows is a query, up to the next space.
    private var isBehindQuestion = false
    /// Since the last `=`, nothing that parts parameters has come.
    private var isInValue = false
    /// The byte before, decoded.
    private var previous = ASCII.space
    /// Here an address without a scheme may begin, behind something of this depth.
    private var startsAuthority = true
    private var depth = 0
    /// There may be user information at all.
    private let mayHoldUser: Bool
    /// Up to here there is none for what begins at this depth, or deeper.
    private var userless = (end: 0, depth: 0)

    @_lifetime(copy text)
    init(_ text: RawSpan, _ kind: Kind) {
        self.text = text
        self.kind = kind
        mayHoldUser = text.firstIndex(of: 0x40) != nil || text.firstIndex(of: ASCII.percent) != nil
    }

    /// The next secret that begins before `limit`; it is not empty, and may end behind it.
    mutating func next(before limit: Int, _ rules: AccessLogRules) -> Range<Int>? {
        while i < limit {
            if !startsAuthority, Self.isLetterOfNoScheme(text[i]) {
                previous = text[i]
                i += 1
                continue
            }
            if startsAuthority {
                startsAuthority = false
                if mayHoldUser, allowsBareAuthority, let user = userInformation(from: i, depth, hasScheme: isAddressStart) {
                    return found(user)
                }
            }
            let unit = unit(at: i)
            if let secret = look(at: unit, rules) { return found(secret) }
        }
        return nil
    }

    private mutating func found(_ range: Range<Int>) -> Range<Int> {
        i = range.upperBound
        word.restart(i)
        phrase.restart(i)
        previous = ASCII.asterisk
        startsAuthority = false
        return range
    }

    @inline(__always)
    private mutating func step(_ unit: Unit) {
        i = unit.next
        previous = unit.byte
        depth = unit.depth
    }

    /// Goes over one byte, and says what it announces.
    @inline(__always)
    private mutating func look(at unit: Unit, _ rules: AccessLogRules) -> Range<Int>? {
        switch unit.byte {
        case ASCII.equals:
            let isSecret = isNamed(before: i, rules)
            step(unit)
            word.restart(i)
            phrase.restart(i)
            isInValue = true
            startsAuthority = kind != .own
            return isSecret ? parameterValue(from: i, unit.depth) : nil
        case ASCII.colon:
            return colon(unit, rules)
        case 0x26, ASCII.semicolon, 0x23, ASCII.question, ASCII.cr, ASCII.lf:
            if kind == .address, unit.depth == 0, unit.byte == ASCII.question || unit.byte == 0x23 { kind = .query }
            if kind == .text, unit.byte == ASCII.question { isBehindQuestion = true }
            word.separator(i, unit.next)
            phrase.separator(i, unit.next)
            isInValue = false
            startsAuthority = kind != .own || endsAuthority(unit.byte)
        case ASCII.space, ASCII.tab, ASCII.quote, 0x27, 0x60, ASCII.slash, ASCII.comma, 0x28, 0x29, 0x7b, 0x7d, 0x3c, 0x3e:
            if unit.byte == ASCII.space, unit.depth == 0 { isBehindQuestion = false }
            word.separator(i, unit.next)
            if !isQuery {
                phrase.separator(i, unit.next)
                isInValue = false
            }
            startsAuthority = kind != .own || endsAuthority(unit.byte)
        case 0x42, 0x62, 0x44, 0x64:
            guard !ASCII.isLetter(previous), !ASCII.isDigit(previous) else { break }
            let start = i
            step(unit)
            return credentials(at: start)
        default: break
        }
        step(unit)
        return nil
    }

    private mutating func colon(_ unit: Unit, _ rules: AccessLogRules) -> Range<Int>? {
        let at = i
        let isQuoted = Self.isQuote(previous)
        step(unit)
        if let slash = optional(at: i), slash.byte == ASCII.slash {
            var start = slash
            if let second = optional(at: slash.next), second.byte == ASCII.slash { start = second }
            // Paths are shown with runs of slashes as one.
            if start.next > slash.next || kind == .path {
                step(start)
                word.restart(i)
                phrase.restart(i)
                isInValue = false
                return mayHoldUser ? userInformation(from: i, start.depth, hasScheme: true) : nil
            }
        }
        let name = word.range(before: at)
        word.restart(i)
        phrase.restart(i)
        isInValue = true
        // In a path a colon is a letter like others (`/keys:list`), but in JSON.
        if !isQuoted, kind == .path || kind == .address { return nil }
        if isWhole(name) { return fieldValue(from: i, unit.depth, isWhole: !isQuoted) }
        return kind == .own && !isQuoted ? nil : member(name, rules, unit.depth)
    }

    private func member(_ name: Range<Int>, _ rules: AccessLogRules, _ depth: Int) -> Range<Int>? {
        holdsWord(name, rules, isLongSecret: false) ? fieldValue(from: i, depth, isWhole: false) : nil
    }

    // Names.

    private var isQuery: Bool { kind == .query || isBehindQuestion }

    private func isNamed(before end: Int, _ rules: AccessLogRules) -> Bool {
        if holdsWord(word.range(before: end), rules, isLongSecret: !isInValue) { return true }
        return isQuery && phrase.start != word.start
            && holdsWord(phrase.range(before: end), rules, isLongSecret: !isInValue)
    }

    /// What no name is made of is passed over, as many readers do.
    private func holdsWord(_ range: Range<Int>, _ rules: AccessLogRules, isLongSecret: Bool) -> Bool {
        guard range.count >= (rules.redactsNames ? 1 : Self.nameBytesMin) else { return false }
        var raw = InlineArray<64, UInt8>(repeating: 0)
        var plain = InlineArray<64, UInt8>(repeating: 0)
        var rawCount = 0
        var plainCount = 0
        var j = range.lowerBound
        while j < range.upperBound {
            guard rawCount < Self.nameBytesMax else {
                return isLongSecret || SecretNames.holdsWord(plain.span.bytes.extracting(0..<plainCount))
            }
            let unit = unit(at: j)
            let c = ASCII.lowercased(unit.byte)
            raw[rawCount] = c
            rawCount += 1
            if ASCII.isLetter(c) || ASCII.isDigit(c) || c == ASCII.underscore || c == ASCII.dash || c == ASCII.dot {
                plain[plainCount] = c
                plainCount += 1
            }
            j = unit.next
        }
        let name = plain.span.bytes.extracting(0..<plainCount)
        return SecretNames.holdsWord(name) || rules.redacts(name) || rules.redacts(raw.span.bytes.extracting(0..<rawCount))
    }

    private func isWhole(_ range: Range<Int>) -> Bool {
        var plain = InlineArray<64, UInt8>(repeating: 0)
        var count = 0
        var j = range.lowerBound
        while j < range.upperBound {
            guard count < Self.nameBytesMax else { return false }
            let unit = unit(at: j)
            plain[count] = unit.byte
            count += 1
            j = unit.next
        }
        return SecretNames.isWhole(plain.span.bytes.extracting(0..<count))
    }

    // Values.

    /// Behind `=`.
    private func parameterValue(from: Int, _ depth: Int) -> Range<Int>? {
        switch kind {
        case .query:
            return nonEmpty(from..<end(from: from, depth) { Self.endsParameter($0) })
        case .path, .address:
            return nonEmpty(from..<end(from: from, depth) { Self.endsParameter($0) || $0 == ASCII.slash || $0 == ASCII.question })
        case .own, .text:
            let start = skipSpace(from: from)
            if let quote = optional(at: start), Self.isQuote(quote.byte) { return quoted(quote) }
            let behind = scheme(at: start)?.start ?? start
            return nonEmpty(
                start..<end(from: behind, depth) { Self.isSpace($0) || Self.isQuote($0) || Self.endsParameter($0) })
        }
    }

    /// Behind a colon.
    private func fieldValue(from: Int, _ depth: Int, isWhole: Bool) -> Range<Int>? {
        let start = skipSpace(from: from)
        guard let first = optional(at: start) else { return nil }
        if Self.isQuote(first.byte) { return quoted(first) }
        // Of a list or an object all that follows.
        if first.byte == 0x5b || first.byte == 0x7b { return nonEmpty(start..<text.byteCount) }
        if first.byte == 0x7d || first.byte == 0x5d || first.byte == ASCII.comma { return nil }
        let isQuery = kind == .query
        if isWhole { return nonEmpty(start..<end(from: start, depth) { Self.endsLine($0) || isQuery && $0 == 0x26 }) }
        return nonEmpty(
            start..<end(from: start, depth) {
                Self.endsLine($0) || Self.endsParameter($0) || $0 == ASCII.comma || $0 == 0x29 || $0 == 0x7d
            })
    }

    /// Up to the same quote, or to the end.
    private func quoted(_ quote: Unit) -> Range<Int>? {
        var j = quote.next
        while let unit = optional(at: j) {
            if unit.byte == quote.byte, unit.depth <= quote.depth { break }
            j = unit.next
            if unit.byte == ASCII.backslash, let escaped = optional(at: j) { j = escaped.next }
        }
        return nonEmpty(quote.next..<j)
    }

    /// What follows the name of an authentication scheme (RFC 9110 §11.4).
    private func credentials(at start: Int) -> Range<Int>? {
        guard let scheme = scheme(at: start) else { return nil }
        let isParameter = kind == .query || kind == .path || kind == .address
        let first =
            scheme
            .start..<end(from: scheme.start, scheme.depth) {
                Self.isSpace($0) || Self.isQuote($0) || isParameter && Self.endsParameter($0)
            }
        guard scheme.hasParameters else { return nonEmpty(first) }
        guard holds(first, ASCII.equals) else { return nil }
        return nonEmpty(
            scheme.start..<end(from: scheme.start, scheme.depth) { Self.endsLine($0) || isParameter && $0 == 0x26 })
    }

    private func scheme(at start: Int) -> (start: Int, depth: Int, hasParameters: Bool)? {
        let plain = end(of: "bearer", at: start) ?? end(of: "basic", at: start)
        guard let behind = plain ?? end(of: "digest", at: start), let gap = optional(at: behind), isGap(gap.byte) else {
            return nil
        }
        return (skipSpace(from: behind), gap.depth, plain == nil)
    }

    // Addresses.

    /// Where `user:password` stands before an `@`. Without a scheme there must be both, and neither a name with a `=` nor a scheme first.
    private mutating func userInformation(from: Int, _ depth: Int, hasScheme: Bool) -> Range<Int>? {
        if !hasScheme, from < userless.end, depth >= userless.depth { return nil }
        var at: Int?
        var colon: Int?
        var j = from
        while let unit = optional(at: j) {
            if unit.depth <= depth, endsAuthority(unit.byte) || !hasScheme && Self.endsParameter(unit.byte) { break }
            if unit.byte == 0x40 { at = j }
            if !hasScheme, colon == nil {
                if unit.byte == ASCII.equals { break }
                if unit.byte == ASCII.colon {
                    if isSchemeEnd(unit) { break }
                    colon = j
                }
            }
            j = unit.next
        }
        if let at, at > from, hasScheme || colon.map({ $0 < at }) ?? false { return from..<at }
        if !hasScheme { userless = (j, depth) }
        return nil
    }

    private func isSchemeEnd(_ colon: Unit) -> Bool {
        guard let first = optional(at: colon.next), first.byte == ASCII.slash else { return false }
        return optional(at: first.next)?.byte == ASCII.slash
    }

    private var isAddressStart: Bool {
        kind == .address && (i == 0 || i == 2 && text[0] == ASCII.slash && text[1] == ASCII.slash)
    }

    private var allowsBareAuthority: Bool {
        switch kind {
        case .own, .text, .query: true
        case .address: isAddressStart
        case .path: false
        }
    }

    private func endsAuthority(_ c: UInt8) -> Bool {
        c == ASCII.slash || c == ASCII.question || c == 0x23 || c <= ASCII.space || Self.isQuote(c)
    }

    // Bytes.

    @inline(__always)
    private func unit(at j: Int) -> Unit {
        let c = text[j]
        guard c == ASCII.percent else { return Unit(byte: c, next: j + 1, depth: 0) }
        return decoded(at: j, Self.rounds)
    }

    private func optional(at j: Int) -> Unit? { j < text.byteCount ? unit(at: j) : nil }

    private func decoded(at j: Int, _ rounds: Int) -> Unit {
        let c = text[j]
        guard c == ASCII.percent, rounds > 0 else { return Unit(byte: c, next: j + 1, depth: 0) }
        let first = decoded(at: j, rounds - 1)
        guard first.byte == ASCII.percent, first.next < text.byteCount else { return first }
        let high = decoded(at: first.next, rounds - 1)
        guard let h = ASCII.hexValue(high.byte), high.next < text.byteCount else { return first }
        let low = decoded(at: high.next, rounds - 1)
        guard let l = ASCII.hexValue(low.byte) else { return first }
        return Unit(byte: h << 4 | l, next: low.next, depth: max(first.depth, high.depth, low.depth) + 1)
    }

    /// Nothing begins or ends with it.
    @inline(__always)
    private static func isLetterOfNoScheme(_ c: UInt8) -> Bool {
        let lower = c | 0x20
        return lower &- 0x61 < 26 && lower != 0x62 && lower != 0x64 || ASCII.isDigit(c) || c == ASCII.dot || c == ASCII.dash
    }

    private func end(from: Int, _ depth: Int, _ isEnd: (UInt8) -> Bool) -> Int {
        var j = from
        while let unit = optional(at: j), unit.depth > depth || !isEnd(unit.byte) { j = unit.next }
        return j
    }

    private func holds(_ range: Range<Int>, _ byte: UInt8) -> Bool {
        var j = range.lowerBound
        while j < range.upperBound {
            let unit = unit(at: j)
            if unit.byte == byte { return true }
            j = unit.next
        }
        return false
    }

    /// Where a word in any case ends, if it stands here.
    private func end(of word: StaticString, at start: Int) -> Int? {
        var j = start
        for k in 0..<word.utf8CodeUnitCount {
            guard let unit = optional(at: j), unit.byte | 0x20 == word.utf8Start[k] else { return nil }
            j = unit.next
        }
        return j
    }

    private func skipSpace(from: Int) -> Int {
        var j = from
        while let unit = optional(at: j), isGap(unit.byte) { j = unit.next }
        return j
    }

    /// A space, as it is written here.
    private func isGap(_ c: UInt8) -> Bool { c == ASCII.space || c == ASCII.tab || kind != .own && c == 0x2b }

    private func nonEmpty(_ range: Range<Int>) -> Range<Int>? { range.isEmpty ? nil : range }

    private static func endsParameter(_ c: UInt8) -> Bool { c == 0x26 || c == ASCII.semicolon || c == 0x23 }
    private static func endsLine(_ c: UInt8) -> Bool { c == ASCII.cr || c == ASCII.lf }
    private static func isSpace(_ c: UInt8) -> Bool { c <= ASCII.space }
    private static func isQuote(_ c: UInt8) -> Bool { c == ASCII.quote || c == 0x27 || c == 0x60 }
}
