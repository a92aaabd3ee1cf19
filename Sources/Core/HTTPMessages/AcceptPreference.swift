import Primitives

/// Whether a client prefers problem details to plain JSON, from its `Accept` (RFC 9110 §12.5.1).
///
/// Both types get the weight of the most specific range that covers them. Problem details win with the greater weight, or at the
/// same weight when they are named exactly and plain JSON is not; in every other case JSON is sent, also to a client that wants
/// neither, since an error in a form one did not ask for says more than a 406 without a word.
public struct AcceptPreference: Sendable {
    /// What has been seen for one of the two types: 0 nothing, 1 `*/*`, 2 `application/*`, 3 the type itself.
    private struct Weight: Sendable {
        var specificity = 0
        /// In thousandths.
        var weight = 0

        mutating func offer(_ weight: Int, specificity: Int) {
            guard specificity >= self.specificity else { return }
            self.weight = specificity == self.specificity ? max(self.weight, weight) : weight
            self.specificity = specificity
        }
    }

    private var json = Weight()
    private var problem = Weight()

    public init() {}

    public init(_ headers: borrowing HeaderBlock) {
        for i in 0..<headers.count where headers.fields[i].id == .accept && !headers.fields[i].isRemoved {
            read(headers.value(i))
        }
    }

    public var format: RefusalBody.Format {
        guard problem.weight > 0 else { return .json }
        if problem.weight != json.weight { return problem.weight > json.weight ? .problem : .json }
        return problem.specificity == 3 && json.specificity < 3 ? .problem : .json
    }

    /// Takes one field line in. A range that does not follow the grammar is passed over; the scan is linear.
    public mutating func read(_ value: RawSpan) {
        var scan = AcceptScan(value)
        while scan.offset < value.byteCount {
            if let range = scan.range() {
                let type = value.extracting(range.type)
                if type.equals(ignoringCase: "application/problem+json") {
                    problem.offer(range.weight, specificity: 3)
                } else if type.equals(ignoringCase: "application/json") {
                    json.offer(range.weight, specificity: 3)
                } else if type.equals(ignoringCase: "application/*") {
                    problem.offer(range.weight, specificity: 2)
                    json.offer(range.weight, specificity: 2)
                } else if type.equals("*/*") {
                    problem.offer(range.weight, specificity: 1)
                    json.offer(range.weight, specificity: 1)
                }
            }
            scan.skipElement()
        }
    }
}

/// Reads media ranges one after the other. `range()` stops before the comma, or wherever the grammar is broken; `skipElement()`
/// goes on behind the next comma that is in no quoted string.
private struct AcceptScan: ~Escapable {
    let value: RawSpan
    var offset = 0

    @_lifetime(copy value)
    init(_ value: RawSpan) { self.value = value }

    private func peek() -> UInt8? { offset < value.byteCount ? value[offset] : nil }

    @_lifetime(self: copy self)
    private mutating func skipSpace() {
        while let c = peek(), c == ASCII.space || c == ASCII.tab { offset += 1 }
    }

    @_lifetime(self: copy self)
    private mutating func skipToken() -> Bool {
        let n = value.tokenCount(from: offset)
        offset += n
        return n > 0
    }

    /// A quoted string (RFC 9110 §5.6.4), from its first quote on; false when it does not end.
    @_lifetime(self: copy self)
    private mutating func skipQuoted() -> Bool {
        offset += 1
        while let c = peek() {
            offset += 1
            if c == ASCII.quote { return true }
            if c == ASCII.backslash { offset += 1 }
        }
        return false
    }

    @_lifetime(self: copy self)
    mutating func skipElement() {
        while let c = peek(), c != ASCII.comma {
            if c == ASCII.quote {
                if !skipQuoted() { offset = value.byteCount }
            } else {
                offset += 1
            }
        }
        offset += 1
    }

    /// The type of one media range and its weight in thousandths; nil for an empty or broken element.
    @_lifetime(self: copy self)
    mutating func range() -> (type: Range<Int>, weight: Int)? {
        skipSpace()
        let start = offset
        guard skipToken(), peek() == ASCII.slash else { return nil }
        offset += 1
        guard skipToken() else { return nil }
        let type = start..<offset
        var weight = 1000
        var hasWeight = false
        while true {
            skipSpace()
            guard let c = peek(), c != ASCII.comma else { return (type, weight) }
            guard c == ASCII.semicolon else { return nil }
            offset += 1
            skipSpace()
            let name = offset
            // An empty parameter is allowed (RFC 9110 §5.6.6).
            guard skipToken() else { continue }
            let isWeight = !hasWeight && offset - name == 1 && value[name] | 0x20 == 0x71
            guard peek() == ASCII.equals else {
                if isWeight { return nil }
                continue
            }
            offset += 1
            let from = offset
            if peek() == ASCII.quote {
                guard !isWeight, skipQuoted() else { return nil }
            } else {
                guard skipToken() else { return nil }
                if isWeight {
                    guard let given = AcceptScan.weight(value.extracting(from..<offset)) else { return nil }
                    weight = given
                    hasWeight = true
                }
            }
        }
    }

    /// A weight (RFC 9110 §12.4.2): 0 to 1 with at most three decimals.
    private static func weight(_ text: RawSpan) -> Int? {
        guard text.byteCount >= 1, text.byteCount <= 5 else { return nil }
        let whole = text[0]
        guard whole == 0x30 || whole == 0x31 else { return nil }
        var thousandths = whole == 0x31 ? 1000 : 0
        guard text.byteCount > 1 else { return thousandths }
        guard text[1] == ASCII.dot else { return nil }
        var unit = 100
        for i in 2..<text.byteCount {
            guard ASCII.isDigit(text[i]) else { return nil }
            thousandths += Int(text[i] - 48) * unit
            unit /= 10
        }
        return thousandths <= 1000 ? thousandths : nil
    }
}
