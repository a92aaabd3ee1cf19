import Primitives

/// How a text is made harmless in a line.
enum LineEscape {
    case json
    /// `\"`, `\\`, and `\xNN` for what is not printable ASCII, as Apache does.
    case combined
}

extension TextCursor {
    /// A query without the values of parameters that look like secrets; it takes up to six bytes for each byte.
    mutating func write(query: RawSpan, _ escape: LineEscape, _ rules: AccessLogRules) {
        let n = query.byteCount
        var start = 0
        while start < n {
            var end = start
            var equals: Int?
            while end < n, !isSeparator(query[end]) {
                if equals == nil, query[end] == ASCII.equals { equals = end }
                end += 1
            }
            if let equals, equals + 1 < end, SecretNames.matches(query.extracting(start..<equals), rules) {
                write(query.extracting(start..<equals + 1), escape)
                write("***")
            } else {
                write(query.extracting(start..<end), escape)
            }
            if end < n { write(query[end]) }
            start = end + 1
        }
    }

    /// The beginning of an address, of at most `limit` bytes: its query as above, and without the user information that some
    /// clients leave in (RFC 9110 §10.1.3), which is found even where the cut goes through it.
    mutating func write(address whole: RawSpan, limit: Int, _ escape: LineEscape, _ rules: AccessLogRules) {
        let shown = JSONText.prefix(of: whole, limit: limit)
        let n = shown.byteCount
        var start = 0
        if let user = MaskedText.userInformation(whole) {
            write(whole.extracting(0..<min(user.lowerBound, n)), escape)
            if user.lowerBound < n { write("***") }
            start = min(user.upperBound, n)
        }
        var end = start
        while end < n, !isSeparator(shown[end]) { end += 1 }
        write(shown.extracting(start..<end), escape)
        guard end < n else { return }
        write(shown[end])
        write(query: shown.extracting(end + 1..<n), escape, rules)
    }

    /// What parts parameters, for one reader or another; `#` and a second `?` as well, so that nothing hides behind them.
    private func isSeparator(_ c: UInt8) -> Bool {
        c == 0x26 || c == ASCII.semicolon || c == 0x23 || c == ASCII.question
    }

    private mutating func write(_ text: RawSpan, _ escape: LineEscape) {
        switch escape {
        case .json: write(escaping: text)
        case .combined: write(combinedText: text)
        }
    }

    /// Takes up to four bytes for each byte.
    mutating func write(combinedText text: RawSpan) {
        if JSONText.isPlain(text) { return write(text) }
        for i in 0..<text.byteCount {
            let c = text[i]
            switch c {
            case ASCII.quote, ASCII.backslash:
                write(ASCII.backslash)
                write(c)
            case 0x20...0x7e:
                write(c)
            default:
                write("\\x")
                write(hexDigit(c >> 4))
                write(hexDigit(c & 15))
            }
        }
    }

    private func hexDigit(_ nibble: UInt8) -> UInt8 { nibble < 10 ? 48 + nibble : 87 + nibble }
}
