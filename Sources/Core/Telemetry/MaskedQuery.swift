import Primitives

/// How a text is made harmless in a line.
enum LineEscape {
    case json
    /// `\"`, `\\`, and `\xNN` for what is not printable ASCII, as Apache does.
    case combined
}

extension TextCursor {
    /// A query without the values of parameters that look like secrets; it takes up to six bytes for each byte.
    mutating func write(query: RawSpan, _ escape: LineEscape) {
        let n = query.byteCount
        var start = 0
        while start < n {
            var end = start
            var equals: Int?
            while end < n, !isSeparator(query[end]) {
                if equals == nil, query[end] == ASCII.equals { equals = end }
                end += 1
            }
            if let equals, equals + 1 < end, SecretNames.matches(query.extracting(start..<equals)) {
                write(query.extracting(start..<equals + 1), escape)
                write("***")
            } else {
                write(query.extracting(start..<end), escape)
            }
            if end < n { write(query[end]) }
            start = end + 1
        }
    }

    /// A referring address: its query as above, and without the user information that some clients leave in (RFC 9110 §10.1.3).
    mutating func write(referer: RawSpan, _ escape: LineEscape) {
        let n = referer.byteCount
        var end = 0
        while end < n, !isSeparator(referer[end]) { end += 1 }
        let address = referer.extracting(0..<end)
        if let user = userInformation(address) {
            write(address.extracting(0..<user.lowerBound), escape)
            write("***")
            write(address.extracting(user.upperBound..<end), escape)
        } else {
            write(address, escape)
        }
        guard end < n else { return }
        write(referer[end])
        write(query: referer.extracting(end + 1..<n), escape)
    }

    /// Where `user:password` stands, if there is any.
    private func userInformation(_ address: RawSpan) -> Range<Int>? {
        guard let colon = address.firstIndex(of: ASCII.colon), colon + 2 < address.byteCount,
            address[colon + 1] == ASCII.slash, address[colon + 2] == ASCII.slash
        else { return nil }
        var at: Int?
        var i = colon + 3
        while i < address.byteCount, address[i] != ASCII.slash {
            if address[i] == 0x40 { at = i }
            i += 1
        }
        guard let at, at > colon + 3 else { return nil }
        return colon + 3..<at
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
